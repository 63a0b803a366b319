"""The pace of a running stage: four readings of it, and what is known of their errors."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from math import exp, sqrt
from typing import NamedTuple

N_READINGS = 4
#: The progress from which on the errors of a reading are kept apart.
EDGES = (0.04, 0.12, 0.22, 0.35, 0.5, 0.65, 0.8, 0.93)
# What is believed of a reading's mean log error before anything was learned.
PRIOR_ERROR = (0.6, 0.4, 0.3, 0.22, 0.15, 0.1, 0.07, 0.03)
PRIOR_TAIL = 0.1
# Before the first edge nothing is learned, and whatever is read is likely a warm-up.
UNREAD_ERROR, UNREAD_TAIL = 0.4, 0.15
# How many tasks the shared table weighs against a template's own, and how far back either remembers.
SHARED_WEIGHT = 8.0
OWN_MEMORY, SHARED_MEMORY = 40.0, 400.0
# An error past twice the mean one is an outlier; it counts as that much, and into the tail's share.
OUTLIER = 2.0
# What an outlier costs against a mean error when readings are compared.
TAIL_COST = 0.5
RECENT_STEPS = 25
# Less progress than this is none: its pace would be infinite.
LEAST_STEP = 1e-9
MAX_SAMPLES = 64


class Course:
    """What was seen of one running stage.

    Parameters
    ----------
    began
        When it began, on the clock of all instants here.
    """

    __slots__ = (
        "_before", "_edge", "_first", "_gap", "_median", "_next_edge", "_samples", "_steps", "began",
        "crossed", "has_passed", "longest", "progress", "step", "updated",
    )  # fmt: skip

    def __init__(self, began: float) -> None:
        self.began = began
        #: Seconds since it began, and the progress, of the last update.
        self.updated = 0.0
        self.progress = 0.0
        #: The progress that the last update added.
        self.step = 0.0
        #: The longest silence between two updates, seconds.
        self.longest = 0.0
        #: What the readings said when each edge was passed: (edge, their logs).
        self.crossed: list[tuple[int, list[float]]] = []
        self._first: tuple[float, float] | None = None
        self._steps: deque[float] = deque(maxlen=RECENT_STEPS)
        self._samples: list[tuple[float, float]] = [(0.0, 0.0)]
        self._gap = 0.0
        self._next_edge = EDGES[0]
        self._median = 0.0
        # Seconds, progress and longest silence before the last update.
        self._before = (0.0, 0.0, 0.0)
        self._edge: int | None = None
        #: Whether the last update passed an edge.
        self.has_passed = False

    def observe(self, progress: float, now: float) -> None:
        """Take note of progress, 0 to 1; what does not add to it says nothing."""
        progress = min(progress, 1.0)
        elapsed = max(now - self.began, self.updated)
        added = progress - self.progress
        if not added > LEAST_STEP:
            return
        since = elapsed - self.updated
        self._before = (self.updated, self.progress, self.longest)
        self._steps.append(since / added)
        self._median = -1.0
        self.step = added
        self.longest = max(self.longest, since)
        self.updated, self.progress = elapsed, progress
        if self._first is None:
            self._first = (progress, elapsed)
        if progress - self._samples[-1][0] >= self._gap:
            self._samples.append((progress, elapsed))
            if len(self._samples) > MAX_SAMPLES:
                del self._samples[1::2]
                self._gap = 2.0 / MAX_SAMPLES
        self.has_passed = progress >= self._next_edge
        if self.has_passed:
            edge = self.edge
            self._next_edge = EDGES[edge + 1] if edge + 1 < len(EDGES) else math.inf
            self.crossed.append((edge, [math.log(max(s, 1e-9)) for s in self.readings(elapsed)]))

    def just_before(self) -> Iterator[Course]:
        """Yield the course as if its last update had stopped just before each of the edges that it passed."""
        updated, progress, longest = self._before
        for edge in range(bisect_right(EDGES, progress), bisect_right(EDGES, self.progress)):
            course = Course(self.began)
            course.updated, course.progress, course.longest = updated, progress, longest
            course._steps.extend(list(self._steps)[:-1])
            course._samples = [sample for sample in self._samples if sample[0] <= progress]
            course._first = self._first if progress > 0.0 else None
            course._gap, course._next_edge = self._gap, math.inf
            course.observe(EDGES[edge], self.began + self.updated)
            course._edge = edge - 1
            yield course

    @property
    def edge(self) -> int:
        """The last edge that was passed, -1 before the first."""
        if self._edge is not None:
            return self._edge
        return bisect_right(EDGES, self.progress) - 1

    def readings(self, elapsed: float) -> tuple[float, float, float, float]:
        """Estimate the whole stage's seconds in four ways; silence since the last update makes each grow.

        Returns
        -------
        tuple of float
            By the mean pace; by that since the first update, which may have waited for a warm-up; by that of
            the last third; by the median step.
        """
        updated, progress, step = self.updated, self.progress, self.step
        if self._median < 0.0:
            ordered = sorted(self._steps)
            middle = len(ordered) // 2
            self._median = (
                ordered[middle] if len(ordered) % 2 else 0.5 * (ordered[middle - 1] + ordered[middle])
            )
        left = 1.0 - progress
        due = updated + self._median * (step if step < left else left)
        reached = updated if elapsed <= due else updated + elapsed - due
        whole = max(updated / progress, elapsed / min(progress + step, 1.0))
        at, since = self._first or (progress, updated)
        later = reached + (updated - since) / (progress - at) * left if progress > at else whole
        at, since = self._samples[bisect_right(self._samples, (progress * 2.0 / 3.0, math.inf)) - 1]
        recent = reached + (updated - since) / (progress - at) * left if progress > at else whole
        typical = reached + self._median * left
        return (
            whole,
            later if later > elapsed else elapsed,
            recent if recent > elapsed else elapsed,
            typical if typical > elapsed else elapsed,
        )


class Choice(NamedTuple):
    """The best of a course's readings at an edge.

    Parameters
    ----------
    which
        The index of it.
    bias, error
        Its mean log error, and the mean absolute one around it, outliers apart.
    tail
        The share of outliers.
    """

    which: int
    bias: float
    error: float
    tail: float


UNREAD = Choice(0, 0.0, UNREAD_ERROR, UNREAD_TAIL)


class ErrorTable:
    """Bias, mean error and share of outliers of each reading, by how far the stage was."""

    __slots__ = ("_best", "_bias", "_error", "_n", "_tail", "added")

    def __init__(self) -> None:
        self._n = [0.0] * len(EDGES)
        self._bias = [[0.0] * N_READINGS for _ in EDGES]
        self._error = [[error] * N_READINGS for error in PRIOR_ERROR]
        self._tail = [[PRIOR_TAIL] * N_READINGS for _ in EDGES]
        self._best: list[tuple[tuple[int, int], Choice] | None] = [None] * len(EDGES)
        #: How many errors were taken in.
        self.added = 0

    def add(self, edge: int, offs: Sequence[float], memory: float) -> None:
        """Take in by how much, in logs, the readings at an edge were above the truth."""
        self.added += 1
        n = self._n[edge] = min(self._n[edge] + 1.0, memory)
        rate = 1.0 / (n + 1.0)
        biases, errors, tails = self._bias[edge], self._error[edge], self._tail[edge]
        for index, off in enumerate(offs):
            off -= biases[index]
            most = OUTLIER * errors[index] + 0.02
            tails[index] += rate * ((abs(off) > most) - tails[index])
            off = min(max(off, -most), most)
            biases[index] += rate * off
            errors[index] += rate * (abs(off) - errors[index])

    def best(self, shared: ErrorTable, edge: int) -> Choice:
        """Choose the reading of the smallest error; what is not known of the template is that of all."""
        if edge < 0:
            return UNREAD
        version = (self.added, shared.added)
        known = self._best[edge]
        if known is not None and known[0] == version:
            return known[1]
        own = self._n[edge] / (self._n[edge] + SHARED_WEIGHT)
        other = 1.0 - own
        best, least = Choice(0, 0.0, 0.0, 0.0), math.inf
        for index in range(N_READINGS):
            choice = Choice(
                index,
                own * self._bias[edge][index] + other * shared._bias[edge][index],
                own * self._error[edge][index] + other * shared._error[edge][index],
                own * self._tail[edge][index] + other * shared._tail[edge][index],
            )
            cost = choice.error + TAIL_COST * choice.tail
            if cost < least:
                best, least = choice, cost
        self._best[edge] = (version, best)
        return best


class Prior(NamedTuple):
    """What history says of a stage: the log of its seconds, its spread, and the odds that it is off."""

    log_s: float
    sigma: float
    odds: float


class Blend(NamedTuple):
    """History and pace together: the log of the stage's seconds, its spread, and the pace's share."""

    log_s: float
    sigma: float
    pace_share: float


# An outlier's spread: three times the usual one, and at least this, of the history and of the pace at 0 %.
WIDER = 3.0
WIDE_HISTORY, WIDE_PACE = 1.0, 0.4


def blend(prior: Prior, log_s: float, sigma: float, tail: float, left: float) -> Blend:
    """Weigh history against pace, each normal or, seldom, an outlier.

    The posterior mean of two scale mixtures of normals: where they agree it is the precision-weighted mean,
    where they do not, the one that is seldom wrong wins.

    Parameters
    ----------
    log_s, sigma, tail
        The log of the whole stage's seconds by its pace, the spread of that, and the share of outliers.
    left
        The share of the stage that is left, 0 to 1.
    """
    off = log_s - prior.log_s
    odds = min(max(tail, 0.005), 0.5)
    past, past_wide = prior.sigma**2, max(WIDER * prior.sigma, WIDE_HISTORY) ** 2
    pace, pace_wide = sigma**2, max(WIDER * sigma, WIDE_PACE * left) ** 2
    # The likelihoods are scaled by the widest, so that none of two that disagree is 0.
    half = -0.5 * off * off
    widest = half / (past_wide + pace_wide)
    total = mean = square = 0.0
    for history, own, prior_weight in (
        (past, pace, (1.0 - prior.odds) * (1.0 - odds)),
        (past, pace_wide, (1.0 - prior.odds) * odds),
        (past_wide, pace, prior.odds * (1.0 - odds)),
        (past_wide, pace_wide, prior.odds * odds),
    ):
        variance = history + own
        weight = prior_weight * exp(half / variance - widest) / sqrt(variance)
        share = history / variance
        total += weight
        mean += weight * share
        square += weight * (share * own + (share * off) ** 2)
    share = mean / total
    variance = max(square / total - (share * off) ** 2, 1e-12)
    return Blend(prior.log_s + share * off, sqrt(variance), share)
