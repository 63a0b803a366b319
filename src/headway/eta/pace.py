"""The estimate that needs no history: the running stage's own pace, and the stages' weights for the rest.

Its range is the spread of several readings of one pace. It says how much they disagree; it is not calibrated.
"""

from __future__ import annotations

from collections import deque

from headway.models import Estimate, StageProgress, StageStatus, TaskProgress, Timestamp
from headway.transitions import QUEUE_STAGE

# Below this much of a stage, or of time in it, a rate is mostly noise.
MIN_PROGRESS = 0.01
MIN_ELAPSED_S = 0.5
# Enough samples to find the last third of a stage, whatever its rate: they are thinned as they grow.
MAX_SAMPLES = 64
# Weights are guesses made before the task was seen: right within a factor of two, at best.
WEIGHT_FACTOR = 2.0
# Whoever is told of ten years is told nothing.
MAX_LEFT_S = 10 * 365 * 86_400.0
# The weights speak for a stage without progress only once this much of the task has been timed.
MIN_TIMED_WEIGHT = 0.5


class Pace:
    """What was seen of a task's running stage, and the estimate that follows from it."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._samples: deque[tuple[float, float]] = deque()
        self._gap = 0.0

    def observe(self, stage: StageProgress, *, now: float) -> None:
        """Take note of the running stage's progress.

        Parameters
        ----------
        now
            UTC seconds since the epoch.
        """
        if stage.id != self._stage:
            self._stage, self._gap = stage.id, 0.0
            self._samples.clear()
        if stage.progress <= 0.0:
            return
        if self._samples and (
            stage.progress <= self._samples[-1][1] or now - self._samples[-1][0] < self._gap
        ):
            return
        self._samples.append((now, stage.progress))
        if len(self._samples) > MAX_SAMPLES:
            self._samples = deque(list(self._samples)[::2])
            self._gap = 2.0 * (self._samples[-1][0] - self._samples[0][0]) / MAX_SAMPLES

    def estimate(self, task: TaskProgress, *, now: float) -> Estimate | None:
        """Say when the task is expected to end.

        Parameters
        ----------
        now
            UTC seconds since the epoch.

        Returns
        -------
        Estimate or None
            ``None`` while neither the running stage's pace nor the weights say anything.
        """
        stage = task.stage(task.current_stage) if task.current_stage else None
        if stage is None or stage.status is not StageStatus.IN_PROGRESS or stage.id == QUEUE_STAGE:
            return None
        elapsed = stage.elapsed(now) or 0.0
        later = sum(other.weight for other in task.stages if other.status is StageStatus.PENDING)
        readings = sorted(self._readings(stage, elapsed, now=now))
        if readings:
            low, median, high = readings[0], readings[len(readings) // 2], readings[-1]
            rest = (elapsed + median) / stage.weight * later
            basis = "pace of the current stage"
        else:
            expected = self._expected_by_weight(task, stage)
            if expected is None or elapsed >= expected:
                return None
            median = expected - elapsed
            low, high = median / WEIGHT_FACTOR, median * WEIGHT_FACTOR
            rest = expected / stage.weight * later
            basis = "pace of the stages before"
        if high + rest * WEIGHT_FACTOR > MAX_LEFT_S:
            return None
        return Estimate(
            low=Timestamp(now + low + rest / WEIGHT_FACTOR),
            median=Timestamp(now + median + rest),
            high=Timestamp(now + high + rest * WEIGHT_FACTOR),
            basis=basis,
        )

    def _readings(self, stage: StageProgress, elapsed: float, *, now: float) -> list[float]:
        """Read the seconds left of the stage: by its whole pace, without its first step, by its end."""
        left = 1.0 - stage.progress
        if stage.id != self._stage or stage.progress < MIN_PROGRESS or elapsed < MIN_ELAPSED_S:
            return []
        if left <= 0.0:
            return [0.0]
        readings = [elapsed * left / stage.progress]
        started = now - elapsed
        for since in (started, started + elapsed * 2.0 / 3.0):
            at, progress = next((s for s in self._samples if s[0] >= since), (now, stage.progress))
            if stage.progress - progress >= MIN_PROGRESS:
                readings.append((now - at) * left / (stage.progress - progress))
        return readings

    def _expected_by_weight(self, task: TaskProgress, stage: StageProgress) -> float | None:
        """Seconds that the stage should take if it keeps to the pace per weight of those before it."""
        timed = [s for s in task.stages if s.status is StageStatus.COMPLETED and s.id != QUEUE_STAGE]
        weight = sum(s.weight for s in timed)
        if weight < MIN_TIMED_WEIGHT * sum(s.weight for s in task.stages):
            return None
        return sum(s.duration or 0.0 for s in timed) / weight * stage.weight
