"""The tracker: every change is whole, is made on what is stored, and one that cannot be stores nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from redis import Redis

from headway.errors import (
    InvalidParamsError,
    InvalidProgressError,
    InvalidStagesError,
    InvalidTaskIdError,
    TaskExistsError,
    TaskNotFoundError,
    TaskStateError,
    UnknownStageError,
    UsageError,
)
from headway.models import StageStatus, TaskProgress, TaskStatus
from headway.stages import STAGE_DEFINITIONS
from headway.store import keys
from headway.store.reports import Report
from headway.timestamps import Timestamp

OpenTracker = Callable[..., Any]
T0 = 1_763_800_000.0


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> float:
        return self.now


def everything(redis: Redis) -> dict[bytes, Any]:
    """Dump the whole database, byte for byte."""
    return {key: redis.dump(key) for key in redis.scan_iter()}


@pytest.mark.parametrize("category", [*STAGE_DEFINITIONS, None, "no_such_category"])
async def test_a_new_task_is_queued_in_the_stages_of_its_category(
    open_tracker: OpenTracker, category: str | None
) -> None:
    async with open_tracker(clock=Clock()) as tracker:
        made = await tracker.create_task_progress(
            "a", "sdxl", category=category, params={"steps": np.int64(30)}, name="Portrait"
        )
        assert await tracker.get_progress("a") == made
    expected = STAGE_DEFINITIONS.get(category or "", STAGE_DEFINITIONS["default"])
    assert [(stage.id, stage.name, stage.weight) for stage in made.stages] == [
        (stage.id, stage.name, stage.weight) for stage in expected
    ]
    assert [stage.status.value for stage in made.stages] == ["in_progress", *["pending"] * 3]
    assert (made.status, made.seq, made.attempt, made.overall_progress) == (TaskStatus.QUEUED, 1, 1, 0.0)
    assert (made.name, made.params, made.created_at) == ("Portrait", {"steps": 30}, Timestamp(T0))
    assert made.current_stage == "queue"


async def test_a_task_follows_its_stages_to_its_end(open_tracker: OpenTracker) -> None:
    clock = Clock()
    async with open_tracker(clock=clock) as tracker:
        await tracker.create_task_progress("a", "t", stages={"load": 1.0, "run": 3.0})
        clock.now += 1
        task = await tracker.update_stage("a", "load", "in_progress", 0.5, "reading", {"files": 2})
        assert (task.status, task.current_stage) == (TaskStatus.IN_PROGRESS, "load")
        assert task.overall_progress == pytest.approx(12.5)
        assert (task.stage("load").message, task.stage("load").metadata) == ("reading", {"files": 2})
        clock.now += 2
        task = await tracker.update_stage("a", "load", StageStatus.COMPLETED)
        assert task.stage("load").duration == pytest.approx(2.0)
        task = await tracker.update_stage("a", "run", done=1, total=4)
        assert (task.stage("run").status, task.stage("run").progress) == (StageStatus.IN_PROGRESS, 0.25)
        assert task.overall_progress == pytest.approx(43.75)
        clock.now += 4
        task = await tracker.update_stage("a", "run", "completed")
        assert (task.status, task.overall_progress) == (TaskStatus.COMPLETED, 100.0)
        assert (task.started_at, task.finished_at) == (Timestamp(T0 + 1), Timestamp(T0 + 7))
        assert task.seq == 5
        assert await tracker.get_progress("a") == task


async def test_a_failed_stage_fails_the_task(open_tracker: OpenTracker) -> None:
    async with open_tracker() as tracker:
        await tracker.create_task_progress("a", "t", category="image_generation")
        await tracker.update_stage("a", "generation", progress=0.25)
        task = await tracker.update_stage("a", "generation", "failed")
    assert (task.status, task.error) == (TaskStatus.FAILED, "Generation failed")
    assert 0 < task.overall_progress < 100


async def test_what_is_not_told_of_a_stage_stays_and_progress_never_falls(open_tracker: OpenTracker) -> None:
    async with open_tracker() as tracker:
        await tracker.create_task_progress("a", "t", stages={"run": 1.0})
        await tracker.update_stage("a", "run", "in_progress", 0.75, "first", {"x": 1})
        task = await tracker.update_stage("a", "run", progress=0.25, metadata={"y": 2})
    stage = task.stage("run")
    assert (stage.progress, stage.message, stage.metadata) == (0.75, "first", {"x": 1, "y": 2})
    assert stage.status is StageStatus.IN_PROGRESS


@pytest.mark.parametrize("status", ["completed", TaskStatus.COMPLETED])
async def test_a_finished_task_is_whole_and_what_never_ran_was_skipped(
    open_tracker: OpenTracker, status: str
) -> None:
    async with open_tracker() as tracker:
        await tracker.create_task_progress("a", "t", stages={"load": 1.0, "run": 3.0})
        await tracker.update_stage("a", "load", progress=0.5)
        task = await tracker.finish_task("a", status)
        assert await tracker.get_progress("a") == task
    assert (task.status, task.overall_progress) == (TaskStatus.COMPLETED, 100.0)
    assert [stage.status.value for stage in task.stages] == ["completed", "skipped"]


async def test_a_task_that_is_finished_as_failed_keeps_the_error_and_what_it_reached(
    open_tracker: OpenTracker,
) -> None:
    async with open_tracker() as tracker:
        await tracker.create_task_progress("a", "t", stages={"load": 1.0, "run": 3.0})
        await tracker.update_stage("a", "load", progress=0.5)
        task = await tracker.finish_task("a", "failed", error="out of memory")
    assert (task.status, task.error, task.overall_progress) == (TaskStatus.FAILED, "out of memory", 12.5)
    assert task.stage("load").status is StageStatus.FAILED


CREATE: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "an id that is taken": ({"task_id": "a"}, TaskExistsError),
    "an id that cannot be": ({"task_id": "../b"}, InvalidTaskIdError),
    "an id that is no text": ({"task_id": 7}, InvalidTaskIdError),
    "params that JSON cannot carry": ({"params": {"x": object()}}, InvalidParamsError),
    "too many params": ({"params": {"x": "y" * 20_000}}, InvalidParamsError),
    "a weight of 0": ({"stages": {"x": 0}}, InvalidStagesError),
}
UPDATE: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "a stage that is not there": ({"stage": "genration"}, UnknownStageError),
    "NaN": ({"progress": float("nan")}, InvalidProgressError),
    "more than 1": ({"progress": 1.01}, InvalidProgressError),
    "less than 0": ({"progress": -0.01}, InvalidProgressError),
    "infinity": ({"progress": float("inf")}, InvalidProgressError),
    "a text for a number": ({"progress": "0.5"}, InvalidProgressError),
    "more steps than there are": ({"done": 5, "total": 4}, InvalidProgressError),
    "a status that does not exist": ({"status": "done"}, UsageError),
    "a task's status for a stage": ({"status": "cancelled"}, UsageError),
    "metadata that JSON cannot carry": ({"metadata": {"x": object()}}, InvalidParamsError),
    "a task that is over": ({"task_id": "over"}, TaskStateError),
    "a task that is not stored": ({"task_id": "missing"}, TaskNotFoundError),
    "an id that cannot be": ({"task_id": "a/b"}, InvalidTaskIdError),
}
FINISH: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "a status that ends nothing": ({"status": TaskStatus.IN_PROGRESS}, UsageError),
    "a status that may come back": ({"status": "lost"}, UsageError),
    "a status that does not exist": ({"status": "done"}, UsageError),
    "a task that is over": ({"task_id": "over"}, TaskStateError),
    "a task that is not stored": ({"task_id": "missing"}, TaskNotFoundError),
}
MISUSES = [
    pytest.param(method, arguments, error, id=f"{method}: {name}")
    for method, table in [("create_task_progress", CREATE), ("update_stage", UPDATE), ("finish_task", FINISH)]
    for name, (arguments, error) in table.items()
]
DEFAULTS = {
    "create_task_progress": {"task_id": "b", "template_id": "t"},
    "update_stage": {"task_id": "a", "stage": "generation", "message": "not to be stored"},
    "finish_task": {"task_id": "a"},
}


@pytest.mark.parametrize(("method", "arguments", "error"), MISUSES)
async def test_a_misuse_raises_and_stores_nothing(
    open_tracker: OpenTracker, redis: Redis, method: str, arguments: dict[str, Any], error: type[Exception]
) -> None:
    async with open_tracker() as tracker:
        await tracker.create_task_progress("a", "t", category="image_generation")
        await tracker.update_stage("a", "generation", progress=0.5)
        await tracker.create_task_progress("over", "t")
        await tracker.finish_task("over")
        before = everything(redis)
        with pytest.raises(error):
            await getattr(tracker, method)(**(DEFAULTS[method] | arguments))
    assert everything(redis) == before


@pytest.mark.parametrize(("task_id", "error"), [("missing", TaskNotFoundError), ("a b", InvalidTaskIdError)])
async def test_a_task_that_cannot_be_read_says_why(
    open_tracker: OpenTracker, task_id: str, error: type[Exception]
) -> None:
    async with open_tracker() as tracker:
        with pytest.raises(error, match=task_id):
            await tracker.get_progress(task_id)


# Reports argv[2] of the task "raced", argv[3] times, when told to go.
RACER = """
import asyncio, sys
from headway.tracker import ProgressTracker

