"""Tasks that a predictor is told of, from their submission to their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headway.estimates import Estimate
from headway.eta.predictor import ETAPredictor
from headway.models import TaskStatus
from headway.records import TaskHistory

STAGES = ("queue", "preparation", "execution", "finalization")


def run(
    predictor: ETAPredictor,
    task_id: str,
    *,
    at: float,
    seconds: Sequence[float],
    params: Mapping[str, Any] | None = None,
    template: str = "portrait",
    stages: Sequence[str] = STAGES,
    reports: int = 0,
    ends: TaskStatus = TaskStatus.COMPLETED,
    is_asked: bool = True,
    **told: Any,
) -> TaskHistory:
    """Run one task whose stages take so many seconds; the one named execution reports so often."""
    predictor.submitted(task_id, template, params or {}, stages, at, **told)
    if is_asked:
        predictor.predict(task_id, at)
    now = at
    for stage, duration in zip(stages, seconds, strict=False):
        predictor.progressed(task_id, stage, 0.0, now)
        for report in range(1, reports + 1) if stage == "execution" else ():
            share = report / (reports + 1)
            predictor.progressed(task_id, stage, share, now + share * duration)
            if is_asked:
                predictor.predict(task_id, now + share * duration)
        now += duration
    record = predictor.ended(task_id, ends, now)
    assert record is not None
    return record


def left(predictor: ETAPredictor, task_id: str, now: float) -> tuple[float, float, float]:
    """Return the seconds that are said to be left: low, median, high."""
    estimate = asked(predictor, task_id, now)
    return estimate.low - now, estimate.median - now, estimate.high - now


def asked(predictor: ETAPredictor, task_id: str, now: float) -> Estimate:
    """Return the estimate, which there must be."""
    estimate = predictor.predict(task_id, now)
    assert estimate is not None
    return estimate
