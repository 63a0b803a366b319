"""A task's submission and its stages, in a predictor's words.

Whoever tells a predictor of tasks has it made when there is one to estimate: this module loads neither the
predictor nor numpy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from headway.models import StageProgress, TaskProgress

if TYPE_CHECKING:
    from headway.eta.predictor import ETAPredictor


def submit(task: TaskProgress, predictor: ETAPredictor, at: float) -> None:
    """Tell a predictor that a task was submitted.

    Parameters
    ----------
    at
        UTC seconds since the epoch; see `headway.records.submitted_at`.
    """
    predictor.submitted(
        task.task_id,
        task.template_id,
        task.params,
        [stage.id for stage in task.stages],
        at,
        weights=[stage.weight for stage in task.stages],
        template_version=task.template_version,
        category=task.category,
        device=task.device,
        attempt=task.attempt,
    )


def begun_stages(
    task: TaskProgress, submitted: float, now: float, *, after: str | None
) -> Iterator[tuple[float, StageProgress]]:
    """Go through the stages after one that have begun: when each did, and the stage.

    Parameters
    ----------
    submitted
        When that was, as the predictor was told.
    after
        The stage's id; ``None`` for all.
    """
    at, is_new = submitted, after is None
    for stage in task.stages:
        if is_new and stage.started_at is not None:
            yield float(stage.started_at) if task.attempt == 1 else at, stage
        is_new = is_new or stage.id == after
        at += stage.elapsed(now) or 0.0
