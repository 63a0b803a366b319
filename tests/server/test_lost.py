"""A worker that was killed, as a viewer and as REST see it."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.puppet import start_puppet

LOST_WITHIN_S = 5.0
STAGES = {"load": 1.0, "run": 3.0}


async def test_the_task_of_a_killed_worker_is_lost_for_a_viewer_and_for_rest(
    fetch: Any, open_viewer: Any
) -> None:
    with start_puppet() as worker:
        worker.do(f"task = headway.task('t', task_id='a', stages={STAGES}).__enter__()")
        worker.do("task.update(0.4, stage='run', message='step 4'); task.log('about to die'); task.flush()")
        async with open_viewer() as viewer:
            await viewer.subscribe("a", logs=True)
            before = await viewer.hear()
            assert (await viewer.hear())["entries"][0]["message"] == "about to die"
            worker.kill()
            killed_at = time.monotonic()
            heard = []
            while not heard or heard[-1]["type"] != "progress.update" or heard[-1]["seq"] == before["seq"]:
                heard.append(await viewer.hear_any())
            assert time.monotonic() - killed_at < LOST_WITHIN_S
    *quiet, lost = heard
    assert {message["type"] for message in quiet} == {"heartbeat"}
    assert (lost["seq"], lost["data"]["status"]) == (before["seq"] + 1, "lost")
    changed = {name for name in lost["data"] if lost["data"][name] != before["data"][name]}
    assert changed - {"eta"} == {"status", "seq", "lost_at"}
    assert lost["data"]["stages"][1]["message"] == "step 4"
    assert json.loads((await fetch("tasks/a/progress")).body) == lost["data"]
    summaries = json.loads((await fetch("tasks", params={"status": "lost"})).body)["tasks"]
    assert [(task["task_id"], task["lost_at"]) for task in summaries] == [("a", lost["data"]["lost_at"])]
    assert json.loads((await fetch("tasks", params={"status": "in_progress"})).body)["tasks"] == []
