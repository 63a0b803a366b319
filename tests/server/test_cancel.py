"""``POST …/cancel``: it reaches the code that runs, and says what became of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_server.auth import IdentityProvider, User

from headway import TaskCancelled, transitions
from headway.models import TaskStatus
from headway.stages import STAGE_DEFINITIONS
from headway.timestamps import Timestamp
from headway.worker.reporter import Reporter
from headway.worker.task import Task

NOW = Timestamp(1_763_800_000)


class Maria(IdentityProvider):
    """Calls whoever has the token by a name."""

    def generate_anonymous_user(self, handler: Any) -> User:
        return User(username="maria")


@pytest.fixture
def named_server(jp_server_config: dict[str, Any], request: pytest.FixtureRequest) -> Any:
    jp_server_config["ServerApp"]["identity_provider_class"] = Maria
    return request.getfixturevalue("running_server")


@pytest.fixture
def reporter() -> Iterator[Reporter]:
    reporter = Reporter()
    yield reporter
    reporter.close()


async def test_the_code_that_runs_stops_and_the_task_says_who_asked(
    named_server: Any, fetch: Any, tracker: Any, reporter: Reporter
) -> None:
    state = transitions.create("a", "sdxl", STAGE_DEFINITIONS["image_generation"], now=NOW)
    task = Task(state, reporter=reporter)
    ended = threading.Event()

    def work() -> None:
        with pytest.raises(TaskCancelled, match="by maria"), task:
            task.update(0.1)
            assert reporter.flush() == []
            begun.set()
            for _ in task.track(iter(int, 1), stage="generation"):
                pass
        ended.set()

    begun = threading.Event()
    threading.Thread(target=work, daemon=True).start()
    assert begun.wait(10)
    answer = await fetch("tasks/a/cancel", method="POST")
    assert answer.code == 202
    assert json.loads(answer.body) == {"task_id": "a", "status": "in_progress"}
    assert ended.wait(10)
    assert reporter.flush() == []
    stored = json.loads((await fetch("tasks/a/progress")).body)
    assert (stored["status"], stored["cancel_request"]["by"]) == ("cancelled", "maria")


async def test_whoever_comes_with_a_token_only_has_no_name(fetch: Any, tracker: Any) -> None:
    await tracker.create_task_progress("a", "sdxl")
    answer = await fetch("tasks/a/cancel", method="POST")
    assert json.loads(answer.body) == {"task_id": "a", "status": "cancelled"}
    task = await tracker.get_progress("a")
    assert (task.status, task.error) == (TaskStatus.CANCELLED, "cancelled by somebody in the browser")


async def test_what_is_not_there_or_over_cannot_be_cancelled(fetch: Any, tracker: Any) -> None:
    assert (await fetch("tasks/missing/cancel", method="POST")).code == 404
    assert (await fetch("tasks/a%20b/cancel", method="POST")).code == 400
    await tracker.create_task_progress("a", "sdxl")
    await tracker.finish_task("a")
    answer = await fetch("tasks/a/cancel", method="POST")
    assert answer.code == 409
    assert "is completed" in json.loads(answer.body)["message"]


async def test_a_cookie_alone_cancels_nothing(fetch: Any, tracker: Any) -> None:
    await tracker.create_task_progress("a", "sdxl")
    cookie = str((await fetch("tasks")).headers["Set-Cookie"]).partition(";")[0]
    headers = {"Authorization": "", "Cookie": cookie}
    assert (await fetch("tasks/a/cancel", method="POST", headers=headers)).code == 403
    assert (await tracker.get_progress("a")).status is TaskStatus.QUEUED
