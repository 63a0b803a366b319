"""Resource samples for viewers: over REST, and live to who asked for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from headway import transitions
from headway.errors import UsageError
from headway.models import TaskProgress, TaskStatus
from headway.samples import INTERVAL_S, ResourceSample, SeriesUpdate
from headway.server import resources
from headway.server.messages import Subscribe, parse_message
from headway.stages import parse_stages
from headway.store.reports import Report
from headway.store.tasks import TaskStore
from headway.timestamps import Timestamp
from tests.redis_servers import Server
from tests.server import test_rest
from tests.server.conftest import Screen


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "POLL_S", 0.05)


def state(task_id: str, seq: int = 1, *, is_over: bool = False) -> TaskProgress:
    task = transitions.create(task_id, "t", parse_stages({"run": 1.0}), now=Timestamp(1_000))
    if is_over:
        task = transitions.finish(task, TaskStatus.COMPLETED, now=Timestamp(1_001))
    return replace(task, seq=seq)


async def make(store: TaskStore, *task_ids: str, is_over: bool = False) -> None:
    await store.write([Report(task=state(name, is_over=is_over), run="r") for name in task_ids])


async def sample(store: TaskStore, task_id: str, *times: float, interval_s: float = INTERVAL_S) -> None:
    """Add samples to a task's series; the times are seconds after 1,000."""
    found = tuple(
        ResourceSample(at=Timestamp(1_000 + at), interval_s=interval_s, rss_bytes=int(at), gpu_percent=1.5)
        for at in times
    )
    update = SeriesUpdate(1_000.0 + times[0] - 0.001, found)
    await store.samples.write([(task_id, "r", update)])


def seen(screen: Screen, task_id: str) -> list[int]:
    """What a viewer was sent of a task, by the numbers that `sample` gives."""
    return [
        one["rss_bytes"]
        for message in screen.messages
        if message["type"] == "resources" and message["task_id"] == task_id
        for one in message["samples"]
    ]


async def test_the_samples_of_a_task_are_read_after_a_time(tracker: Any, fetch: Any) -> None:
    await make(tracker.store, "a")
    path = "tasks/a/resources"
    empty = await fetch(path)
    assert json.loads(empty.body) == {"interval_s": 1.0, "samples": []}
    await sample(tracker.store, "a", 1, 3, 5, interval_s=2.0)
    answer = await fetch(path)
    found = json.loads(answer.body)
    assert found["interval_s"] == 2.0
    assert found["samples"][0] == {
        "at": "1970-01-01T00:16:41Z",
        "interval_s": 2.0,
        "rss_bytes": 1,
        "gpu_percent": 1.5,
    }
    test_rest.TestOpenApi().validate("Resources", answer.body)
    test_rest.TestOpenApi().validate("Resources", empty.body)
    for since in ("1003", "1003.0", "1970-01-01T00:16:43Z", "1970-01-01T00:16:43+00:00"):
        rest = json.loads((await fetch(path, params={"since": since})).body)
        assert [one["rss_bytes"] for one in rest["samples"]] == [5], since
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("since", ["nan", "inf", "-1", "yesterday", "99999-01-01", ""])
async def test_a_time_that_is_none_is_refused(tracker: Any, fetch: Any, since: str) -> None:
    await make(tracker.store, "a")
    answer = await fetch("tasks/a/resources", params={"since": since})
    assert (answer.code, json.loads(answer.body)["reason"]) == (400, "UsageError")


async def test_a_task_that_is_not_stored_has_none(tracker: Any, fetch: Any) -> None:
    assert (await fetch("tasks/missing/resources")).code == 404
    assert (await fetch("tasks/-a/resources")).code == 400
    assert (await fetch("tasks/missing/resources", params={"level": "debug"})).code == 400


async def test_a_viewer_on_a_real_server_gets_them_live(tracker: Any, open_viewer: Any) -> None:
    await make(tracker.store, "a")
    await sample(tracker.store, "a", 1, 2)
    async with open_viewer() as viewer:
        await viewer.subscribe("a", resources=True, resources_since={"a": "1970-01-01T00:16:41Z"})
        messages = [await viewer.hear(), await viewer.hear()]
        (message,) = [one for one in messages if one["type"] == "resources"]
        assert message == {
            "type": "resources",
            "task_id": "a",
            "interval_s": 1.0,
            "samples": [{"at": "1970-01-01T00:16:42Z", "rss_bytes": 2, "gpu_percent": 1.5}],
        }
        await sample(tracker.store, "a", 3)
        assert [one["rss_bytes"] for one in (await viewer.hear())["samples"]] == [3]