async def main(stage, writes):
    async with ProgressTracker() as tracker:
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(1, writes + 1):
            await tracker.update_stage(
                "raced", stage, progress=number / writes, message=str(number), metadata={f"k{number}": number}
            )

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def test_changes_by_many_processes_at_the_same_instant_all_survive(
    open_tracker: OpenTracker, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    processes, writes = 6, 50
    stages = {f"stage_{number}": 1.0 for number in range(processes)}
    async with open_tracker() as tracker:
        await tracker.create_task_progress("raced", "t", stages=stages)
        racers = [start_python(RACER, stage, writes) for stage in stages]
        for racer in racers:
            assert racer.stdout.readline() == "ready\n", racer.communicate()[1]
        for racer in racers:
            print("go", file=racer.stdin, flush=True)
        for racer in racers:
            assert racer.communicate() == ("", "")
        task = await tracker.get_progress("raced")
    assert task.seq == 1 + processes * writes, "each write was made on the one before"
    for stage in task.stages:
        assert (stage.progress, stage.message) == (1.0, str(writes))
        assert stage.metadata == {f"k{number}": number for number in range(1, writes + 1)}


async def test_a_list_shows_the_newest_first_and_only_what_was_asked_for(open_tracker: OpenTracker) -> None:
    clock = Clock()
    async with open_tracker(clock=clock) as tracker:
        for number in range(6):
            clock.now = T0 + number
            await tracker.create_task_progress(f"task-{number}", "t")
        clock.now = T0 + 10
        for task_id in ("task-1", "task-4"):
            await tracker.finish_task(task_id)

        async def ids(**query: Any) -> list[str]:
            return [summary.task_id for summary in (await tracker.list_tasks(**query))[0]]

        assert await ids() == [f"task-{number}" for number in reversed(range(6))]
        assert await ids(status=TaskStatus.COMPLETED) == ["task-4", "task-1"]
        assert await ids(status=TaskStatus.FAILED) == []
        assert await ids(since=T0 + 5) == ["task-5", "task-4", "task-1"]
        assert await ids(status=TaskStatus.QUEUED, since=T0 + 3, limit=1) == ["task-5"]


async def test_following_the_cursor_shows_every_task_once_past_those_that_a_filter_leaves_out(
    open_tracker: OpenTracker,
) -> None:
    async with open_tracker(clock=Clock()) as tracker:
        for number in range(11):
            await tracker.create_task_progress(f"task-{number:02}", "t")
        for number in (0, 4, 5, 6, 10):
            await tracker.finish_task(f"task-{number:02}")
        for status, expected in [(None, 11), (TaskStatus.COMPLETED, 5), (TaskStatus.QUEUED, 6)]:
            seen: list[str] = []
            cursor = None
            while True:
                page, cursor = await tracker.list_tasks(status=status, limit=2, cursor=cursor)
                seen += [summary.task_id for summary in page]
                if cursor is None:
                    break
            assert seen == sorted(set(seen), reverse=True)
            assert len(seen) == expected


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1_001}, *({"cursor": c} for c in (
    "x", "1.0", "1.0:", "1.0:a b", "nan:a", "inf:a", ":a", "1.0:a:b",
))])  # fmt: skip
async def test_a_limit_or_a_cursor_that_is_none_is_refused(open_tracker: OpenTracker, query: Any) -> None:
    async with open_tracker() as tracker:
        with pytest.raises(UsageError, match="expected"):
            await tracker.list_tasks(**query)


