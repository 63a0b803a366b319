"""The next attempt: it goes on where the last one ended, and what was finished stays as it was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

import headway
from headway.errors import (
    InvalidProgressError,
    InvalidTaskIdError,
    StageOrderError,
    TaskStateError,
    TotalMismatchError,
)
from headway.models import StageProgress, TaskProgress, TaskStatus
from headway.store import keys
from headway.tracker import ProgressTracker
from headway.worker.reporter import REPORTER
from headway.worker.task import Task

STAGES = {"load": 1.0, "run": 3.0, "save": 1.0}


@pytest.fixture(autouse=True)
def closed(redis: Redis) -> Iterator[None]:
    yield
    REPORTER.close()


def interrupted(*, message: str | None = "step 4", done: int = 4) -> TaskProgress:
    """Store an attempt that loaded, did 4 of 10 steps, and was not heard of again."""
    task = headway.task("sdxl", task_id="a", stages=STAGES, name="Cat", params={"steps": 10})
    with task.stage("load", message="reading weights"):
        task.update(metadata={"files": 3})
    with_total = task.track(range(10), stage="run", message=message)
    for step in with_total:
        if step == done:
            break
    task.flush()
    return task.progress


def stored(redis: Redis, task_id: str = "a") -> TaskProgress:
    data: Any = redis.hget(keys.task(task_id), "data")
    return TaskProgress.from_json(data)


def stage(task: Task, stage_id: str) -> StageProgress:
    found = task.progress.stage(stage_id)
    assert found is not None
    return found


def test_the_next_attempt_is_stored_when_attach_returns(redis: Redis) -> None:
    before = interrupted()
    run = redis.hget(keys.task("a"), "run")
    task = headway.attach("a")
    found = stored(redis)
    assert found.stages == task.progress.stages
    assert (found.attempt, found.status) == (2, TaskStatus.IN_PROGRESS)
    assert found.seq > before.seq
    assert redis.hmget(keys.task("a"), "attempt", "run") == [b"2", task._run.run.encode()]
    assert task._run.run.encode() != run
    assert (found.name, found.params, found.created_at) == (before.name, before.params, before.created_at)


def test_what_was_finished_keeps_its_times_and_the_interrupted_stage_goes_on(redis: Redis) -> None:
    before = interrupted()
    with headway.attach("a") as task:
        assert task.progress.stages[0] == before.stages[0]
        run = stage(task, "run")
        assert (run.status, run.done, run.total, run.progress) == ("in_progress", 4, 10, 0.4)
        assert run.message == "step 4"
        for _ in task.track(range(4, 10), initial=4):
            assert task.progress.overall_progress >= before.overall_progress
        with task.stage("save"):
            assert stage(task, "run").status == "completed"
    REPORTER.flush()
    found = stored(redis)
    assert (found.attempt, found.status, found.overall_progress) == (2, TaskStatus.COMPLETED, 100.0)
    assert found.stages[0] == before.stages[0]
    assert (found.stages[1].done, found.stages[1].total) == (10, 10)


def test_the_time_between_two_attempts_is_no_stages() -> None:
    now = time.time() - 3_600

    async def prepare() -> None:
        nonlocal now
        async with ProgressTracker(clock=lambda: now) as tracker:
            await tracker.create_task_progress("a", "t", stages=STAGES)
            await tracker.update_stage("a", "run", progress=0.1)
            now += 20
            await tracker.update_stage("a", "run", progress=0.4)

    asyncio.run(prepare())
    began = time.monotonic()
    with headway.attach("a") as task:
        elapsed = stage(task, "run").elapsed(time.time())
        assert elapsed is not None
        assert 20 <= elapsed <= 20 + time.monotonic() - began + 0.01
        task.update(0.9)
    duration = stage(task, "run").duration
    assert duration is not None
    assert 20 <= duration <= 20 + time.monotonic() - began + 0.01


def test_progress_of_all_never_falls_whatever_the_next_attempt_says(redis: Redis) -> None:
    before = interrupted().overall_progress
    with headway.attach("a") as task:
        seen = [task.progress.overall_progress]
        for step in task.track(range(10), stage="run"):  # all of it anew
            seen.append(task.progress.overall_progress)
            if step == 2:
                break
        task.update(0.1)
        seen.append(task.progress.overall_progress)
        task.update(0.7)
        seen.append(task.progress.overall_progress)
    assert seen[0] == seen[3] == before
    assert seen == sorted(seen)
    assert seen[-1] > before


class TestDoingAgainWhatIsFinished:
    @pytest.mark.parametrize("message", ["step 4", None])
    def test_a_block_shows_as_a_message_that_goes_back_afterwards(self, message: str | None) -> None:
        before = interrupted(message=message)
        with headway.attach("a") as task:
            with task.stage("load"):
                assert task.progress.current_stage == "run"
                assert stage(task, "run").message == "Load, again"
                assert task.progress.stages[0] == before.stages[0]
            assert stage(task, "run").message == message
            assert stage(task, "run").progress == 0.4
            with task.stage("run", message="on with it"):
                assert stage(task, "run").message == "on with it"
        assert task.progress.stages[0] == before.stages[0]

    def test_what_is_said_in_it_is_part_of_the_message(self) -> None:
        before = interrupted()
        with headway.attach("a") as task:
            with task.stage("load", message="from disk", total=4) as block:
                assert stage(task, "run").message == "Load, again: from disk"
                block.update(done=3, message="3 of 4", metadata={"files": 4})
                assert stage(task, "run").message == "Load, again: 3 of 4"
                for _ in task.track(range(5), message="counting"):
                    assert stage(task, "run").message == "Load, again: counting"
                    assert (stage(task, "run").done, stage(task, "run").total) == (4, 10)
            assert stage(task, "run").metadata == {}
            assert stage(task, "run").message == "step 4"
        assert task.progress.stages[0] == before.stages[0]

    def test_a_loop_and_an_update_that_name_the_stage_do_the_same(self) -> None:
        before = interrupted()
        with headway.attach("a") as task:
            for _ in task.track(range(3), stage="load"):
                assert stage(task, "run").message == "Load, again"
            assert stage(task, "run").message == "step 4"
            task.update(0.5, stage="load", message="by hand")
            assert stage(task, "run").message == "Load, again: by hand"
            assert stage(task, "run").progress == 0.4
            task.update(0.5, stage="run")
            assert (stage(task, "run").message, stage(task, "run").progress) == ("step 4", 0.5)
        assert task.progress.stages[0] == before.stages[0]

    def test_an_error_in_it_that_is_caught_changes_nothing(self) -> None:
        before = interrupted()
        with headway.attach("a") as task:
            with pytest.raises(OSError, match="cache"), task.stage("load"):
                raise OSError("cache")
            assert task.progress.stages[0] == before.stages[0]
            assert (stage(task, "run").status, stage(task, "run").message) == ("in_progress", "step 4")
        assert task.progress.status is TaskStatus.COMPLETED

    def test_an_error_in_it_that_passes_fails_the_task_and_not_the_finished_stage(self) -> None:
        before = interrupted()
        task = headway.attach("a")
        with pytest.raises(OSError, match="cache"), task, task.stage("load"):
            raise OSError("cache")
        assert (task.progress.status, task.progress.error) == (TaskStatus.FAILED, "OSError: cache")
        assert task.progress.stages[0] == before.stages[0]

    def test_a_loop_that_was_left_ends_with_the_next_stage(self) -> None:
        interrupted()
        with headway.attach("a") as task:
            for item in task.track(range(100), stage="load"):
                if item == 7:
                    break
            for _ in task.track(range(4, 10), stage="run", initial=4):
                assert stage(task, "run").message == "step 4"
            assert (stage(task, "run").done, stage(task, "run").status) == (10, "completed")

    def test_between_two_stages_it_leaves_the_last_one_as_it_was(self) -> None:
        interrupted(done=99)  # to the end of the loop
        before = stage(headway.attach("a"), "run")
        assert before.status == "completed"
        with headway.attach("a") as task:
            for stage_id in ("load", "run"):
                with task.stage(stage_id):
                    assert task.progress.status is TaskStatus.IN_PROGRESS
            assert stage(task, "run") == before
            with task.stage("save"):
                pass
        assert [found.status.value for found in task.progress.stages] == ["completed"] * 3

    def test_stages_are_not_nested_there_either(self) -> None:
        interrupted()
        with headway.attach("a") as task, task.stage("run"):
            with pytest.raises(StageOrderError, match="they are not nested"):
                task.update(0.5, stage="load")
            assert stage(task, "run").message == "step 4"


class TestCountingOn:
    def test_items_that_were_done_before_count_in(self) -> None:
        with headway.task("t", stages=STAGES) as task:
            seen = [
                (stage(task, "run").done, stage(task, "run").total, stage(task, "run").progress)
                for _ in task.track(range(3, 10), stage="run", initial=3)
            ]
            assert seen == [(done, 10, done / 10) for done in range(3, 10)]
            assert (stage(task, "run").done, stage(task, "run").status) == (10, "completed")

    def test_a_total_is_that_of_the_items_to_come(self) -> None:
        with headway.task("t", stages=STAGES) as task:
            for _ in task.track(iter(range(7)), stage="run", total=7, initial=3):
                assert stage(task, "run").total == 10
            with pytest.raises(TotalMismatchError, match="expected 10 items"):
                list(task.track(iter(range(7)), stage="save", total=10, initial=3))

    def test_nothing_left_to_do_completes_the_stage(self) -> None:
        interrupted()
        with headway.attach("a") as task:
            assert list(task.track(range(10, 10), stage="run", initial=10)) == []
            run = stage(task, "run")
        assert (run.done, run.total, run.progress, run.status) == (10, 10, 1.0, "completed")

    def test_a_loop_inside_fills_the_step_of_one_that_goes_on(self) -> None:
        with headway.task("t", stages=STAGES) as task:
            seen = [
                stage(task, "run").progress
                for _ in task.track(range(2, 4), stage="run", initial=2)
                for _ in task.track(range(5))
            ]
        assert seen == pytest.approx([i / 20 for i in range(10, 20)])

    def test_a_loop_inside_may_go_on_too(self) -> None:
        with headway.task("t", stages=STAGES) as task:
            seen = []
            for epoch in task.track(range(2, 4), stage="run", initial=2):
                first = 3 if epoch == 2 else 0
                for _ in task.track(range(first, 5), initial=first):
                    seen.append(stage(task, "run").progress)
        assert seen == pytest.approx([i / 20 for i in range(13, 20)])

    @pytest.mark.parametrize("initial", [-1, 1.5, "3", True])
    def test_what_is_no_count_is_refused(self, initial: Any) -> None:
        with headway.task("t", stages=STAGES) as task:
            with pytest.raises(InvalidProgressError, match="a count of items done before"):
                task.track(range(3), initial=initial)
            assert task.progress.status is TaskStatus.IN_PROGRESS


class TestWhatCanBeTakenUp:
    def test_a_failed_task(self, redis: Redis) -> None:
        first = headway.task("t", task_id="a", stages=STAGES)
        with pytest.raises(ValueError, match="bad seed"), first:
            first.update(0.4, stage="run")
            raise ValueError("bad seed")
        first.flush()
        with headway.attach("a") as task:
            assert (task.progress.status, task.progress.error) == (TaskStatus.IN_PROGRESS, None)
            assert (stage(task, "run").status, stage(task, "run").error) == ("in_progress", None)
            assert stage(task, "run").progress == 0.4
        REPORTER.flush()
        assert (stored(redis).status, stored(redis).attempt) == (TaskStatus.COMPLETED, 2)

    def test_a_cancelled_task(self) -> None:
        first = headway.task("t", task_id="a", stages=STAGES)
        with pytest.raises(KeyboardInterrupt), first:
            first.update(0.4, stage="run")
            raise KeyboardInterrupt
        first.flush()
        with headway.task("t", task_id="a", stages=STAGES, resume=True) as task:
            assert (task.progress.attempt, stage(task, "run").progress) == (2, 0.4)
            assert (task.progress.error, task.progress.finished_at) == (None, None)

    def test_one_that_was_cancelled_while_it_waited_is_not(self, redis: Redis) -> None:
        async def cancel(tracker: ProgressTracker) -> None:
            await tracker.create_task_progress("a", "t")
            await tracker.cancel("a", by="maria")

        REPORTER.call(cancel)
        for take_up in (
            lambda: headway.attach("a"),
            lambda: headway.task("t", task_id="a", resume=True),
        ):
            with pytest.raises(headway.TaskCancelled, match="cancelled by maria"):
                take_up()
        assert stored(redis).status is TaskStatus.CANCELLED

    def test_a_completed_one_is_not_and_begins_anew_where_that_is_asked_for(self, redis: Redis) -> None:
        with headway.task("t", task_id="a", stages=STAGES) as first:
            first.update(0.5, stage="run")
        first.flush()
        with pytest.raises(TaskStateError, match="expected a task that is not completed, but 'a' is"):
            headway.attach("a")
        assert stored(redis).attempt == 1
        task = headway.task("t", task_id="a", stages=STAGES, resume=True)
        task.flush()
        found = stored(redis)
        assert (found.attempt, found.status, found.overall_progress) == (2, TaskStatus.QUEUED, 0.0)
        assert found.created_at > first.progress.created_at

    def test_an_unknown_one_is_not_found_and_begins_where_that_is_asked_for(self, redis: Redis) -> None:
        with pytest.raises(headway.TaskNotFoundError, match="no task 'a' is stored"):
            headway.attach("a")
        with pytest.raises(InvalidTaskIdError):
            headway.attach("../a")
        headway.task("t", task_id="a", resume=True).flush()
        assert stored(redis).attempt == 1

    def test_one_of_other_stages_begins_anew(self, redis: Redis) -> None:
        interrupted()
        task = headway.task("sdxl", task_id="a", stages={"load": 1.0, "draw": 1.0}, resume=True)
        task.flush()
        found = stored(redis)
        assert (found.attempt, [stage.id for stage in found.stages]) == (2, ["load", "draw"])
        assert found.overall_progress == 0.0

    def test_without_an_id_there_is_nothing_to_resume(self, redis: Redis) -> None:
        with pytest.raises(headway.UsageError, match="give task_id= with resume=True"):
            headway.task("t", resume=True)
        assert headway.tasks() == []

    def test_one_that_runs_here_goes_on_in_the_newer_handle(self, redis: Redis) -> None:
        first = headway.task("t", task_id="a", stages=STAGES)
        first.update(0.4, stage="run")
        task = headway.attach("a")
        first.update(0.9)
        task.update(0.5)
        task.flush()
        assert (stored(redis).attempt, stored(redis).stages[1].progress) == (2, 0.5)
        assert REPORTER.find("a") is task._run
        with pytest.raises(TaskStateError, match="was taken up again"):
            first.flush(5)

    def test_one_that_the_tracker_made(self, redis: Redis) -> None:
        async def prepare() -> None:
            async with ProgressTracker() as tracker:
                await tracker.create_task_progress("a", "t", stages=STAGES)

        asyncio.run(prepare())
        with headway.attach("a") as task:
            task.update(0.5, stage="run")
        task.flush()
        assert (stored(redis).attempt, stored(redis).status) == (2, TaskStatus.COMPLETED)


def test_a_handle_that_was_replaced_says_so_also_when_it_has_nothing_new() -> None:
    interrupted()
    first = REPORTER.find("a")
    assert first is not None
    headway.attach("a")
    with pytest.raises(TaskStateError, match="was taken up again"):
        first.flush(1)


def test_a_handle_that_is_over_and_was_followed_by_another_run_says_so_too() -> None:
    first = headway.task("t", task_id="a", stages=STAGES)
    first.complete()
    first.flush()
    headway.task("t", task_id="a", stages=STAGES).flush()
    first.log("what nobody can store any more")
    with pytest.raises(TaskStateError, match="was taken up again"):
        first.flush(1)


def test_an_attached_task_that_nobody_has_entered_yet_keeps_its_lease(
    redis: Redis, wait_until: Callable[..., Any]
) -> None:
    interrupted()
    REPORTER.close()  # from here on this is another process
    headway.attach("a")
    ends: set[Any] = set()
    wait_until(lambda: ends.add(redis.zscore(keys.LEASES, REPORTER.worker)) or len(ends) == 4, 5)
