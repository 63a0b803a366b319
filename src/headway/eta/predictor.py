"""`ETAPredictor`: history in, estimates out. Without I/O and without a clock.

The method is that of a weighted pool of earlier runs, carried over to a task's parameters (`pool`), blended
with the running stage's own pace (`pace`), conditioned on what has passed (`survival`), with the queue apart
(`queueing`), and with ranges that are measured (`calibration`). `looks` puts the first four together.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headway.estimates import Estimate
from headway.eta.calibration import Answer, correct
from headway.eta.estimates import as_estimate
from headway.eta.features import read_features
from headway.eta.knowledge import Knowledge
from headway.eta.lessons import UNIT, Lesson, pack
from headway.eta.looks import FOLLOWS, Looks
from headway.eta.pace import Course
from headway.eta.survival import Left
from headway.eta.told import Told
from headway.models import StageStatus, TaskStatus
from headway.records import StageRecord, TaskHistory
from headway.timestamps import Timestamp

# Tasks that were submitted and never ended: the oldest are forgotten.
KEPT_TASKS = 20_000
# An answer is scored when the elapsed time is by so much beyond that of the last one, or of another kind.
APART = 1.15
MAX_ANSWERS = 32
# Whoever is told of ten years is told nothing.
MAX_LEFT_S = 10 * 365 * 86_400.0
LEAST_S = 1e-3
# Thirty thousand years after the epoch.
MAX_INSTANT_S = 1e12


class ETAPredictor:
    """Learns how long tasks take, and says when those that run will end.

    It is told what happens, in the order in which it happens, by whoever runs tasks; every instant is given
    to it, in seconds on one clock of the caller's choice (UTC for `learn`ed records to be in order). It is
    not thread-safe.

    Its memory is bounded: 150 runs a template, 500 templates of each list of stages, 20,000 tasks that are
    not over; the oldest are dropped first.

    See Also
    --------
    headway.records.TaskHistory : what it learns from, and what `completed` returns.

    Examples
    --------
    >>> predictor = ETAPredictor()
    >>> predictor.submitted("a", "portrait", {"steps": 30}, ["queue", "generation"], now=0.0)
    >>> predictor.progressed("a", "generation", 0.0, now=1.0)
    >>> predictor.progressed("a", "generation", 0.5, now=11.0)
    >>> round(predictor.predict("a", now=11.0).median)
    21
    """

    def __init__(self) -> None:
        self._knowledge = Knowledge()
        self._looks = Looks(self._knowledge)
        self._tasks: OrderedDict[str, Told] = OrderedDict()
        self._now = 0.0

    def submitted(
        self,
        task_id: str,
        template_id: str,
        params: Mapping[str, Any],
        stages: Sequence[str],
        now: float,
        *,
        weights: Sequence[float] | None = None,
        template_version: str | None = None,
        category: str | None = None,
        device: str | None = None,
        attempt: int = 1,
    ) -> None:
        """Take note of a task that was submitted.

        Parameters
        ----------
        task_id
            Names the task; one of the same name that is not over is forgotten.
        template_id, template_version
            Tasks of one template and version are compared first.
        params
            JSON values. Numbers are compared on a log scale, short texts as labels, all of them for equality.
        stages
            The ids of the stages, in their order. A first one named ``queue`` is a wait for a worker, and all
            tasks that wait so are taken to wait for the same workers, first come, first served.
        now
            Seconds.
        weights
            The stages' weights, above 0, for a task like which none has completed.
        category, attempt
            Kept in the record.
        device
            What it runs on; compared as a label.
        """
        names = tuple(stages)
        if not names:
            raise ValueError("expected at least one stage, got none")
        if weights is not None and (
            len(weights) != len(names) or not all(0.0 < w < math.inf for w in weights)
        ):
            raise ValueError(
                f"expected a finite weight above 0 for each of {len(names)} stages, got {weights!r}"
            )
        now = self._instant(now)
        self.forget(task_id)
        self._looks.told += 1
        family = self._knowledge.family(names)
        template = self._knowledge.template(family, template_id, template_version)
        features = read_features(template_id, params, device=device)
        task = Told(task_id, template_id, family, template, features, now)
        if family.has_queue:
            task.was_idle = self._looks.line.is_idle
            follows = self._looks.line.join(task_id, task, template_id)
            features.numbers[FOLLOWS] = float(follows)
        task.weights = weights
        task.facts = {
            "template_version": template_version,
            "category": category,
            "device": device,
            "attempt": attempt,
            "params": dict(params),
        }
        self._tasks[task_id] = task
        if len(self._tasks) > KEPT_TASKS:
            self.forget(next(iter(self._tasks)))

    def progressed(self, task_id: str, stage: str, progress: float, now: float) -> None:
        """Take note that a stage runs and how far it is; the stages before it are over.

        Parameters
        ----------
        progress
            0 to 1, 0 at the stage's beginning. What is not finite, or not above what was said, is not heard.
        now
            Seconds.
        """
        task = self._tasks.get(task_id)
        if task is None:
            return
        self._looks.told += 1
        now = self._instant(now)
        if task.stage < 0 or task.family.stages[task.stage] != stage:
            if stage not in task.family.stages:
                return
            self._enter(task, task.family.stages.index(stage), now)
        if 0.0 < progress <= 1.0 and task.course is not None:
            task.course.observe(progress, now)

    def _instant(self, now: float) -> float:
        """Return an instant, or the last one that was possible for one that is not."""
        if -MAX_INSTANT_S < now < MAX_INSTANT_S:
            self._now = float(now)
        return self._now

    def _enter(self, task: Told, stage: int, now: float) -> None:
        self._close_stage(task, now)
        # A stage that is gone back to counts from as far back as it has lasted.
        task.stage, task.stage_began = stage, now - task.durations[stage]
        task.begun[stage] = True
        task.course = task.courses.setdefault(stage, Course(now))
        task.course.began = task.stage_began
        if not (task.family.has_queue and stage == 0):
            self._looks.line.start(task.task_id, task, waited=now - task.submitted if task.was_idle else None)

    def _close_stage(self, task: Told, now: float) -> None:
        if task.stage >= 0:
            task.durations[task.stage] = max(now - task.stage_began, 0.0)
        elif task.family.has_queue:
            task.durations[0] = max(now - task.submitted, 0.0)
            task.begun[0] = True

    def predict(self, task_id: str, now: float) -> Estimate | None:
        """Say when a task is expected to end.

        Parameters
        ----------
        now
            Seconds; not before what was told last.

        Returns
        -------
        Estimate or None
            Finish times on the clock of `now`. While nothing is heard of the task they never become earlier.
            Of two reports of progress at one instant, that of more never means later ones.
            ``None`` where nothing is known: no such task, or nothing comparable has completed and there is no
            pace.
        """
        task = self._tasks.get(task_id)
        if task is None or not -MAX_INSTANT_S < now < MAX_INSTANT_S:
            return None
        now = self._instant(now)
        look = self._looks.look(task, now)
        if look is None or not look.left.high <= MAX_LEFT_S:
            return None
        answer, left, coverage = self._corrected(task, look.kind, look.left, now)
        self._remember(task, answer)
        for kind, other in look.others:
            left = left.no_later(self._corrected(task, kind, other, now)[1])
        finishes = self._steady(task, now, left)
        usual = None if look.pool is None else look.pool.typical(task.family.rest(0))
        return as_estimate(
            look,
            finishes,
            names=task.family.stages,
            coverage=coverage,
            usual_s=usual,
            runs=task.template.count,
        )

    def _corrected(self, task: Told, kind: str, found: Left, now: float) -> tuple[Answer, Left, float | None]:
        """Return an answer, the seconds left by it, and how often such ranges held lately."""
        elapsed = max(now - task.submitted, 0.0)
        factors = task.template.calibration.factors(self._knowledge.calibration, kind)
        answer, median = correct(factors, kind, elapsed, found)
        return answer, Left(answer.low, median, answer.high), factors.held

    def _remember(self, task: Told, answer: Answer) -> None:
        """Keep an answer that is apart enough from the last, to score it when the task is over."""
        last = task.answers[-1] if task.answers else None
        is_apart = last is None or answer.kind != last.kind or answer.elapsed > APART * last.elapsed
        if is_apart:
            if len(task.answers) >= MAX_ANSWERS:
                del task.answers[1::2]
            task.answers.append(answer)

    def _steady(self, task: Told, now: float, left: Left) -> tuple[float, float, float]:
        """Return the finish times; while nothing is heard, none becomes earlier."""
        low, median, high = now + left.low, now + left.median, now + left.high
        # What is heard of others is news for who waits for them, and what was learned is news for all.
        news = self._looks.told if task.task_id in self._looks.line.waiting else 0
        course = task.course
        pace = None if course is None else course.seen[:2]
        heard = (task.stage, pace, task.pool_of, news)
        if task.given is not None and task.given_for == heard:
            low, median, high = max(low, task.given[0]), max(median, task.given[1]), max(high, task.given[2])
        task.given_for = heard
        least = now + LEAST_S
        median = max(median, least)
        task.given = min(max(low, now), median), median, max(high, median)
        return task.given

    def completed(self, task_id: str, now: float) -> TaskHistory | None:
        """Learn from a task that has completed.

        Returns
        -------
        TaskHistory or None
            Its record, for other predictors to `learn`; ``None`` for a task that is not known.
        """
        return self.ended(task_id, TaskStatus.COMPLETED, now)

    def ended(self, task_id: str, status: TaskStatus, now: float) -> TaskHistory | None:
        """Learn from a task that is over: of one that did not complete, that it took at least so long."""
        task = self._tasks.get(task_id)
        if task is None:
            return None
        now = self._instant(now)
        self._close_stage(task, now)
        self.forget(task_id)
        lesson = self._lesson(task, now) if status is TaskStatus.COMPLETED else None
        record = TaskHistory(
            task_id=task_id,
            template_id=task.template_id,
            status=status,
            submitted_at=Timestamp(task.submitted),
            finished_at=Timestamp(max(now, task.submitted)),
            stages=tuple(
                StageRecord(
                    id=stage,
                    duration_s=duration if begun else None,
                    status=StageStatus.COMPLETED if begun else StageStatus.SKIPPED,
                )
                for stage, duration, begun in zip(task.family.stages, task.durations, task.begun, strict=True)
            ),
            evidence=None if lesson is None else msgspec.to_builtins(lesson),
            **task.facts,
        )
        self._knowledge.take(
            record, task.family, task.template, task.features, task.durations, lesson, experts=task.experts
        )
        return record

    def _lesson(self, task: Told, now: float) -> Lesson:
        total = max(now - task.submitted, 0.0)
        readings: list[tuple[int, ...]] = []
        fits = []
        for stage, course in task.courses.items():
            true_log = math.log(max(task.durations[stage], 1e-9))
            for edge, (mean, later, recent, typical) in course.crossed:
                readings.append(
                    (
                        edge,
                        round(UNIT * (mean - true_log)),
                        round(UNIT * (later - true_log)),
                        round(UNIT * (recent - true_log)),
                        round(UNIT * (typical - true_log)),
                    )
                )
            prior = task.priors.get(stage)
            if prior is not None:
                z = (true_log - prior.log_s) / prior.sigma
                fits.append(round(UNIT * min(max(z, -99.0), 99.0)))
        log_total = math.log(max(total, 1e-9))
        return Lesson(
            readings=tuple(readings),
            fits=tuple(fits),
            answers=tuple([pack(answer, total - answer.elapsed) for answer in task.answers]),
            ways=tuple([round(UNIT * abs(math.log(max(way, 1e-9)) - log_total)) for way in task.ways or ()]),
        )

    def forget(self, task_id: str) -> None:
        """Forget a task that is not over."""
        self._looks.told += 1
        self._tasks.pop(task_id, None)
        self._looks.line.leave(task_id)

    def learn(self, record: TaskHistory) -> bool:
        """Learn from a task that ran elsewhere.

        Parameters
        ----------
        record
            What another predictor's `completed` returned, or a record of history. One that was learned is
            not learned again.

        Returns
        -------
        bool
            Whether it taught anything.
        """
        return self._knowledge.learn(record)

    def settle(self) -> None:
        """Take in now what was learned since the last question; else the next one does."""
        self._knowledge.settle()

    def expected_weights(self, task_id: str, *, least_runs: int = 3) -> tuple[float, ...] | None:
        """Return the expected seconds of each stage of a task, to weigh its progress by.

        Returns
        -------
        tuple of float or None
            Above 0, in the order of the stages; ``None`` while the template has fewer completed runs.
        """
        self._knowledge.settle()
        task = self._tasks.get(task_id)
        if task is None or task.template.count < least_runs:
            return None
        pool = self._looks.pool(task)
        if pool is None:
            return None
        return tuple(max(pool.typical(stage), LEAST_S) for stage in range(len(task.family.stages)))

    def to_bytes(self) -> bytes:
        """Write what was learned, without the tasks that are not over; see `from_bytes`."""
        return self._knowledge.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes, *more: bytes) -> ETAPredictor:
        """Make a predictor that knows what one or several others had learned.

        Parameters
        ----------
        data, more
            What their `to_bytes` returned. A run that several of them know is learned once, so that states
            may be merged in any order, and again.

        Raises
        ------
        ValueError
            When it is not such a state, or one of a later version.
        """
        predictor = cls()
        predictor._knowledge = Knowledge.from_bytes(data, *more)
        predictor._looks = Looks(predictor._knowledge)
        return predictor
