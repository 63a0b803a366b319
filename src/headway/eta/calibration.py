"""Ranges that hold as often as they say: by what became of the last answers of the same kind.

Conformal quantiles of the log ratio of truth to answer, in units of the answer's own width; the level adapts
online as in Gibbs and Candès (2021), doi:10.48550/arXiv.2106.00170.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from typing import NamedTuple

from headway.eta.survival import Left

# A template's own scores are used from the second figure on; of fewer than the last nothing is read.
KEPT_SCORES, KEPT_OWN, ENOUGH_OWN, ENOUGH = 300, 250, 80, 15
# How far the ends are moved, in units of the answer's width, before there are enough scores.
COLD = 1.2
# Each side of a range of 80 % is to be missed by 10 %.
MISSED, STEP, MIN_MISSED, MAX_MISSED = 0.1, 0.02, 0.005, 0.4
# An end is moved by so many widths at most, and by no more than this of the answer's own two halves: what is
# sooner as it was found is then sooner as it is said.
MOST_MOVED, MOST_OWN = 4.0, 2.0
# No end is farther from the median than a factor of e³.
MAX_REACH = 3.0
# The median follows half of what such answers were off lately: more overshoots.
CORRECTED = 0.5
SHARED_WEIGHT, FIRST_ERROR, ERROR_MEMORY = 6.0, 0.25, 50
MIN_UNIT = 1e-3


class Answer(NamedTuple):
    """What was answered, and what is needed to score it.

    Parameters
    ----------
    kind
        Answers of one kind are calibrated together.
    elapsed
        Seconds since the submission.
    raw
        The median before its correction, seconds left.
    down, up
        How wide the answer's two sides were by themselves, in logs.
    low, high
        The range that was given, seconds left.
    """

    kind: str
    elapsed: float
    raw: float
    down: float
    up: float
    low: float
    high: float


class Outcome(NamedTuple):
    """What became of an answer of a kind.

    Parameters
    ----------
    off
        Log of the truth over the answer.
    down, up
        As in `Answer`.
    missed
        -1 where the truth was below the range, 1 above, else 0.
    """

    kind: str
    off: float
    down: float
    up: float
    missed: int


class Scores:
    """The last scores of one kind of answer."""

    __slots__ = ("_kept", "_next", "_ring", "error", "held", "high_missed", "low_missed", "n", "ordered")

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._ring = array("f")
        self._next = 0
        self.ordered = array("f")
        self.low_missed = self.high_missed = MISSED
        self.error = 0.0
        #: How often the range held lately, and how many answers were scored.
        self.held = 0.0
        self.n = 0

    def __len__(self) -> int:
        return len(self.ordered)

    def add(self, outcome: Outcome) -> None:
        """Take in what became of an answer."""
        off = outcome.off
        score = off / (outcome.up if off > 0.0 else outcome.down)
        if len(self._ring) < self._kept:
            self._ring.append(score)
        else:
            del self.ordered[bisect_left(self.ordered, self._ring[self._next])]
            self._ring[self._next] = score
            self._next = (self._next + 1) % self._kept
        insort(self.ordered, score)
        self.n += 1
        rate = 1.0 / min(self.n, ERROR_MEMORY)
        self.error += (min(abs(off), 2.0) - self.error) * rate
        is_below, is_above = outcome.missed < 0, outcome.missed > 0
        self.held += ((not outcome.missed) - self.held) * rate
        self.low_missed = _bounded(self.low_missed + STEP * (MISSED - is_below))
        self.high_missed = _bounded(self.high_missed + STEP * (MISSED - is_above))

    def quantile(self, level: float) -> float:
        """Return the quantile of the scores; between two of them it is interpolated."""
        last = len(self.ordered) - 1
        at = min(max(level * (last + 2) - 1.0, 0.0), float(last))
        below = int(at)
        above = min(below + 1, last)
        return self.ordered[below] + (at - below) * (self.ordered[above] - self.ordered[below])


def _bounded(level: float) -> float:
    return min(max(level, MIN_MISSED), MAX_MISSED)


class Factors(NamedTuple):
    """What answers of one kind are corrected by.

    Parameters
    ----------
    typical
        How far, in logs, the ends are from the median beside what the answer says itself.
    low, high, median
        How far each is moved, in units of the answer's width.
    held
        How often such ranges held lately; ``None`` before enough were scored.
    """

    typical: float
    low: float
    high: float
    median: float
    held: float | None


class Calibration:
    """The scores of a template, or of all, by the kind of answer."""

    def __init__(self, kept: int = KEPT_OWN) -> None:
        self._kept = kept
        self._scores: dict[str, Scores] = {}
        self._factors: dict[str, tuple[tuple[int, int], Factors]] = {}

    def of(self, kind: str) -> Scores:
        """Return the scores of a kind."""
        scores = self._scores.get(kind)
        if scores is None:
            scores = self._scores[kind] = Scores(self._kept)
        return scores

    def factors(self, shared: Calibration, kind: str) -> Factors:
        """Return what answers of a kind are corrected by: this template's scores, where they are enough."""
        own, others = self.of(kind), shared.of(kind)
        known = self._factors.get(kind)
        if known is not None and known[0] == (own.n, others.n):
            return known[1]
        prior = others.error if others.n else FIRST_ERROR
        usual = 0.8 * (own.n * own.error + SHARED_WEIGHT * prior) / (own.n + SHARED_WEIGHT)
        typical = max(usual, MIN_UNIT)
        scores = own if len(own) >= ENOUGH_OWN else others
        if len(scores) < ENOUGH:
            factors = Factors(typical, COLD, COLD, 0.0, None)
        else:
            factors = Factors(
                typical,
                min(max(-scores.quantile(others.low_missed), 0.0), MOST_MOVED),
                min(max(scores.quantile(1.0 - others.high_missed), 0.0), MOST_MOVED),
                min(max(CORRECTED * scores.quantile(0.5), -MOST_OWN), MOST_OWN),
                round(scores.held, 2),
            )
        self._factors[kind] = ((own.n, others.n), factors)
        return factors


def correct(factors: Factors, kind: str, elapsed: float, raw: Left) -> tuple[Answer, float]:
    """Find the range that holds eight times in ten, and the median that is not off.

    Parameters
    ----------
    factors
        What such answers are corrected by.
    raw
        Seconds left as they were found, ``median`` above 0.
    """
    low, median, high = raw
    typical, lower, higher, shift, _ = factors
    down = 0.5 * math.log(median / low if low > 1e-3 * median else 1e3)
    up = 0.5 * math.log(high / median) if high > median else 0.0
    low = median * math.exp(-min(min(lower, MOST_OWN) * down + lower * typical, MAX_REACH))
    high = median * math.exp(min(min(higher, MOST_OWN) * up + higher * typical, MAX_REACH))
    down, up = down + typical, up + typical
    moved = median * math.exp(shift * (up if shift > 0.0 else down))
    return Answer(kind, elapsed, median, down, up, low, high), min(max(moved, low), high)