async def test_a_task_whose_time_is_over_is_neither_read_nor_listed(
    open_tracker: OpenTracker, redis: Redis
) -> None:
    async with open_tracker() as tracker:
        for task_id in ("a", "b"):
            await tracker.create_task_progress(task_id, "t")
        redis.delete(keys.task("a"))  # as its expiry does
        assert [summary.task_id for summary in (await tracker.list_tasks())[0]] == ["b"]
        with pytest.raises(TaskNotFoundError):
            await tracker.update_stage("a", "queue", "completed")
        assert (await tracker.create_task_progress("a", "t")).seq == 1


async def test_a_state_of_a_newer_version_is_read_and_what_it_added_is_ignored(
    open_tracker: OpenTracker, redis: Redis
) -> None:
    async with open_tracker() as tracker:
        task: TaskProgress = await tracker.create_task_progress("a", "t")
        document = json.loads(task.to_json()) | {"invented_later": [1]}
        redis.hset(keys.task("a"), "data", json.dumps(document))
        assert await tracker.get_progress("a") == replace(task, seq=1)


async def test_whoever_takes_a_task_up_overtakes_a_worker_that_never_rests(open_tracker: OpenTracker) -> None:
    async with open_tracker() as tracker, open_tracker() as elsewhere:
        task = await tracker.create_task_progress("a", "t", stages={"run": 1.0})
        refusals = []

        async def work() -> None:
            for seq in range(2, 10_000):
                report = Report(task=replace(task, seq=seq, name=f"step {seq}"), run="old", worker="w")
                refusals.extend((await tracker.store.write([report])).values())
                if len(refusals) == 3:
                    return

        working = asyncio.create_task(work())
        while (await elsewhere.get_progress("a")).seq < 20:
            pass
        attached = await elsewhere.attach("a", run="new", worker="w")
        await asyncio.wait_for(working, 20)
        assert await elsewhere.get_progress("a") == attached.task
    assert attached.task.name == f"step {attached.task.seq - 1}", "it went on from the very last state"
    assert {(refusal.attempt, refusal.is_same_run) for refusal in refusals} == {(2, False)}


async def test_what_cannot_be_taken_up_is_left_as_it_was(open_tracker: OpenTracker, redis: Redis) -> None:
    async with open_tracker() as tracker:
        await tracker.create_task_progress("done", "t")
        await tracker.finish_task("done")
        before = everything(redis)
        with pytest.raises(TaskStateError, match="expected a task that is not completed"):
            await tracker.attach("done", run="r", worker="w")
        with pytest.raises(TaskNotFoundError):
            await tracker.attach("missing", run="r", worker="w")
        for read in (tracker.attach("../a", run="r", worker="w"), tracker.read_checkpoint("../a")):
            with pytest.raises(InvalidTaskIdError):
                await read
        assert await tracker.read_checkpoint("done") is await tracker.read_checkpoint("missing") is None
    assert everything(redis) == before
