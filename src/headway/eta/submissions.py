"""A task's submission, in a predictor's words.

Whoever tells a predictor of tasks has it made when there is one to estimate: this module loads neither the
predictor nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.models import TaskProgress

if TYPE_CHECKING:
    from headway.eta.predictor import ETAPredictor


def submit(task: TaskProgress, predictor: ETAPredictor, at: float) -> None:
    """Tell a predictor that a task was submitted.

    Parameters
    ----------
    at
        UTC seconds since the epoch; of a later attempt, as far back as was worked on the task.
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
