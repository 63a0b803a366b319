"""What the predictor was told of one task, and what it has said of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headway.eta.blend import Prior
from headway.eta.calibration import Answer
from headway.eta.features import Features
from headway.eta.pace import Course
from headway.eta.pool import Array, Pool
from headway.eta.queueing import Moments
from headway.eta.runs import Family, Template


class Told:
    """What is known of one task that is not over."""

    def __init__(
        self,
        task_id: str,
        template_id: str,
        family: Family,
        template: Template,
        features: Features,
        now: float,
    ) -> None:
        self.task_id = task_id
        self.template_id = template_id
        self.family = family
        self.template = template
        self.features = features
        self.submitted = now
        self.stage = -1
        self.stage_began = now
        self.durations = [0.0] * len(family.stages)
        self.begun = [False] * len(family.stages)
        self.course: Course | None = None
        self.courses: dict[int, Course] = {}
        self.pool: Pool | None = None
        self.pool_of: tuple[int, int] | None = None
        # What each way of weighing runs expected when the task was first asked for.
        self.experts: Array | None = None
        self.priors: dict[int, Prior] = {}
        self.answers: list[Answer] = []
        self.ways: tuple[float, float] | None = None
        # The finish times last given, and since when nothing was heard.
        self.given: tuple[float, float, float] | None = None
        self.given_for: tuple[object, ...] = ()
        self.needs: tuple[float, Moments] | None = None
        # Whether a worker was free for it when it was submitted.
        self.was_idle = False
        # Facts that only the record carries.
        self.facts: dict[str, Any] = {}
        self.weights: Sequence[float] | None = None
