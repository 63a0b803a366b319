"""What the user's code sees: stages, loops, updates, and errors at once."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from headway.errors import (
    InvalidParamsError,
    InvalidProgressError,
    StageOrderError,
    TaskStateError,
    TotalMismatchError,
    UnknownStageError,
)
from headway.models import TaskProgress, TaskStatus
from headway.worker.task import Task, new_task_id

NewTask = Callable[..., Task]


def statuses(task: Task) -> list[str]:
    return [stage.status.value for stage in task.progress.stages]


def stage_of(task: Task, stage_id: str) -> Any:
    stage = task.progress.stage(stage_id)
    assert stage is not None
    return stage


def test_the_blocks_of_a_task_become_its_stages(new_task: NewTask) -> None:
    with new_task() as task:
        with task.stage("model_loading", message="reading weights"):
            assert statuses(task) == ["completed", "in_progress", "pending", "pending"]
            time.sleep(0.02)
        for _ in task.track(range(10), stage="generation"):
            assert task.progress.current_stage == "generation"
        with task.stage("post_processing"):
            pass
    progress = task.progress
    assert progress.status is TaskStatus.COMPLETED
    assert progress.overall_progress == 100.0
    assert statuses(task) == ["completed"] * 4
    assert progress.stages[1].message == "reading weights"
    assert 0.02 <= (progress.stages[1].duration or 0) < 1
    assert (progress.stages[2].done, progress.stages[2].total) == (10, 10)


def test_an_exception_fails_the_stage_and_the_task_and_goes_on(new_task: NewTask) -> None:
    task = new_task()
    with pytest.raises(ValueError, match="bad seed"), task, task.stage("generation"):
        raise ValueError("bad seed")
    assert task.progress.status is TaskStatus.FAILED
    assert task.progress.error == stage_of(task, "generation").error == "ValueError: bad seed"
    assert statuses(task) == ["completed", "skipped", "failed", "pending"]


def test_an_exception_in_a_loop_fails_its_stage(new_task: NewTask) -> None:
    task = new_task()
    with pytest.raises(RuntimeError), task:
        for step in task.track(range(10), stage="generation"):
            if step == 4:
                raise RuntimeError("out of memory")
    generation = stage_of(task, "generation")
    assert (generation.status, generation.done) == ("failed", 4)


def test_an_interrupt_cancels(new_task: NewTask) -> None:
    task = new_task()
    with pytest.raises(KeyboardInterrupt), task, task.stage("generation"):
        raise KeyboardInterrupt
    assert task.progress.status is TaskStatus.CANCELLED


def test_a_failed_stage_can_be_followed_when_the_code_goes_on(new_task: NewTask) -> None:
    with new_task() as task:
        with pytest.raises(OSError, match="cache"), task.stage("model_loading"):
            raise OSError("cache")
        with task.stage("generation"):
            pass
    assert statuses(task) == ["completed", "failed", "completed", "skipped"]
    assert task.progress.status is TaskStatus.COMPLETED


def test_a_break_leaves_the_stage_to_the_next_one(new_task: NewTask) -> None:
    with new_task() as task:
        for step in task.track(range(100), stage="generation"):
            if step == 20:
                break
        assert stage_of(task, "generation").status == "in_progress"
        assert stage_of(task, "generation").progress == pytest.approx(0.2)
        with task.stage("post_processing"):
            assert stage_of(task, "generation").status == "completed"


def test_nested_loops_fill_the_step_of_the_one_around_them(new_task: NewTask) -> None:
    with new_task() as task:
        seen = []
        for _ in task.track(range(4), stage="generation"):
            for _ in task.track(range(5)):
                seen.append(stage_of(task, "generation").progress)
        assert seen == pytest.approx([i / 20 for i in range(20)])
        assert stage_of(task, "generation").done == 4


def test_an_inner_loop_that_is_left_early_counts_no_more(new_task: NewTask) -> None:
    with new_task() as task:
        for outer in task.track(range(4), stage="generation"):
            for inner in task.track(range(100)):
                if inner == 50:
                    break
            assert stage_of(task, "generation").progress == pytest.approx((outer + 0.5) / 4)
        assert stage_of(task, "generation").progress == 1.0


def test_two_loops_one_after_the_other_share_an_open_stage(new_task: NewTask) -> None:
    with new_task() as task, task.stage("generation"):
        for _ in task.track(range(3)):
            pass
        for _ in task.track(range(7)):
            assert stage_of(task, "generation").total == 7
        assert stage_of(task, "generation").status == "in_progress"


def test_without_a_stage_the_heaviest_one_begins(new_task: NewTask) -> None:
    task = new_task()
    task.update(0.25)
    assert task.progress.current_stage == "generation"
    assert task.progress.status is TaskStatus.IN_PROGRESS
    other = new_task()
    assert list(other.track("abc")) == ["a", "b", "c"]
    assert stage_of(other, "generation").status == "completed"


def test_update_says_how_far_the_stage_is(new_task: NewTask) -> None:
    with new_task() as task, task.stage("generation", total=40) as stage:
        stage.update(done=10, message="denoising", metadata={"sigma": 0.5})
        found = stage_of(task, "generation")
        assert (found.progress, found.done, found.total) == (0.25, 10, 40)
        assert (found.message, found.metadata) == ("denoising", {"sigma": 0.5})
        task.update(metadata={"cfg": 7})
        task.update(0.125)
        found = stage_of(task, "generation")
        assert found.metadata == {"sigma": 0.5, "cfg": 7}
        assert found.progress == 0.25, "progress never falls"
        task.update(stage="generation", done=11)
        assert stage_of(task, "generation").progress == 0.275


WRONG: list[tuple[str, Callable[[Task], object], type[Exception], str]] = [
    ("unknown stage", lambda task: task.stage("denoising"), UnknownStageError, "post_processing"),
    ("unknown stage of a loop", lambda task: task.track([], stage="x"), UnknownStageError, "got 'x'"),
    ("unknown stage of an update", lambda task: task.update(0.1, stage="x"), UnknownStageError, "got 'x'"),
    ("NaN", lambda task: task.update(math.nan), InvalidProgressError, "from 0 to 1, got nan"),
    ("above 1", lambda task: task.update(1.5), InvalidProgressError, "1.5 / 100"),
    ("below 0", lambda task: task.update(-0.1), InvalidProgressError, "got -0.1"),
    ("more done than told before", lambda task: task.update(done=41), InvalidProgressError, "at most 40"),
    ("a total below what is done", lambda task: task.update(total=3), InvalidProgressError, "at most 3"),
    ("a total of none", lambda task: task.stage("generation", total=0), InvalidProgressError, "1 or more"),
    (
        "a total that is no number",
        lambda task: task.stage("generation", total="9"),
        InvalidProgressError,
        "got '9'",
    ),
    (
        "metadata without JSON",
        lambda task: task.update(metadata={"x": object()}),
        InvalidParamsError,
        "metadata",
    ),
    (
        "too much metadata",
        lambda task: task.update(metadata={"y": "z" * 10_000}),
        InvalidParamsError,
        "at most",
    ),
    (
        "a stage within a stage",
        lambda task: task.update(0.1, stage="post_processing"),
        StageOrderError,
        "nested",
    ),
    (
        "a stage before this one",
        lambda task: task.track([], stage="model_loading"),
        StageOrderError,
        "nested",
    ),
    ("too short a loop", lambda task: list(task.track([1], total=2)), TotalMismatchError, "ended after 1"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_mistake_raises_at_once_and_changes_nothing(
    new_task: NewTask, wrong: Callable[[Task], object], error: type[Exception], message: str
) -> None:
    with new_task() as task, task.stage("generation", total=40):
        task.update(done=10, metadata={"x": "z" * 10_000})
        before = task.progress
        with pytest.raises(error, match=message):
            wrong(task)
        after = task.progress
    if error is not TotalMismatchError:
        assert after == before


def test_stages_do_not_nest_and_do_not_go_back(new_task: NewTask) -> None:
    with new_task() as task:
        with task.stage("generation"), pytest.raises(StageOrderError), task.stage("generation"):
            pass
        with pytest.raises(StageOrderError, match="still to come"), task.stage("model_loading"):
            pass
        with task.stage("post_processing"):
            pass
        with pytest.raises(StageOrderError):
            task.update(0.5)


def test_the_queue_can_be_a_block_too(new_task: NewTask) -> None:
    with new_task() as task:
        with task.stage("queue", message="third in line"):
            assert stage_of(task, "queue").message == "third in line"
        assert statuses(task)[0] == "completed"


def test_a_task_that_is_over_refuses_reports(new_task: NewTask) -> None:
    task = new_task()
    task.complete()
    for report in (
        lambda: task.update(0.5),
        task.complete,
        lambda: task.fail("late"),
        lambda: task.track([]),
    ):
        with pytest.raises(TaskStateError, match="is completed"):
            report()
    failed = new_task()
    with failed:
        failed.fail("the model refused")
    assert (failed.progress.status, failed.progress.error) == (TaskStatus.FAILED, "the model refused")


def test_new_ids_tell_what_they_are_and_differ() -> None:
    first, second = new_task_id("SDXL / Portrait é"), new_task_id("SDXL / Portrait é")
    assert first.startswith("sdxl-portrait-")
    assert first != second
    assert new_task_id("日本").startswith("task-")


def test_a_task_says_what_it_is(new_task: NewTask, capsys: pytest.CaptureFixture[str]) -> None:
    task = new_task(task_id="cat-1")
    assert repr(task) == "<Task cat-1: queued in queue, 0 %>"
    task.complete()
    task._ipython_display_()
    assert capsys.readouterr().out == "<Task cat-1: completed, 100 %>\n"


def test_what_a_loop_counts_wins_over_what_update_says(new_task: NewTask) -> None:
    with new_task() as task:
        for step in task.track((i for i in range(10)), stage="generation"):
            if step == 5:
                task.update(total=3)
                assert stage_of(task, "generation").total == 5
                task.update(total=20)
                assert stage_of(task, "generation").total == 20


def test_every_snapshot_has_a_number_above_the_last(
    new_task: NewTask, stored: Callable[[Task], TaskProgress | None], wait_until: Callable[..., Any]
) -> None:
    task = new_task()
    seen = []
    for step in task.track(range(8), stage="generation"):
        wait_until(
            lambda: (found := stored(task)) and (found.stages[2].done or 0) == task.progress.stages[2].done
        )
        found = stored(task)
        assert found is not None
        seen.append(found.seq)
        assert found.stages[2].done in (step, None)
    assert seen == sorted(set(seen))


def test_a_loop_longer_than_its_stage_was_told_goes_on(new_task: NewTask) -> None:
    with new_task() as task, task.stage("generation", total=3):
        for _ in task.track(i for i in range(12)):
            _ = task.progress
        assert (stage_of(task, "generation").done, stage_of(task, "generation").total) == (12, 12)


def test_a_wrong_length_does_no_harm(new_task: NewTask) -> None:
    class Lying:
        def __len__(self) -> int:
            return 3

        def __iter__(self) -> Any:
            return iter(range(9_000))

    with new_task() as task:
        for item in task.track(Lying(), stage="generation"):
            if item % 1_000 == 0:
                _ = task.progress
    assert task.progress.status is TaskStatus.COMPLETED


def test_the_next_stages_loop_is_seen_from_its_first_item(new_task: NewTask) -> None:
    with new_task() as task:
        for stage in ("generation", "post_processing"):
            for item in task.track(range(10), stage=stage):
                if item == 3:
                    assert stage_of(task, stage).done == 3
                    break


def test_a_loop_that_was_left_is_not_around_the_next_one(new_task: NewTask) -> None:
    with new_task() as task, task.stage("generation"):
        for item in task.track(range(10)):
            if item == 3:
                break
        for _ in task.track(range(5)):
            pass
        found = stage_of(task, "generation")
        assert (found.progress, found.done, found.total) == (1.0, 5, 5)


def test_a_generator_is_closed_where_its_loop_is_left(new_task: NewTask) -> None:
    closed = []

    def items() -> Any:
        try:
            yield from range(10)
        finally:
            closed.append(True)

    with new_task() as task:
        for _ in task.track(items(), stage="generation"):
            break
        assert closed == [True]


def test_a_message_that_cannot_be_said_raises_in_the_caller(new_task: NewTask) -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("mute")

    task = new_task()
    with pytest.raises(RuntimeError, match="mute"):
        task.update(0.5, message=Mute())  # type: ignore[arg-type]
    task.update(0.5)
    assert stage_of(task, "generation").progress == 0.5


def test_counts_of_numpy_and_an_empty_batch_are_welcome(new_task: NewTask) -> None:
    with new_task() as task:
        with task.stage("model_loading", total=np.int64(4)) as stage:  # type: ignore[arg-type]
            stage.update(done=np.int64(1))  # type: ignore[arg-type]
            assert stage_of(task, "model_loading").progress == 0.25
        assert list(task.track([], stage="generation", total=0)) == []
        task.update(sum([1 / 49] * 49), stage="post_processing")
    assert task.progress.status is TaskStatus.COMPLETED


def test_an_asyncio_cancellation_cancels(new_task: NewTask) -> None:
    task = new_task()
    with pytest.raises(asyncio.CancelledError), task, task.stage("generation"):
        raise asyncio.CancelledError
    assert task.progress.status is TaskStatus.CANCELLED
