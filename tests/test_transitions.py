"""What may become of a task, and what may not."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from headway import transitions
from headway.errors import (
    HeadwayError,
    InvalidProgressError,
    StageOrderError,
    TaskCancelled,
    TaskStateError,
    UnknownStageError,
)
from headway.estimates import Estimate
from headway.models import StageStatus, TaskProgress, TaskStatus
from headway.stages import STAGE_DEFINITIONS
from headway.timestamps import Timestamp

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


def interrupted_task() -> TaskProgress:
    """A task that did 40 % of its generation from 3 to 7 and was not heard of again."""
    task = transitions.start_stage(new_task(), "model_loading", now=at(1))
    task = transitions.start_stage(task, "generation", now=at(3))
    return transitions.update_stage(task, "generation", now=at(7), progress=0.4, message="step 4")


def test_a_lost_task_keeps_its_last_word_and_has_no_estimate() -> None:
    eta = Estimate(low=at(8), median=at(9), high=at(10), basis="pace")
    task = replace(interrupted_task(), eta=eta)
    lost = transitions.lose(task, now=at(12))
    assert lost == replace(task, status=TaskStatus.LOST, eta=None, lost_at=at(12))
    assert (lost.updated_at, lost.changed_at) == (at(7), at(12))
    assert transitions.lose(lost, now=at(20)) is lost, "it is lost once"


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_task_that_is_over_is_not_lost(status: str) -> None:
    over = transitions.finish(interrupted_task(), TaskStatus(status), now=at(8))
    assert transitions.lose(over, now=at(20)) is over


def test_a_lost_task_whose_worker_is_heard_again_is_in_progress() -> None:
    lost = transitions.lose(interrupted_task(), now=at(12))
    back = transitions.begin(lost, now=at(13))
    assert (back.status, back.lost_at, back.started_at) == (TaskStatus.IN_PROGRESS, None, lost.started_at)


def test_the_next_attempt_goes_on_where_the_last_one_ended() -> None:
    lost = transitions.lose(interrupted_task(), now=at(12))
    task = transitions.resume(lost, now=at(107))
    assert (task.attempt, task.status, task.lost_at) == (2, TaskStatus.IN_PROGRESS, None)
    assert (task.created_at, task.started_at, task.updated_at) == (at(0), at(1), at(107))
    assert task.stages[:2] == lost.stages[:2], "what was finished stays as it was"
    assert task.overall_progress == lost.overall_progress
    generation = task.stages[2]
    assert (generation.status, generation.progress, generation.message) == ("in_progress", 0.4, "step 4")
    assert generation.started_at == at(103), "the 100 s in which nobody worked are left out"
    over = transitions.update_stage(task, "generation", now=at(109), status=StageStatus.COMPLETED)
    assert over.stages[2].duration == 6.0


def test_an_attempt_after_one_that_failed_has_its_error_no_more() -> None:
    failed = transitions.finish(interrupted_task(), TaskStatus.FAILED, now=at(8), error="ValueError: x")
    task = transitions.resume(failed, now=at(20))
    assert (task.status, task.error, task.finished_at) == (TaskStatus.IN_PROGRESS, None, None)
    generation = task.stages[2]
    assert (generation.status, generation.error, generation.duration) == ("in_progress", None, None)
    assert (generation.finished_at, generation.started_at) == (None, at(15))
    assert generation.progress == 0.4


def test_an_attempt_after_one_that_was_cancelled_runs_the_stage_that_was_left() -> None:
    task = transitions.resume(
        transitions.finish(interrupted_task(), TaskStatus.CANCELLED, now=at(8)), now=at(20)
    )
    assert (task.status, task.stages[2].status, task.stages[2].finished_at) == (
        TaskStatus.IN_PROGRESS,
        StageStatus.IN_PROGRESS,
        None,
    )


def test_a_task_that_never_began_waits_in_its_queue_again() -> None:
    task = transitions.resume(transitions.lose(new_task(), now=at(5)), now=at(6))
    assert (task.status, task.started_at, statuses(task)) == (
        TaskStatus.QUEUED,
        None,
        ["in_progress", "pending", "pending", "pending"],
    )


def test_between_two_stages_there_is_none_to_go_on_with() -> None:
    task = transitions.update_stage(interrupted_task(), "generation", now=at(8), status=StageStatus.COMPLETED)
    assert transitions.resume(task, now=at(20)).stages == task.stages


def test_a_clock_that_was_set_back_makes_no_stage_longer() -> None:
    task = transitions.resume(interrupted_task(), now=at(2))
    assert task.stages[2].started_at == at(3)


def test_a_completed_task_is_not_taken_up() -> None:
    done = transitions.finish(interrupted_task(), TaskStatus.COMPLETED, now=at(8))
    with pytest.raises(TaskStateError, match="expected a task that is not completed, but 'a-1' is"):
        transitions.resume(done, now=at(9))


def test_a_task_that_was_cancelled_before_it_began_is_not_taken_up() -> None:
    cancelled = transitions.finish(new_task(), TaskStatus.CANCELLED, now=at(1))
    with pytest.raises(TaskCancelled, match="task 'a-1' was cancelled by somebody"):
        transitions.resume(cancelled, now=at(2))


ACTIONS = st.one_of(
    st.tuples(st.just("start"), st.sampled_from(STAGES)),
    st.tuples(
        st.just("update"), st.sampled_from(STAGES), st.floats(0, 1), st.sampled_from([None, *StageStatus])
    ),
    st.tuples(st.just("counts"), st.sampled_from(STAGES), st.integers(-1, 20), st.integers(-1, 20)),
    st.tuples(st.just("finish"), st.sampled_from(["completed", "failed", "cancelled"])),
    st.tuples(st.just("derive")),
    st.tuples(st.just("lose")),
    st.tuples(st.just("begin")),
    st.tuples(st.just("resume")),
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
        case ("lose",):
            return transitions.lose(task, now=now)
        case ("begin",):
            return transitions.begin(task, now=now)
        case ("resume",):
            return transitions.resume(task, now=now)
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
        except (HeadwayError, TaskCancelled):
            assert task is before
            continue
        assert task.overall_progress >= before.overall_progress
        assert 0.0 <= task.overall_progress <= 100.0
        for old, new in zip(before.stages, task.stages, strict=True):
            assert new.progress >= old.progress
            assert (new.duration is not None) <= new.status.is_over or new.duration >= 0.0
        assert (task.finished_at is not None) == task.status.is_over
        assert (task.lost_at is not None) == (task.status is TaskStatus.LOST)
        assert TaskProgress.from_json(task.to_json()) == task
