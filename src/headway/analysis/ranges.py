"""Whether ranges promise what they keep: the shares that they claim beside those that came true."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd

from headway.analysis.columns import Floats, count_runs, ratio
from headway.analysis.summaries import check_accuracy, wilson_interval
from headway.errors import UsageError

#: The shares at which `calibration` compares, unless told otherwise.
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# What low_s and high_s enclose.
TOLD_LEVEL = 0.8
# The logarithm of nothing is not a number: times below a millisecond, shorter than anybody reads, count as
# one.
FLOOR_S = 0.001


def calibration(accuracy: pd.DataFrame, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """Compare how often ranges were to hold with how often they held.

    Parameters
    ----------
    accuracy
        What `accuracy_frame` gives, or rows of it.
    levels
        Nominal shares, between 0 and 1, of central ranges: 0.5 is the range from the 25 % to the 75 %
        quantile.

    Returns
    -------
    pandas.DataFrame
        One row per level, with the columns

        ============ ======= =============================================================================
        column       dtype   meaning, unit
        ============ ======= =============================================================================
        nominal      float64 the level: the share of predictions whose range was to hold what came
        measured     float64 the share whose range did; NaN of no predictions
        low          float64 lower end of its 95 % interval (Wilson, with as many trials as tasks)
        high         float64 upper end of it
        tasks        int64   tasks, each attempt counting as one
        predictions  int64   predictions
        ============ ======= =============================================================================

    Raises
    ------
    UsageError
        When a level is not between 0 and 1, or a column is missing.

    Notes
    -----
    A prediction tells three quantiles, of 10, 50 and 90 %. The others are read off two halves of a log-normal
    distribution that meet at the median: with ``z(p)`` the quantile of the standard normal distribution,

        log q(p) = log median + z(p) / z(0.9) * (log high - log median)     for p above 0.5,
        log q(p) = log median + z(p) / z(0.9) * (log median - log low)      for p below 0.5.

    So the measured share at the level 0.8 is that of the ranges that viewers were shown; at other levels it
    also tests this shape. Times below 1 ms count as 1 ms.
    """
    check_accuracy(accuracy)
    try:
        nominal = np.asarray(levels, np.float64)
    except (TypeError, ValueError):
        nominal = np.array(np.nan)
    if nominal.ndim != 1 or not np.all((nominal > 0) & (nominal < 1)):
        raise UsageError(f"expected a list of levels between 0 and 1, got {levels!r}")
    normal = NormalDist()
    reach = [normal.inv_cdf((1 + level) / 2) / normal.inv_cdf((1 + TOLD_LEVEL) / 2) for level in nominal]
    distance = np.sort(half_widths_off(accuracy))
    predictions, tasks = len(accuracy), count_runs(accuracy)
    inside = np.searchsorted(distance, reach, side="right")
    measured = inside / predictions if predictions else np.full(len(nominal), np.nan)
    low, high = wilson_interval(measured, tasks)
    return pd.DataFrame(
        {
            "nominal": nominal,
            "measured": measured,
            "low": low,
            "high": high,
            "tasks": np.int64(tasks),
            "predictions": np.int64(predictions),
        }
    )


def half_widths_off(accuracy: pd.DataFrame) -> Floats:
    """Return how far from the median the time left was, 1 where it was just at the end of the range.

    It is measured in logarithms, in the half of the range on whose side it was; 0 where a range without
    width was right, infinite where it was wrong.
    """
    low, median, high, left = (
        np.log(np.maximum(accuracy[name].to_numpy(), FLOOR_S))
        for name in ("low_s", "median_s", "high_s", "left_s")
    )
    off = np.abs(left - median)
    return ratio(off, np.where(left > median, high - median, median - low))
