"""`ETAPredictor`: history in, estimates out. Without I/O and without a clock.

The method is that of a weighted pool of earlier runs, carried over to a task's parameters (`pool`), blended
with the running stage's own pace (`pace`), conditioned on what has passed (`survival`), with the queue apart
(`queueing`), and with ranges that are measured (`calibration`).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from headway.eta.calibration import Answer, correct
from headway.eta.estimates import BY_PACE, Look, as_estimate
from headway.eta.features import read_features
from headway.eta.guesses import (
    STALLED_SILENCES,
    STALLED_UNKNOWN_S,
    add_by_weight,
    lateness,
    look_by_weight,
    positive,
)
from headway.eta.knowledge import Knowledge
from headway.eta.lessons import UNIT, Lesson, pack
from headway.eta.pace import EDGES, Course, Prior, blend
from headway.eta.pool import Pool, build_pool
from headway.eta.queueing import SHORT_WAIT, Line, Moments, moments, quantiles, waits
from headway.eta.runs import WARM
from headway.eta.survival import Left
from headway.eta.told import Told
from headway.models import Estimate, StageStatus, TaskStatus, Timestamp
from headway.records import StageRecord, TaskHistory

# A parameter of our own: whether the worker has just run a task of the template, and so has its model loaded.
FOLLOWS = "follows"
# Tasks that were submitted and never ended: the oldest are forgotten.
KEPT_TASKS = 20_000
MIN_SIGMA = 0.02
# Quantiles of 10 and 90 % are this many sigmas from each other.
SPAN_80 = 2.563
# Of a mean absolute error: the standard deviation of a normal.
SIGMA_PER_ERROR = 1.25
# The pace leaves at least this share of what the mean pace leaves.
LEAST_LEFT = 0.25
MAX_LOG_SPREAD = 1.5
# Of the usual run time, the parts at which answers without progress are calibrated apart.
LATENESS = (0.25, 0.6, 1.0)
# Of a stage's progress, for answers with progress; some of the edges of `pace`.
STRETCHES = (0.22, 0.5, 0.8)
# An answer is scored when the elapsed time is by so much beyond that of the last one, or of another kind.
APART = 1.15
MAX_ANSWERS = 32
# Whoever is told of ten years is told nothing.
MAX_LEFT_S = 10 * 365 * 86_400.0
LEAST_S = 1e-3
# Thirty thousand years after the epoch.
MAX_INSTANT_S = 1e12
# What a running task still needs is not found anew for those that wait before this share of it has passed.
REMEMBERED = 0.05
# The order of a queue is found for all that wait at once, and again after so much time for each of them.
SCHEDULED_S = 0.001


class Ahead(NamedTuple):
    """A wait for a worker: its moments, how many tasks come first, and whether a worker is free already."""

    wait: Moments
    tasks: int
    is_idle: bool


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
        self._tasks: OrderedDict[str, Told] = OrderedDict()
        self._line: Line[Told] = Line()
        self._now = 0.0
        # How many things were told of any task.
        self._told = 0
        # Of the tasks that wait: as of when, after how much was told, and what was found.
        self._scheduled: tuple[float, int, dict[str, tuple[int, Moments]]] = (0.0, -1, {})

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
        self._told += 1
        family = self._knowledge.family(names)
        template = self._knowledge.template(family, template_id, template_version)
        features = read_features(template_id, params, device=device)
        task = Told(task_id, template_id, family, template, features, now)
        if family.has_queue:
            task.was_idle = self._line.is_idle
            follows = self._line.join(task_id, task, template_id)
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
        self._told += 1
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
            self._line.start(task.task_id, task, waited=now - task.submitted if task.was_idle else None)

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
            Finish times on the clock of `now`. While nothing is heard of the task they never become earlier,
            and where more progress was reported at the same instant they are not later.
            ``None`` where nothing is known: no such task, or nothing comparable has completed and there is no
            pace.
        """
        task = self._tasks.get(task_id)
        if task is None or not -MAX_INSTANT_S < now < MAX_INSTANT_S:
            return None
        now = self._instant(now)
        look = self._look(task, now)
        if look is None or not look.left.high <= MAX_LEFT_S:
            return None
        answer, left, coverage = self._corrected(task, look, now)
        self._remember(task, answer)
        if look.pace_share is not None and task.course is not None and task.course.has_passed:
            left = self._no_later(task, task.course, left, now)
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

    def _corrected(self, task: Told, look: Look, now: float) -> tuple[Answer, Left, float | None]:
        """Return an answer, the seconds left by it, and how often such ranges held lately."""
        elapsed = max(now - task.submitted, 0.0)
        factors = task.template.calibration.factors(self._knowledge.calibration, look.kind)
        answer, median = correct(factors, look.kind, elapsed, look.left)
        return answer, Left(answer.low, median, answer.high), factors.held

    def _no_later(self, task: Told, course: Course, left: Left, now: float) -> Left:
        """See that what holds from an edge on says no later end than what held just before it would."""
        elapsed = max(now - task.stage_began, 0.0)
        for before in course.just_before():
            look = self._look_by_pace(task, task.pool, before, self._rest(task), elapsed)
            _, other, _ = self._corrected(task, look, now)
            left = Left(min(left.low, other.low), min(left.median, other.median), min(left.high, other.high))
        return left

    def _rest(self, task: Told) -> int | None:
        """Return the column of what follows the running stage."""
        return task.family.rest(task.stage + 1) if task.stage + 1 < len(task.family.stages) else None

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
        news = self._told if task.task_id in self._line.waiting else 0
        course = task.course
        pace = None if course is None else (course.updated, course.progress)
        heard = (task.stage, pace, task.pool_of, news)
        if task.given is not None and task.given_for == heard:
            low, median, high = max(low, task.given[0]), max(median, task.given[1]), max(high, task.given[2])
        task.given_for = heard
        least = now + LEAST_S
        median = max(median, least)
        task.given = min(max(low, now), median), median, max(high, median)
        return task.given

    def _pool(self, task: Told) -> Pool | None:
        """Return the sample for a task: anew when its template has learned, or while that is cold."""
        self._knowledge.settle()
        template, family = task.template, task.family
        version = (template.version, 0 if template.count >= WARM else family.count)
        if task.pool_of == version:
            return task.pool
        # Tasks of equal parameters share a sample as long as one of them needs it.
        features = task.features
        key = (version, features.exact, features.numbers.get(FOLLOWS), features.words)
        is_first = task.pool is None
        pool = template.pools.get(key)
        if pool is None or (is_first and pool.experts is None):
            pool = build_pool(family, template, features, scored=is_first)
            if pool is not None:
                template.pools[key] = pool
        if is_first and pool is not None:
            task.experts = pool.experts
        task.pool, task.pool_of = pool, version
        return pool

    def _look(self, task: Told, now: float) -> Look | None:
        """Find the seconds left, before they are calibrated."""
        family, pool = task.family, self._pool(task)
        if task.task_id in self._line.waiting:
            return None if pool is None else self._look_from_queue(task, pool, now)
        if task.stage < 0:
            return None if pool is None else Look("start", pool.left(family.rest(0), None, 0.0), pool)
        elapsed = max(now - task.stage_began, 0.0)
        rest = self._rest(task)
        course = task.course
        if course is not None and course.progress > 0.0:
            return self._look_by_pace(task, pool, course, rest, elapsed)
        if pool is None:
            return look_by_weight(task, elapsed)
        left = pool.left(task.stage, rest, elapsed)
        ran = now - task.submitted - (task.durations[0] if family.has_queue else 0.0)
        share = ran / pool.typical(family.run)
        kind = "final" if rest is None else f"stage{sum(share >= edge for edge in LATENESS)}"
        stage_left = left if rest is None else pool.left(task.stage, None, elapsed)
        late, stalled = lateness(task, pool, elapsed, ran)
        return Look(
            kind, positive(left), pool, current=task.stage, stage_left=stage_left, late=late, stalled=stalled
        )

    def _look_by_pace(
        self, task: Told, pool: Pool | None, course: Course, rest: int | None, elapsed: float
    ) -> Look:
        """Blend the running stage's pace with history, and add what follows it."""
        progress, edge = course.progress, course.edge
        passed = EDGES[edge] if edge >= 0 else 0.0
        template, known = task.template, self._knowledge
        choice = template.pace.best(known.pace, edge)
        said = course.readings(elapsed)[choice.which]
        log_s = math.log(max(said * math.exp(-choice.bias), elapsed, 1e-9))
        left = 1.0 - progress
        least = LEAST_LEFT * elapsed * left / progress
        sigma = max(SIGMA_PER_ERROR * choice.error, LEAST_S)
        pace_share = 1.0
        if pool is not None:
            prior, by_history = self._prior(task, pool, elapsed)
            least = min(least, by_history.high)
            log_s, sigma, pace_share = blend(prior, log_s, sigma, choice.tail, 1.0 - passed)
        total = math.exp(min(log_s, 30.0))
        median = max(total - elapsed, least, LEAST_S * max(elapsed, LEAST_S))
        spread = min(sigma * total / median, MAX_LOG_SPREAD)
        reach = math.exp(0.5 * SPAN_80 * spread)
        stage_left = Left(median / reach, median, median * reach)
        kind = f"pace{sum(passed >= stretch for stretch in STRETCHES)}"
        late = stalled = False
        if pool is None:
            whole = add_by_weight(task, stage_left, elapsed + median)
            silence = elapsed - course.updated
            stalled = silence > max(STALLED_UNKNOWN_S, 4.0 * STALLED_SILENCES * course.longest)
        else:
            whole = stage_left if rest is None else stage_left.plus(pool.typical(rest))
            ran = (
                task.stage_began
                + elapsed
                - task.submitted
                - (task.durations[0] if task.family.has_queue else 0.0)
            )
            late, stalled = lateness(task, pool, elapsed, ran)
        return Look(
            kind, positive(whole), pool, current=task.stage, stage_left=stage_left, pace_share=pace_share,
            basis=BY_PACE, late=late, stalled=stalled,
        )  # fmt: skip

    def _prior(self, task: Told, pool: Pool, elapsed: float) -> tuple[Prior, Left]:
        """Say what history does of the running stage, which has lasted so long already."""
        template = task.template
        left = pool.left(task.stage, None, elapsed)
        log_s = math.log(elapsed + left.median + 1e-9)
        spread = math.log(elapsed + left.high + 1e-9) - math.log(elapsed + left.low + 1e-9)
        sigma = max(spread / SPAN_80, MIN_SIGMA) * math.sqrt(self._knowledge.misfit(template))
        prior = Prior(log_s, sigma, self._knowledge.odds(template))
        task.priors.setdefault(task.stage, prior)
        return prior, left

    def _look_from_queue(self, task: Told, pool: Pool, now: float) -> Look:
        """Say when a waiting task ends: by those ahead of it, or by how long such tasks took in all."""
        family = task.family
        elapsed = max(now - task.submitted, 0.0)
        by_history = pool.left(family.rest(0), None, elapsed)
        ahead = self._ahead(task, now)
        run_left = pool.left(family.run, None, 0.0)
        # It has not begun: what it needs once it runs is still to come.
        by_history = Left(*map(max, by_history, run_left))
        run = moments(run_left)
        if ahead.wait.mean > SHORT_WAIT * run.mean:
            by_line = quantiles(Moments(ahead.wait.mean + run.mean, ahead.wait.variance + run.variance))
        else:
            by_line = run_left.plus(ahead.wait.mean)
        if task.ways is None:
            task.ways = (by_line.median, by_history.median)
        left = by_line if self._knowledge.trusts_line else by_history
        kind = ("queue" if elapsed > 0.0 else "start") + ("" if ahead.is_idle else "_behind")
        waits = quantiles(ahead.wait) if ahead.wait.mean > 0.0 else Left(0.0, 0.0, 0.0)
        return Look(kind, positive(left), pool, current=0, stage_left=waits, wait=waits, ahead=ahead.tasks)

    def _ahead(self, task: Told, now: float) -> Ahead:
        line = self._line
        place, waited = self._schedule(now).get(task.task_id, (0, Moments(0.0, 0.0)))
        if line.workers - len(line.running) > place:
            usual = line.usual_wait()
            elapsed = max(now - task.submitted, 0.0)
            expected = Moments(max(usual - elapsed, 0.1 * elapsed), (0.3 * usual) ** 2)
            return Ahead(expected, place, is_idle=True)
        return Ahead(waited, place, is_idle=False)

    def _schedule(self, now: float) -> dict[str, tuple[int, Moments]]:
        """Say of each waiting task how many are ahead, and when a worker is free for it."""
        line = self._line
        since, told, known = self._scheduled
        if told == self._told and 0.0 <= now - since <= SCHEDULED_S * len(line.waiting):
            return known
        running = [self._needs(other, now) for other in line.running.values()]
        needed = map(self._service, line.waiting.values())
        known = {
            task_id: (place, waited)
            for place, (task_id, waited) in enumerate(
                zip(line.waiting, waits(running, needed, line.workers), strict=True)
            )
        }
        self._scheduled = (now, self._told, known)
        return known

    def _service(self, task: Told) -> Moments:
        """Say what a waiting task will need once it runs."""
        pool = task.pool if task.pool is not None else self._pool(task)
        return Moments(0.0, 0.0) if pool is None else moments(pool.left(task.family.run, None, 0.0))

    def _needs(self, task: Told, now: float) -> Moments:
        """Say what a running task still needs."""
        if task.needs is not None:
            since, needed = task.needs
            if now - since <= REMEMBERED * needed.mean:
                return Moments(max(needed.mean - (now - since), 0.0), needed.variance)
        look = self._look(task, now)
        needs = Moments(0.0, 0.0) if look is None else moments(look.left)
        task.needs = (now, needs)
        return needs

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
        self._told += 1
        self._tasks.pop(task_id, None)
        self._line.leave(task_id)

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
        pool = self._pool(task)
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
        return predictor
