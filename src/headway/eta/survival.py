"""How much longer something takes that has already taken a while."""

from __future__ import annotations

import math
from typing import NamedTuple

MIN_SIGMA = 0.15
# Of the scale t·σ/(z + 1), the mean residual life in a log-normal's tail: its 10 %, 50 % and 90 % quantiles.
RESIDUAL = (0.15, 0.7, 2.3)
MAX_Z = 6.0


class Left(NamedTuple):
    """Seconds left: the 10 % quantile, the median, the 90 % quantile."""

    low: float
    median: float
    high: float

    def plus(self, seconds: float) -> Left:
        """Add what is known to follow."""
        return Left(self.low + seconds, self.median + seconds, self.high + seconds)

    def no_later(self, other: Left) -> Left:
        """Return what is sooner of each."""
        return Left(min(self.low, other.low), min(self.median, other.median), min(self.high, other.high))


def residual_life(elapsed: float, log_median: float, sigma: float) -> Left:
    """Say how long something takes yet that outlived all of its kind.

    The remaining time follows the hazard of a log-normal's tail, so that it is never 0.

    Parameters
    ----------
    elapsed
        Seconds that it has taken, above 0.
    log_median, sigma
        Of the log of its kind's seconds.
    """
    spread = max(sigma, MIN_SIGMA)
    z = min(max((math.log(elapsed) - log_median) / spread, 0.0), MAX_Z)
    scale = elapsed * spread / (z + 1.0)
    return Left(RESIDUAL[0] * scale, RESIDUAL[1] * scale, RESIDUAL[2] * scale)
