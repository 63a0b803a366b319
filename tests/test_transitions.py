"""What may become of a task, and what may not."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import transitions
from headway.errors import (
    HeadwayError,
    InvalidProgressError,
    StageOrderError,
    TaskStateError,
    UnknownStageError,
)
from headway.models import StageStatus, TaskProgress, TaskStatus, Timestamp
from headway.stages import STAGE_DEFINITIONS

STAGES = ("queue", "model_loading", "generation", "post_processing")


def at(second: float) -> Timestamp:
    return Timestamp(1_000.0 + second)


def new_task() -> TaskProgress:
    return transitions.create("a-1", "sdxl", STAGE_DEFINITIONS["image_generation"], now=at(0))


def statuses(task: TaskProgress) -> list[str]:
    return [stage.status.value for stage in task.stages]


def test_a_new_task_waits_in_its_queue() -> None:
    task = new_task()
    assert task.status is TaskStatus.QUEUED
    assert task.current_stage == "queue"
    assert statuses(task) == ["in_progress", "pending", "pending", "pending"]
    assert task.overall_progress == 0.0


def test_starting_a_stage_completes_the_running_one_and_skips_those_between() -> None:
    task = transitions.start_stage(new_task(), "generation", now=at(3))
    assert statuses(task) == ["completed", "skipped", "in_progress", "pending"]
    assert task.status is TaskStatus.IN_PROGRESS
    assert task.stages[0].duration == 3.0
    assert task.overall_progress == pytest.approx(100 * 0.05 / 0.85)


@pytest.mark.parametrize("stage", ["queue", "model_loading", "generation"])
def test_a_stage_does_not_begin_twice_or_after_a_later_one(stage: str) -> None:
    task = transitions.start_stage(new_task(), "generation", now=at(1))
    with pytest.raises(StageOrderError, match=r"still to come \(post_processing\)"):
        transitions.start_stage(task, stage, now=at(2))


def test_an_unknown_stage_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownStageError, match="queue, model_loading, generation, post_processing"):
        transitions.start_stage(new_task(), "denoising", now=at(1))


@pytest.mark.parametrize("progress", [-0.01, 1.01, math.nan, math.inf, "0.5", True, [0.5]])
def test_progress_out_of_range_is_refused(progress: Any) -> None:
    with pytest.raises(InvalidProgressError, match="expected a progress from 0 to 1"):
        transitions.update_stage(new_task(), "generation", now=at(1), progress=progress)


def test_a_percentage_is_guessed_at() -> None:
    with pytest.raises(InvalidProgressError, match=r"for a percentage, pass 45 / 100"):
        transitions.check_fraction(45)


@pytest.mark.parametrize(
    ("done", "total"), [(-1, 10), (11, 10), (5, 0), (5, -1), (1.5, 10), (True, 10), (5, 2.5)]
)
def test_counts_that_do_not_fit_are_refused(done: Any, total: Any) -> None:
    with pytest.raises(InvalidProgressError, match="expected"):
        transitions.parse_fraction(None, done=done, total=total)


def test_completion_skips_what_never_ran_and_reaches_100() -> None:
    task = transitions.start_stage(new_task(), "generation", now=at(1))
    task = transitions.finish(task, TaskStatus.COMPLETED, now=at(9))
    assert statuses(task) == ["completed", "skipped", "completed", "skipped"]
    assert (task.overall_progress, task.finished_at, task.eta) == (100.0, at(9), None)


def test_failure_marks_the_running_stage_with_the_error() -> None:
    task = transitions.start_stage(new_task(), "generation", now=at(1))
    task = transitions.update_stage(task, "generation", now=at(2), progress=0.5)
    task = transitions.finish(task, TaskStatus.FAILED, now=at(3), error="ValueError: x")
    assert statuses(task) == ["completed", "skipped", "failed", "pending"]
    assert task.error == task.stages[2].error == "ValueError: x"
    assert task.stages[2].progress == 0.5


def test_a_task_that_is_over_takes_no_more() -> None:
    task = transitions.finish(new_task(), TaskStatus.CANCELLED, now=at(1))
    assert statuses(task) == ["in_progress", "pending", "pending", "pending"]
    assert task.stages[0].duration == 1.0
    with pytest.raises(TaskStateError, match="is cancelled"):
        transitions.finish(task, TaskStatus.COMPLETED, now=at(2))
    with pytest.raises(TaskStateError):
        transitions.start_stage(task, "generation", now=at(2))


def test_the_stages_decide_where_no_worker_does() -> None:
    task = transitions.update_stage(new_task(), "generation", now=at(1), status=StageStatus.IN_PROGRESS)
    task = transitions.derive_status(task, now=at(1))
    assert (task.status, task.started_at) == (TaskStatus.IN_PROGRESS, at(1))
    for stage in STAGES:
        task = transitions.update_stage(task, stage, now=at(2), status=StageStatus.COMPLETED)
    assert transitions.derive_status(task, now=at(2)).status is TaskStatus.COMPLETED
    waiting = transitions.update_stage(new_task(), "generation", now=at(3), progress=0.5)
    assert transitions.derive_status(waiting, now=at(3)) is waiting, "nothing has begun"
    begun = transitions.update_stage(waiting, "generation", now=at(4), status=StageStatus.IN_PROGRESS)
    queue = transitions.derive_status(begun, now=at(4)).stages[0]
    assert (queue.status, queue.duration) == (StageStatus.COMPLETED, 4.0)
    failed = transitions.update_stage(new_task(), "queue", now=at(1), status=StageStatus.FAILED)
    assert transitions.derive_status(failed, now=at(1)).error == "Queue failed"


ACTIONS = st.one_of(
    st.tuples(st.just("start"), st.sampled_from(STAGES)),
    st.tuples(
        st.just("update"), st.sampled_from(STAGES), st.floats(0, 1), st.sampled_from([None, *StageStatus])
    ),
    st.tuples(st.just("counts"), st.sampled_from(STAGES), st.integers(-1, 20), st.integers(-1, 20)),
    st.tuples(st.just("finish"), st.sampled_from(["completed", "failed", "cancelled"])),
    st.tuples(st.just("derive")),
)


def apply(task: TaskProgress, action: tuple[Any, ...], now: Timestamp) -> TaskProgress:
    match action:
        case ("start", stage):
            return transitions.start_stage(task, stage, now=now)
        case ("update", stage, progress, status):
            transitions.check_running(task)
            return transitions.update_stage(task, stage, now=now, progress=progress, status=status)
        case ("counts", stage, done, total):
            transitions.check_running(task)
            return transitions.update_stage(task, stage, now=now, done=done, total=total)
        case ("finish", status):
            return transitions.finish(task, TaskStatus(status), now=now)
        case _:
            return transitions.derive_status(task, now=now)


@given(st.lists(ACTIONS, max_size=25))
def test_whatever_is_done_progress_never_falls_and_the_json_comes_back(
    actions: list[tuple[Any, ...]],
) -> None:
    task = new_task()
    for second, action in enumerate(actions):
        before = task
        try:
            task = apply(task, action, at(second))
        except HeadwayError:
            assert task is before
            continue
        assert task.overall_progress >= before.overall_progress
        assert 0.0 <= task.overall_progress <= 100.0
        for old, new in zip(before.stages, task.stages, strict=True):
            assert new.progress >= old.progress
            assert (new.duration is not None) <= new.status.is_over or new.duration >= 0.0
        assert (task.finished_at is not None) == task.status.is_over
        assert TaskProgress.from_json(task.to_json()) == task
