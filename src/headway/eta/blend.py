"""History and the running stage's pace, put together, so that a faster pace never means a later end.

A pace that is off pulls by Huber's loss: quadratic, and linear beyond a limit that follows from how often it
is far off (Huber 1964, doi:10.1214/aoms/1177703732). History is narrow or, seldom, far off and so wide; each
of the two is weighed against the pace, and then both by the odds of such a pace: exp(-loss). As the pace
becomes slower both of their answers rise, and the wider one, which follows it farther, loses less and gains
weight. So their mean rises too, which that of a mixture with outliers of the pace does not: it follows one
too fast to be true less than one that is only fast.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

#: The 90 % quantile of a normal: the ends of a range of 80 % are so many sigmas from its middle.
REACH = 1.2816
# The ends of the range reach by this share toward whichever of the two says so.
DOUBT = 0.05
# History that is far off: so many times its spread, and at least this.
WIDER, WIDE = 3.0, 1.0
# A pace pulls with so much of Huber's limit, its outliers being farther off than the least favourable ones.
HEARD = 0.65
# Odds are told apart to a thousandth.
LEAST_ODDS, MOST_ODDS = 5, 500


class Prior(NamedTuple):
    """What history says of a stage: the log of its seconds, its spread, and the odds that it is far off."""

    log_s: float
    sigma: float
    odds: float


class Blend(NamedTuple):
    """The log of the stage's seconds, with the ends of a range of 80 %, and the pace's share in it."""

    low: float
    log_s: float
    high: float
    pace_share: float


def by_pace_alone(log_s: float, sigma: float) -> Blend:
    """Return what a pace says where there is no history."""
    return Blend(log_s - REACH * sigma, log_s, log_s + REACH * sigma, 1.0)


def blend(prior: Prior, log_s: float, sigma: float, limit: float) -> Blend:
    """Weigh a pace against history; none of the seconds returned falls as `log_s` rises.

    Parameters
    ----------
    log_s, sigma, limit
        The log of the whole stage's seconds by its pace, the spread of that, and how many times that it may
        be off and still count in full; see `limit_of`.
    """
    past_s, narrow, odds = prior
    off = log_s - past_s
    distance = -off if off < 0.0 else off
    pace = sigma * sigma
    most = HEARD * limit / sigma
    wide = WIDER * narrow if WIDER * narrow > WIDE else WIDE
    share, loss, spread = _pulled(narrow * narrow, pace, distance, most)
    wide_share, wide_loss, wide_spread = _pulled(wide * wide, pace, distance, most)
    # The wide one is never off by more: its loss is the smaller one.
    weight = (1.0 - odds) * wide_spread / spread * math.exp(wide_loss - loss)
    share = (weight * share + odds * wide_share) / (weight + odds)
    middle = past_s + share * off
    sooner, later = (log_s, past_s) if off < 0.0 else (past_s, log_s)
    core, reach = (1.0 - DOUBT) * middle, REACH * narrow * sigma / spread
    return Blend(core + DOUBT * sooner - reach, middle, core + DOUBT * later + reach, share)


def _pulled(past: float, pace: float, distance: float, most: float) -> tuple[float, float, float]:
    """Move history of a variance toward a pace.

    Parameters
    ----------
    past, pace
        The variances.
    most
        The hardest that the pace pulls.

    Returns
    -------
    tuple of float
        The share of the distance that it is moved by, the loss that is left, and the spread of both.
    """
    variance = past + pace
    pull = distance / variance
    if pull <= most:
        return past / variance, 0.5 * distance * pull, math.sqrt(variance)
    return most * past / distance, most * (distance - 0.5 * most * variance), math.sqrt(variance)


def limit_of(odds: float) -> float:
    """Return how many sigmas off something still counts in full that is far off with these odds."""
    return _limit(min(max(round(1e3 * odds), LEAST_ODDS), MOST_ODDS))


@cache
def _limit(per_mille: int) -> float:
    """Solve 2φ(k)/k − 2Φ(−k) = ε/(1 − ε) for k, by halving; the left side falls as k rises."""
    wanted = per_mille / (1000 - per_mille)
    low, high = 0.0, 8.0
    while high - low > 1e-9:
        k = 0.5 * (low + high)
        density = math.exp(-0.5 * k * k) / math.sqrt(2.0 * math.pi)
        if 2.0 * density / k - math.erfc(k / math.sqrt(2.0)) > wanted:
            low = k
        else:
            high = k
    return high
