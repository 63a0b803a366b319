"""The pace of a running stage: four readings of it, and what is known of their errors."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from headway.eta.blend import limit_of

BY_MEAN, BY_FIRST, BY_RECENT, BY_STEP = range(4)
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


class Seen(NamedTuple):
    """What the updates of a stage have said up to one of them.

    Parameters
    ----------
    updated, progress
        Seconds since the stage began, and the progress, of the last update.
    step
        The progress that it added.
    typical
        The median of the last steps, in seconds for the whole.
    first, recent
        Progress and seconds of the first update, and of that after which the last third began.
    """

    updated: float
    progress: float
    step: float
    typical: float
    first: tuple[float, float]
    recent: tuple[float, float]

    def readings(self, elapsed: float) -> list[float]:
        """Estimate the whole stage's seconds in four ways; silence since the last update makes each grow.

        The more progress the last update told, the less each says, all else being equal.

        Returns
        -------
        list of float
            By the mean pace; by that since the first update, which may have waited for a warm-up; by that of
            the last third; by the median step.
        """
        return [self.reading(which, elapsed) for which in range(N_READINGS)]

    def reading(self, which: int, elapsed: float) -> float:
        """Return one of the readings, by its index."""
        updated, progress, step, typical, first, recent = self
        at, since = recent if which == BY_RECENT else first
        if which == BY_MEAN or (which != BY_STEP and progress <= at):
            whole, by_next = updated / progress, elapsed / (progress + step if progress + step < 1.0 else 1.0)
            return whole if whole > by_next else by_next
        left = 1.0 - progress
        pace = typical if which == BY_STEP else (updated - since) / (progress - at)
        # The next step is due as long after the last as this pace says; from then on the whole is put off.
        overdue = elapsed - updated - pace * (step if step < left else left)
        said = updated + pace * left + (overdue if overdue > 0.0 else 0.0)
        return said if said > elapsed else elapsed


START = (0.0, 0.0)
NOTHING = Seen(0.0, 0.0, 0.0, 0.0, START, START)


class Course:
    """What was seen of one running stage.

    Parameters
    ----------
    began
        When it began, on the clock of all instants here.
    """

    __slots__ = (
        "_gap", "_next_edge", "_ordered", "_recent", "_samples", "_steps", "before", "began", "crossed",
        "longest", "seen",
    )  # fmt: skip

    def __init__(self, began: float) -> None:
        self.began = began
        #: What was seen up to the last update, and up to that before it.
        self.seen = self.before = NOTHING
        #: The longest silence between two updates, seconds.
        self.longest = 0.0
        #: What the readings said when each edge was passed: (edge, their logs).
        self.crossed: list[tuple[int, list[float]]] = []
        # The steps before the last, as they came and sorted, and where the last third began before it.
        self._steps: deque[float] = deque()
        self._ordered: list[float] = []
        self._recent = START
        self._samples = [START]
        self._gap = 0.0
        self._next_edge = EDGES[0]

    def observe(self, progress: float, now: float) -> None:
        """Take note of progress, 0 to 1; what does not add to it says nothing."""
        progress = min(progress, 1.0)
        before = self.seen
        if not progress - before.progress > LEAST_STEP:
            return
        if before.progress > 0.0:
            self._keep((before.updated - self.before.updated) / before.step)
        elapsed = now - self.began
        if elapsed < before.updated:
            elapsed = before.updated
        if elapsed - before.updated > self.longest:
            self.longest = elapsed - before.updated
        self.before = before
        # By the step that was to be expected: what it was must not choose what it is compared with.
        third = (before.progress + before.step) * 2.0 / 3.0
        self._recent = self._samples[bisect_right(self._samples, (third, math.inf)) - 1]
        self.seen = self._see(progress, elapsed)
        if progress - self._samples[-1][0] >= self._gap:
            self._samples.append((progress, elapsed))
            if len(self._samples) > MAX_SAMPLES:
                del self._samples[1::2]
                self._gap = 2.0 / MAX_SAMPLES
        if progress >= self._next_edge:
            edge = edge_of(progress)
            self._next_edge = EDGES[edge + 1] if edge + 1 < len(EDGES) else math.inf
            self.crossed.append((edge, [math.log(max(s, 1e-9)) for s in self.seen.readings(elapsed)]))

    def _keep(self, step: float) -> None:
        """Keep how long a step took, for the median of the last ones."""
        if len(self._steps) == RECENT_STEPS - 1:
            del self._ordered[bisect_left(self._ordered, self._steps.popleft())]
        self._steps.append(step)
        insort(self._ordered, step)

    def _see(self, progress: float, elapsed: float) -> Seen:
        """Return what is seen once an update after those before says this."""
        before = self.before
        step = progress - before.progress
        typical = _median_with(self._ordered, (elapsed - before.updated) / step)
        first = before.first if before.progress > 0.0 else (progress, elapsed)
        return Seen(elapsed, progress, step, typical, first, self._recent)

    def up_to(self, edge: int) -> Seen:
        """Return what is seen behind an edge that the last update was behind: no more than its end."""
        if edge + 1 == len(EDGES) or self.seen.progress < EDGES[edge + 1]:
            return self.seen
        return self._see(EDGES[edge + 1], self.seen.updated)


def edge_of(progress: float) -> int:
    """Return the last edge that was passed, -1 before the first."""
    return bisect_right(EDGES, progress) - 1


def _median_with(ordered: Sequence[float], value: float) -> float:
    """Return the median of sorted values and one more."""
    if not ordered:
        return value
    middle = len(ordered) // 2
    center = ordered[middle]
    if len(ordered) % 2 == 0:
        return min(max(value, ordered[middle - 1]), center)
    if value > center:
        return 0.5 * (center + (min(value, ordered[middle + 1]) if middle + 1 < len(ordered) else value))
    return 0.5 * (center + (max(value, ordered[middle - 1]) if middle else value))


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
    limit
        How many times the error off it still counts in full; see `blend`.
    """

    which: int
    bias: float
    error: float
    tail: float
    limit: float


UNREAD = Choice(BY_MEAN, 0.0, UNREAD_ERROR, UNREAD_TAIL, limit_of(UNREAD_TAIL))


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
        which, least = BY_MEAN, math.inf
        for index in range(N_READINGS):
            error = own * self._error[edge][index] + other * shared._error[edge][index]
            tail = own * self._tail[edge][index] + other * shared._tail[edge][index]
            if error + TAIL_COST * tail < least:
                which, least = index, error + TAIL_COST * tail
        tail = own * self._tail[edge][which] + other * shared._tail[edge][which]
        best = Choice(
            which,
            own * self._bias[edge][which] + other * shared._bias[edge][which],
            own * self._error[edge][which] + other * shared._error[edge][which],
            tail,
            limit_of(tail),
        )
        self._best[edge] = (version, best)
        return best
