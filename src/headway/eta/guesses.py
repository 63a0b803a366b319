"""What can be said without history, by the weights of the stages; and when a silence has lasted too long."""

from __future__ import annotations

from headway.eta.estimates import BY_WEIGHT, Look
from headway.eta.pool import Pool
from headway.eta.survival import Left
from headway.eta.told import Told

# A stage that takes so many times what nine in ten took, and was silent for so many of its longest silences
# and seconds, has stalled.
STALLED_TIMES, STALLED_SILENCES, STALLED_S = 3.0, 5.0, 1.0
STALLED_UNKNOWN_S = 30.0
# Without history the stages still to come are guessed by their weights: right within this factor.
WEIGHT_FACTOR = 2.0
# Weights speak for a stage without progress once this much of the task was timed.
MIN_TIMED_WEIGHT = 0.5
LEAST_MEDIAN_S = 1e-6


def look_by_weight(task: Told, elapsed: float) -> Look | None:
    """Guess a stage without progress by its weight, where most of the task was timed."""
    weights = task.weights
    if weights is None:
        return None
    first = 1 if task.family.has_queue else 0
    timed = [stage for stage in range(first, task.stage) if task.begun[stage]]
    timed_weight = sum(weights[stage] for stage in timed)
    if timed_weight < MIN_TIMED_WEIGHT * sum(weights):
        return None
    expected = sum(task.durations[stage] for stage in timed) / timed_weight * weights[task.stage]
    if elapsed >= expected:
        return None
    median = expected - elapsed
    left = Left(median / WEIGHT_FACTOR, median, median * WEIGHT_FACTOR)
    whole = add_by_weight(task, left, expected)
    return Look("weight", positive(whole), None, current=task.stage, stage_left=left, basis=BY_WEIGHT)


def add_by_weight(task: Told, left: Left, stage_s: float) -> Left:
    """Add the stages to come, as long as their weights say beside the running one's."""
    if task.weights is None:
        return left
    later = sum(task.weights[task.stage + 1 :])
    rest = stage_s / task.weights[task.stage] * later
    return Left(left.low + rest / WEIGHT_FACTOR, left.median + rest, left.high + rest * WEIGHT_FACTOR)


def positive(left: Left) -> Left:
    """Order the quantiles, with a median above 0."""
    low, median, high = left
    if 0.0 <= low <= median <= high and median >= LEAST_MEDIAN_S:  # nearly always
        return left
    median = max(median, LEAST_MEDIAN_S)
    return Left(min(max(low, 0.0), median), median, max(high, median))


def lateness(task: Told, pool: Pool, elapsed: float, ran: float) -> tuple[bool, bool]:
    """Whether a task takes longer than nine in ten did, and whether it has stalled."""
    late = ran > pool.left(task.family.run, None, 0.0).high
    course = task.course
    silence = elapsed - course.seen.updated if course is not None else elapsed
    stalled = (
        elapsed > STALLED_TIMES * pool.left(task.stage, None, 0.0).high
        and silence > STALLED_S
        and (course is None or silence > STALLED_SILENCES * course.longest)
    )
    return late, late and stalled
