"""The estimate without history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import transitions
from headway.eta.pace import MAX_SAMPLES, Pace
from headway.models import TaskProgress, TaskStatus, Timestamp
from headway.stages import STAGE_DEFINITIONS


def in_stage(stage: str, *, since: float) -> TaskProgress:
    task = transitions.create("a-1", "sdxl", STAGE_DEFINITIONS["image_generation"], now=Timestamp(0))
    return transitions.start_stage(task, stage, now=Timestamp(since))


def run(pace: Pace, task: TaskProgress, reports: list[tuple[float, float]]) -> TaskProgress:
    for now, progress in reports:
        task = transitions.update_stage(task, task.current_stage or "", now=Timestamp(now), progress=progress)
        stage = task.stage(task.current_stage or "")
        assert stage is not None
        pace.observe(stage, now=now)
    return task


def test_nothing_is_said_before_anything_is_known() -> None:
    pace = Pace()
    queued = transitions.create("a-1", "sdxl", STAGE_DEFINITIONS["image_generation"], now=Timestamp(0))
    assert pace.estimate(queued, now=5) is None
    assert pace.estimate(in_stage("model_loading", since=1), now=5) is None
    over = transitions.finish(queued, TaskStatus.COMPLETED, now=Timestamp(6))
    assert pace.estimate(over, now=7) is None


def test_a_steady_stage_ends_when_its_pace_says() -> None:
    pace = Pace()
    task = run(pace, in_stage("generation", since=0), [(t, t / 100) for t in range(1, 51)])
    estimate = pace.estimate(task, now=50)
    assert estimate is not None
    rest = 100 / 0.7 * 0.1  # post-processing, by the weights
    assert estimate.median == pytest.approx(100 + rest, rel=0.02)
    assert estimate.low <= estimate.median <= estimate.high
    assert estimate.basis == "pace of the current stage"


def test_a_slow_first_step_widens_the_range_and_does_not_rule_it() -> None:
    pace = Pace()
    reports = [(20.0, 0.05)] + [(20.0 + i, 0.05 + 0.05 * i) for i in range(1, 10)]
    task = run(pace, in_stage("generation", since=0), reports)
    estimate = pace.estimate(task, now=29)
    assert estimate is not None
    assert estimate.median - 29 < 20, "ten steps of a second are left, and the post-processing"
    assert estimate.high - 29 > 29, "by the whole pace it would be as long again"


def test_silence_moves_the_end_away() -> None:
    pace = Pace()
    task = run(pace, in_stage("generation", since=0), [(t, t / 100) for t in range(1, 51)])
    soon, later = pace.estimate(task, now=51), pace.estimate(task, now=80)
    assert soon is not None
    assert later is not None
    assert later.median > soon.median + 20


def test_the_weights_speak_for_a_last_stage_without_progress() -> None:
    pace = Pace()
    task = run(pace, in_stage("generation", since=0), [(t, t / 70) for t in range(1, 71)])
    task = transitions.start_stage(task, "post_processing", now=Timestamp(70))
    estimate = pace.estimate(task, now=72)
    assert estimate is not None
    assert estimate.median == pytest.approx(80, abs=0.1)
    assert (estimate.low - 72, estimate.high - 72) == (pytest.approx(4), pytest.approx(16))
    assert estimate.basis == "pace of the stages before"
    assert pace.estimate(task, now=85) is None, "it takes longer than the weights said: unknown"


@given(
    st.lists(st.tuples(st.floats(0.001, 50), st.floats(0, 1)), max_size=300),
    st.floats(0, 1_000),
)
def test_an_estimate_is_never_in_the_past_and_its_range_is_in_order(
    steps: list[tuple[float, float]], silence: float
) -> None:
    pace, now = Pace(), 0.0
    task = in_stage("generation", since=0)
    for gap, progress in steps:
        now += gap
        task = run(pace, task, [(now, progress)])
    assert len(pace._samples) <= MAX_SAMPLES + 1
    estimate = pace.estimate(task, now=now + silence)
    if estimate is not None:
        assert now + silence <= estimate.low <= estimate.median <= estimate.high < float("inf")
