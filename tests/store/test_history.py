"""Records in Redis: bounded, without expiry, read from where one had come to."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis

from headway.errors import UsageError
from headway.models import TaskStatus
from headway.records import StageRecord, TaskHistory, decode_record
from headway.store import history as history_module
from headway.store import keys
from headway.store.history import BEGINNING
from headway.timestamps import Timestamp

OpenTracker = Callable[..., Any]


def record(task_id: str, template_id: str = "t", *, at: float = 1_000.0) -> TaskHistory:
    return TaskHistory(
        task_id=task_id,
        template_id=template_id,
        submitted_at=Timestamp(at - 2),
        finished_at=Timestamp(at),
        stages=(StageRecord(id="run", duration_s=2.0),),
    )


def test_records_come_back_in_their_order_and_do_not_expire(open_tracker: OpenTracker, redis: Redis) -> None:
    async def run() -> None:
        async with open_tracker() as tracker:
            history = tracker.store.history
            await history.add([])
            await history.add([record("a"), record("b", at=1_001.0), record("c", "other", at=1_002.0)])
            assert await history.templates() == ["other", "t"]
            found = await history.newest(["t", "none"])
            assert [decode_record(data) for data in found["t"]] == [record("a"), record("b", at=1_001.0)]
            assert found["none"] == []
            (newest,) = (await history.newest(["t"], 1))["t"]
            assert decode_record(newest) == record("b", at=1_001.0)

    asyncio.run(run())
    assert redis.ttl(keys.history("t")) == -1


def test_what_came_after_a_position_is_read(open_tracker: OpenTracker) -> None:
    async def run() -> None:
        async with open_tracker() as tracker:
            history = tracker.store.history
            await history.add([record("a")])
            ((_, position, (_,)),) = [found async for found in history.after({"t": BEGINNING})]
            assert [found async for found in history.after({"t": position})] == [("t", position, [])]
            gone = [found async for found in history.after({"dropped": position})]
            assert gone == [("dropped", BEGINNING, [])]
            await history.add([record("b")])
            ((_, _, (data,)),) = [found async for found in history.after({"t": position})]
            known = decode_record(data)
            assert known is not None
            assert known.task_id == "b"

    asyncio.run(run())


def test_the_oldest_records_and_templates_leave_first(
    open_tracker: OpenTracker, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "KEPT_RECORDS", 3)
    monkeypatch.setattr(history_module, "KEPT_TEMPLATES", 2)

    async def run() -> None:
        async with open_tracker() as tracker:
            for number in range(5):
                await tracker.store.history.add([record(f"a{number}", at=1_000.0 + number)])
            assert redis.xlen(keys.history("t")) == 3
            await tracker.store.history.add([record("b", "u", at=2_000.0), record("c", "v", at=3_000.0)])
            assert await tracker.store.history.templates() == ["v", "u"]

    asyncio.run(run())
    assert not redis.exists(keys.history("t"))


def test_a_record_that_comes_late_makes_its_template_no_older(open_tracker: OpenTracker) -> None:
    async def run() -> None:
        async with open_tracker() as tracker:
            await tracker.store.history.add([record("a", "t", at=3_000.0), record("b", "t", at=1_000.0)])
            await tracker.store.history.add([record("c", "u", at=2_000.0)])
            assert await tracker.store.history.templates() == ["t", "u"]
            await tracker.record_completion(record("d", "t", at=1_500.0))
            assert await tracker.store.history.templates() == ["t", "u"]

    asyncio.run(run())


def test_the_tracker_records_the_tasks_that_it_ends_and_no_others(open_tracker: OpenTracker) -> None:
    async def run() -> None:
        async with open_tracker() as tracker:
            await tracker.create_task_progress(
                "a", "t", stages={"run": 1.0}, template_version="2", device="cpu"
            )
            await tracker.update_stage("a", "run", progress=0.5)
            with pytest.raises(UsageError, match="expected a task that is over"):
                await tracker.record_completion(await tracker.get_progress("a"))
            assert await tracker.read_history() == []
            await tracker.update_stage("a", "run", "completed")
            await tracker.record_completion(record("b", "u"))
            first, second = [decode_record(data) for data in await tracker.read_history(["t", "u"])]
            assert first is not None
            assert second is not None
            assert (first.task_id, first.status, first.template_version, first.device) == (
                "a",
                TaskStatus.COMPLETED,
                "2",
                "cpu",
            )
            assert second == record("b", "u")
            await tracker.record_completion(record("b", "u"))
            assert len(await tracker.read_history()) == 2, "what was stored twice is there once"

    asyncio.run(run())


def test_a_record_with_plain_numbers_for_times_is_read_again(open_tracker: OpenTracker) -> None:
    async def run() -> None:
        async with open_tracker() as tracker:
            plain: Any = {"submitted_at": 998, "finished_at": 1_000.0}
            await tracker.record_completion(replace(record("a"), **plain))
            assert [decode_record(data) for data in await tracker.read_history()] == [record("a")]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"task_id": "a"}, "got dict"),
        (None, "got NoneType"),
        (replace(record("a"), submitted_at=math.nan), "times in UTC seconds"),  # type: ignore[arg-type]
        (replace(record("a"), finished_at="2027-01-01"), "times in UTC seconds"),  # type: ignore[arg-type]
        (replace(record("a"), params=[1]), "of JSON values"),  # type: ignore[arg-type]
        (replace(record("a"), params={"x": object()}), "of JSON values"),
        (replace(record("a"), status="done"), "of JSON values"),  # type: ignore[arg-type]
        (replace(record("a"), template_id=7), "of JSON values"),  # type: ignore[arg-type]
    ],
)
def test_what_could_not_be_read_again_is_not_stored(
    open_tracker: OpenTracker, given: Any, message: str
) -> None:
    async def run() -> None:
        async with open_tracker() as tracker:
            with pytest.raises(UsageError, match=message):
                await tracker.record_completion(given)
            assert await tracker.read_history() == []

    asyncio.run(run())


def test_a_record_of_a_later_version_is_passed_over() -> None:
    assert decode_record(b'{"task_id": 7}') is None
