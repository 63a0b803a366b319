"""Looks at a task: the seconds left by history, by the running stage's pace and by who is ahead, as found.

They are not calibrated yet, and nothing is remembered here of what was said; that is the predictor's.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from headway.eta.blend import REACH, Prior, blend, by_pace_alone
from headway.eta.estimates import BY_PACE, Look
from headway.eta.guesses import (
    STALLED_SILENCES,
    STALLED_UNKNOWN_S,
    add_by_weight,
    lateness,
    look_by_weight,
    positive,
)
from headway.eta.knowledge import Knowledge
from headway.eta.pace import EDGES, Course, Seen, edge_of
from headway.eta.pool import Pool, build_pool
from headway.eta.queueing import SHORT_WAIT, Line, Moments, moments, quantiles, waits
from headway.eta.runs import WARM
from headway.eta.survival import Left
from headway.eta.told import Told

# A parameter of our own: whether the worker has just run a task of the template, and so has its model loaded.
FOLLOWS = "follows"
MIN_SIGMA = 0.02
# Of a mean absolute error: the standard deviation of a normal.
SIGMA_PER_ERROR = 1.25
# A stage that takes so many times what nine in ten took: history is as likely to be far off as not.
OUTLIVED_TIMES, OUTLIVED_ODDS = 1.5, 0.5
# The pace leaves at least this share of what the mean pace leaves.
LEAST_LEFT = 0.25
# No low end is farther below than this, in logs, and nothing takes longer.
MAX_LOG_REACH, MAX_LOG_S = 1.92, 30.0
# Of the usual run time, the parts at which answers without progress are calibrated apart.
LATENESS = (0.25, 0.6, 1.0)
# Of a stage's progress, for answers with progress; some of the edges of `pace`.
STRETCHES = (0.22, 0.5, 0.8)
# What a running task still needs is not found anew for those that wait before this share of it has passed.
REMEMBERED = 0.05
# The order of a queue is found for all that wait at once, and again after so much time for each of them.
SCHEDULED_S = 0.001
LEAST_S = 1e-3


class Ahead(NamedTuple):
    """A wait for a worker: its moments, how many tasks come first, and whether a worker is free already."""

    wait: Moments
    tasks: int
    is_idle: bool


class Looks:
    """How a predictor finds what is left of a task.

    Parameters
    ----------
    knowledge
        What was learned.

    Attributes
    ----------
    line
        Who waits and who runs.
    told
        How many things were told of any task.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.line: Line[Told] = Line()
        self.told = 0
        # Of the tasks that wait: as of when, after how much was told, and what was found.
        self._scheduled: tuple[float, int, dict[str, tuple[int, Moments]]] = (0.0, -1, {})

    def rest(self, task: Told) -> int | None:
        """Return the column of what follows the running stage."""
        return task.family.rest(task.stage + 1) if task.stage + 1 < len(task.family.stages) else None

    def pool(self, task: Told) -> Pool | None:
        """Return the sample for a task: anew when its template has learned, or while that is cold."""
        self.knowledge.settle()
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

    def look(self, task: Told, now: float) -> Look | None:
        """Find the seconds left, before they are calibrated."""
        family, pool = task.family, self.pool(task)
        if task.task_id in self.line.waiting:
            return None if pool is None else self._from_queue(task, pool, now)
        if task.stage < 0:
            return None if pool is None else Look("start", pool.left(family.rest(0), None, 0.0), pool)
        elapsed = max(now - task.stage_began, 0.0)
        rest = self.rest(task)
        course = task.course
        if course is not None and course.seen.progress > 0.0:
            return self._by_pace(task, pool, course, rest, elapsed)
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

    def _by_pace(
        self, task: Told, pool: Pool | None, course: Course, rest: int | None, elapsed: float
    ) -> Look:
        """Blend the running stage's pace with history, and add what follows it.

        Of each edge that the last update passed, whose other errors are expected behind it, it says no later
        end than one just before: of two updates at one instant, that of more progress means no later end.
        """
        history = None if pool is None else self._prior(task, pool, elapsed)
        seen = course.seen
        edge, last = edge_of(course.before.progress), edge_of(seen.progress)
        kind, others = _stretch(edge), {}
        stage_left, pace_share = self._left_by_pace(task, course.up_to(edge), edge, elapsed, history)
        while edge < last:
            others[kind] = stage_left
            edge += 1
            left, pace_share = self._left_by_pace(task, course.up_to(edge), edge, elapsed, history)
            kind, stage_left = _stretch(edge), stage_left.no_later(left)
        others.pop(kind, None)

        def with_rest(left: Left) -> Left:
            if pool is None:
                return positive(add_by_weight(task, left, elapsed + left.median))
            return positive(left if rest is None else left.plus(pool.typical(rest)))

        late = stalled = False
        if pool is None:
            silence = elapsed - seen.updated
            stalled = silence > max(STALLED_UNKNOWN_S, 4.0 * STALLED_SILENCES * course.longest)
        else:
            queued = task.durations[0] if task.family.has_queue else 0.0
            ran = task.stage_began + elapsed - task.submitted - queued
            late, stalled = lateness(task, pool, elapsed, ran)
        return Look(
            kind, with_rest(stage_left), pool, current=task.stage, stage_left=stage_left,
            pace_share=pace_share, basis=BY_PACE, late=late, stalled=stalled,
            others=tuple((other, with_rest(left)) for other, left in others.items()) if others else (),
        )  # fmt: skip

    def _left_by_pace(
        self,
        task: Told,
        seen: Seen,
        edge: int,
        elapsed: float,
        history: tuple[Prior, Left] | None,
    ) -> tuple[Left, float]:
        """Say what is left of the running stage by what was seen, and the pace's share in that."""
        choice = task.template.pace.best(self.knowledge.pace, edge)
        said = seen.reading(choice.which, elapsed) * math.exp(-choice.bias)
        log_s = math.log(max(said, elapsed, 1e-9))
        sigma = max(SIGMA_PER_ERROR * choice.error, LEAST_S)
        least = LEAST_LEFT * elapsed * (1.0 - seen.progress) / seen.progress
        if history is None:
            both = by_pace_alone(log_s, sigma)
        else:
            prior, by_history = history
            least = min(least, by_history.high)
            both = blend(prior, log_s, sigma, choice.limit)
        total = math.exp(min(both.log_s, MAX_LOG_S))
        median = max(total - elapsed, least, LEAST_S * max(elapsed, LEAST_S))
        # The low end is as far below in logs of what is left as it is in logs of the whole.
        whole = elapsed + median
        down = min((math.log(whole) - both.low) * whole / median, MAX_LOG_REACH)
        high = math.exp(min(both.high, MAX_LOG_S)) - elapsed
        return Left(median * math.exp(-down), median, max(high, median)), both.pace_share

    def _prior(self, task: Told, pool: Pool, elapsed: float) -> tuple[Prior, Left]:
        """Say what history does of the running stage, which has lasted so long already."""
        template = task.template
        left = pool.left(task.stage, None, elapsed)
        log_s = math.log(elapsed + left.median + 1e-9)
        spread = math.log(elapsed + left.high + 1e-9) - math.log(elapsed + left.low + 1e-9)
        sigma = max(spread / (2.0 * REACH), MIN_SIGMA) * math.sqrt(self.knowledge.misfit(template))
        odds = self.knowledge.odds(template)
        if elapsed > OUTLIVED_TIMES * pool.left(task.stage, None, 0.0).high:
            odds = max(odds, OUTLIVED_ODDS)
        prior = Prior(log_s, sigma, odds)
        task.priors.setdefault(task.stage, prior)
        return prior, left

    def _from_queue(self, task: Told, pool: Pool, now: float) -> Look:
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
        left = by_line if self.knowledge.trusts_line else by_history
        kind = ("queue" if elapsed > 0.0 else "start") + ("" if ahead.is_idle else "_behind")
        waits = quantiles(ahead.wait) if ahead.wait.mean > 0.0 else Left(0.0, 0.0, 0.0)
        return Look(kind, positive(left), pool, current=0, stage_left=waits, wait=waits, ahead=ahead.tasks)

    def _ahead(self, task: Told, now: float) -> Ahead:
        line = self.line
        place, waited = self._schedule(now).get(task.task_id, (0, Moments(0.0, 0.0)))
        if line.workers - len(line.running) > place:
            usual = line.usual_wait()
            elapsed = max(now - task.submitted, 0.0)
            expected = Moments(max(usual - elapsed, 0.1 * elapsed), (0.3 * usual) ** 2)
            return Ahead(expected, place, is_idle=True)
        return Ahead(waited, place, is_idle=False)

    def _schedule(self, now: float) -> dict[str, tuple[int, Moments]]:
        """Say of each waiting task how many are ahead, and when a worker is free for it."""
        line = self.line
        since, told, known = self._scheduled
        if told == self.told and 0.0 <= now - since <= SCHEDULED_S * len(line.waiting):
            return known
        running = [self._needs(other, now) for other in line.running.values()]
        needed = map(self._service, line.waiting.values())
        known = {
            task_id: (place, waited)
            for place, (task_id, waited) in enumerate(
                zip(line.waiting, waits(running, needed, line.workers), strict=True)
            )
        }
        self._scheduled = (now, self.told, known)
        return known

    def _service(self, task: Told) -> Moments:
        """Say what a waiting task will need once it runs."""
        pool = task.pool if task.pool is not None else self.pool(task)
        return Moments(0.0, 0.0) if pool is None else moments(pool.left(task.family.run, None, 0.0))

    def _needs(self, task: Told, now: float) -> Moments:
        """Say what a running task still needs."""
        if task.needs is not None:
            since, needed = task.needs
            if now - since <= REMEMBERED * needed.mean:
                return Moments(max(needed.mean - (now - since), 0.0), needed.variance)
        look = self.look(task, now)
        needs = Moments(0.0, 0.0) if look is None else moments(look.left)
        task.needs = (now, needs)
        return needs


def _stretch(edge: int) -> str:
    """Name the kind of the answers behind an edge."""
    passed = EDGES[edge] if edge >= 0 else 0.0
    return f"pace{sum(passed >= stretch for stretch in STRETCHES)}"