async def test_who_asked_for_them_gets_each_once_and_nobody_else(open_hub: Any, eventually: Any) -> None:
    with_samples, many, without = Screen(), Screen(), Screen()
    async with open_hub() as (hub, store):
        await make(store, "a", "b")
        await sample(store, "a", 1, 2)
        hub.connect(with_samples.send).subscribe(Subscribe(task_ids=["a", "b"], resources=True))
        hub.connect(many.send).subscribe(Subscribe(task_ids=["a", "b"], resources=True, many=True))
        hub.connect(without.send).subscribe(Subscribe(task_ids=["a", "b"]))
        await eventually(lambda: seen(with_samples, "a") == [1, 2])
        await sample(store, "a", 3)
        await sample(store, "b", 3)
        for screen in (with_samples, many):
            await eventually(
                lambda screen=screen: seen(screen, "a") == [1, 2, 3] and seen(screen, "b") == [3]
            )
        await sample(store, "a", 3.5, 4)  # what is of the same interval comes again
        await eventually(lambda: seen(with_samples, "a") == [1, 2, 3, 3, 4])
    assert {message["type"] for message in without.messages} <= {"progress.update", "heartbeat"}


async def test_who_unsubscribed_or_left_is_looked_for_no_more(open_hub: Any, eventually: Any) -> None:
    screen = Screen()
    async with open_hub() as (hub, store):
        await make(store, "a", "b")
        connection = hub.connect(screen.send)
        connection.subscribe(Subscribe(task_ids=["a", "b"], resources=True))
        assert hub.resources.watched_count == 2
        connection.unsubscribe(["a", "never"])
        assert hub.resources.watched_count == 1
        await sample(store, "a", 1)
        await sample(store, "b", 1)
        await eventually(lambda: seen(screen, "b") == [1])
        hub.drop(connection)
        assert hub.resources.watched_count == 0
        await eventually(lambda: not hub.resources._newest and not hub.resources._looks)
    assert seen(screen, "a") == []


async def test_a_slow_viewer_gets_what_it_missed_at_once(open_hub: Any, eventually: Any) -> None:
    screen = Screen()
    async with open_hub() as (hub, store):
        await make(store, "a")
        hub.connect(screen.send).subscribe(Subscribe(task_ids=["a"], resources=True))
        await eventually(lambda: screen.seqs("a"))
        screen.may_go_on.clear()
        await sample(store, "a", 1)
        await eventually(lambda: seen(screen, "a") == [1])
        for at in range(2, 20):
            await sample(store, "a", at)
        frames = len(screen.messages)
        screen.may_go_on.set()
        await eventually(lambda: seen(screen, "a") == list(range(1, 20)))
        assert len(screen.messages) - frames <= 3


async def test_a_task_that_is_over_is_soon_looked_at_no_more(
    open_hub: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen()
    async with open_hub() as (hub, store):
        await make(store, "a", is_over=True)
        await sample(store, "a", 1)
        hub.connect(screen.send).subscribe(Subscribe(task_ids=["a"], resources=True))
        await eventually(lambda: seen(screen, "a") == [1])
        await eventually(lambda: hub.resources._looks.get("a") == resources.LAST_LOOKS)
        again = Screen()
        hub.connect(again.send).subscribe(Subscribe(task_ids=["a"], resources=True))
        await eventually(lambda: seen(again, "a") == [1])


async def test_while_redis_is_away_nothing_is_lost(
    open_hub: Any, eventually: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    screen = Screen()
    with Server(tmp_path_factory.mktemp("hw") / "redis") as server:
        async with open_hub(redis_url=f"redis://{server.address}") as (hub, store):
            await make(store, "a")
            await sample(store, "a", 1)
            hub.connect(screen.send).subscribe(Subscribe(task_ids=["a"], resources=True))
            await eventually(lambda: seen(screen, "a") == [1])
            server.kill()
            view = next(iter(hub.resources._views["a"]))
            view.notice("a")
            await eventually(lambda: screen.errors() == ["store_unavailable"])
            await eventually(lambda: "a" in view._fresh)


@pytest.mark.parametrize("time", ["yesterday", 5, None])
def test_a_subscription_from_a_time_that_is_none_is_refused(time: Any) -> None:
    message = {"type": "subscribe", "task_ids": ["a"], "resources": True, "resources_since": {"a": time}}
    with pytest.raises(UsageError, match="resources_since"):
        parse_message(json.dumps(message))
