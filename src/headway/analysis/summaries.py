"""The figures that say how good predictions were: in all, by group, and over time."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from pandas.tseries.frequencies import to_offset

from headway.analysis.columns import TIME_DTYPE, Floats, check_columns, number_runs, ratio, with_ends
from headway.errors import UsageError

# The mean of relative losses stops here, so that one outlier cannot carry it (as in the replay of traces
# by which the predictor was chosen).
PINBALL_CAP = 10.0
# The quantiles that low_s, median_s and high_s are.
QUANTILES = (0.1, 0.5, 0.9)
CONFIDENCE = 0.95
FIGURES = (
    "tasks", "predictions", "within_20", "within_20_low", "within_20_high", "median_error",
    "median_left_error", "coverage", "coverage_low", "coverage_high", "median_width", "pinball",
)  # fmt: skip
# The columns of an accuracy frame that the figures are made of.
NEEDED = (
    "task_id", "finished_at", "is_within_20", "error", "is_covered", "width", "low_s", "median_s", "high_s",
    "left_s", "total_s",
)  # fmt: skip
#: What `drift` accepts as a window: a pandas frequency such as ``"1D"``, or a number of tasks.
Window = str | int


def summarize(accuracy: pd.DataFrame, by: str | Sequence[str] | None = None) -> pd.DataFrame:
    """Summarize predictions, in all or by group.

    Parameters
    ----------
    accuracy
        What `accuracy_frame` gives, or rows of it.
    by
        A column or columns to group by, such as ``"template_id"`` or ``["template_id", "share"]``; none for
        one row of all. Missing values are a group of their own, except that grouping by ``share`` leaves out
        the predictions that were kept for a stage, and grouping by ``stage`` those kept for a share.

    Returns
    -------
    pandas.DataFrame
        Indexed by group, with the columns

        ================= ======= ========================================================================
        column            dtype   meaning, unit
        ================= ======= ========================================================================
        tasks             int64   tasks that the predictions are of, each of its attempts counting as one
        predictions       int64   predictions
        within_20         float64 share of predictions whose total was off by 20 % at most, 0 to 1
        within_20_low     float64 lower end of its 95 % interval
        within_20_high    float64 upper end of its 95 % interval
        median_error      float64 median of ``abs(error)``: share of the true total
        median_left_error float64 median of ``abs(median_s - left_s) / left_s``: share of the time left
        coverage          float64 share of predictions whose range held what came, 0 to 1; 0.8 was promised
        coverage_low      float64 lower end of its 95 % interval
        coverage_high     float64 upper end of its 95 % interval
        median_width      float64 median of ``width``: share of the true total
        pinball           float64 mean pinball loss, as a share of the true total; lower is better
        ================= ======= ========================================================================

        A group without rows has no row; of no rows at all the shares and medians are NaN.

    Raises
    ------
    UsageError
        When a column is missing, or `by` is no name.

    Notes
    -----
    The intervals are Wilson's (see `wilson_interval`), for as many trials as there are *tasks*: what was
    said at 10 % and at 25 % of one task is not two independent trials.

    The pinball loss of a quantile ``q`` said to be ``v`` of the time ``t`` truly left is
    ``max(q (t - v), (q - 1) (t - v))``; here the losses of the three quantiles are added, divided by the
    task's total, capped at 10, and averaged.
    """
    keys = _parse_keys(by)
    check_accuracy(accuracy, *keys)
    kept = accuracy.dropna(subset=[key for key in keys if key in ("share", "stage")])
    measured = pd.DataFrame(
        {
            "task": number_runs(kept),
            "within_20": kept["is_within_20"].astype(np.float64),
            "median_error": kept["error"].abs(),
            "median_left_error": _left_error(kept),
            "coverage": kept["is_covered"].astype(np.float64),
            "median_width": kept["width"],
            "pinball": pinball_loss(kept),
        },
        index=kept.index,
    )
    if not keys:
        return _figures(measured.groupby(np.zeros(len(measured), np.int8)), pd.RangeIndex(1))
    groups = [kept[key] for key in keys]
    return _figures(measured.groupby(groups if len(keys) > 1 else groups[0], observed=True, dropna=False))


def drift(accuracy: pd.DataFrame, window: Window = "1D") -> pd.DataFrame:
    """Summarize predictions window by window of time, to see whether they get better or worse.

    Parameters
    ----------
    accuracy
        What `accuracy_frame` gives, or rows of it.
    window
        A fixed pandas frequency, such as ``"1D"`` or ``"6h"``, by the time at which tasks finished; or how
        many tasks a window has, the last one fewer.

    Returns
    -------
    pandas.DataFrame
        The columns of `summarize`, indexed by ``began_at``, datetime64[us, UTC]: where a window of time
        begins, or when the first of a window's tasks finished. Windows without tasks have no row.

    Raises
    ------
    UsageError
        When the window is not one, or a column is missing.
    """
    check_accuracy(accuracy)
    accuracy = with_ends(accuracy)
    began: pd.Series[pd.Timestamp]
    try:
        if isinstance(window, Integral) and not isinstance(window, bool) and window > 0:
            began = _window_of_tasks(accuracy, int(window))
        elif isinstance(window, str) and to_offset(window).n > 0:
            began = accuracy["finished_at"].dt.floor(window)
        else:
            raise ValueError(window)
    except ValueError as error:
        raise UsageError(
            f'expected a window such as "1D" or "6h", or a number of tasks, got {window!r}'
        ) from error
    return summarize(accuracy.assign(began_at=began.astype(TIME_DTYPE)), by="began_at")


def wilson_interval(share: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats]:
    """Return the 95 % interval of a share that was measured in a number of trials.

    Parameters
    ----------
    share
        0 to 1; NaN where there were no trials.
    trials
        How many independent trials it is of.

    Returns
    -------
    tuple of numpy.ndarray
        Lower and upper ends, 0 to 1.

    Notes
    -----
    Wilson's score interval (E. B. Wilson, JASA 22, 1927): it stays within 0 to 1 and keeps its level with few
    trials and with shares near 0 and 1, where the usual ``p ± 1.96 sqrt(p (1 - p) / n)`` does not (L. D.
    Brown, T. T. Cai and A. DasGupta, Statistical Science 16, 2001).
    """
    p, n = np.asarray(share, np.float64), np.asarray(trials, np.float64)
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def check_accuracy(accuracy: object, *more: str) -> None:
    """Refuse what `accuracy_frame` has not made, or what has lost columns that figures need.

    Raises
    ------
    UsageError
        When it is no frame, or columns are missing; `more` of them may be asked for.
    """
    check_columns(accuracy, (*NEEDED, *more), made_by="accuracy_frame")


def pinball_loss(accuracy: pd.DataFrame) -> Floats:
    """Return each prediction's pinball loss as a share of its task's total, at most 10."""
    left = accuracy["left_s"].to_numpy()
    loss = np.zeros(len(accuracy))
    for quantile, name in zip(QUANTILES, ("low_s", "median_s", "high_s"), strict=True):
        over = left - accuracy[name].to_numpy()
        loss += np.maximum(quantile * over, (quantile - 1) * over)
    return np.minimum(ratio(loss, accuracy["total_s"].to_numpy()), PINBALL_CAP)


def _left_error(accuracy: pd.DataFrame) -> Floats:
    left = accuracy["left_s"].to_numpy()
    return ratio(np.abs(accuracy["median_s"].to_numpy() - left), left)


def _figures(grouped: Any, index: pd.Index[Any] | None = None) -> pd.DataFrame:
    figures = grouped[["median_error", "median_left_error", "median_width"]].median()
    figures[["within_20", "coverage", "pinball"]] = grouped[["within_20", "coverage", "pinball"]].mean()
    figures["tasks"], figures["predictions"] = grouped["task"].nunique(), grouped.size()
    if index is not None:
        figures = figures.reindex(index).fillna({"tasks": 0, "predictions": 0})
    figures = figures.astype({"tasks": np.int64, "predictions": np.int64})
    for name in ("within_20", "coverage"):
        figures[f"{name}_low"], figures[f"{name}_high"] = wilson_interval(figures[name], figures["tasks"])
    return pd.DataFrame(figures, columns=list(FIGURES))


def _window_of_tasks(accuracy: pd.DataFrame, size: int) -> pd.Series[pd.Timestamp]:
    task = number_runs(accuracy)
    finished = accuracy["finished_at"].array[~pd.Series(task).duplicated().to_numpy()]
    order = finished.argsort(kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) // size * size
    return pd.Series(finished[order][place[task]], index=accuracy.index)


def _parse_keys(by: object) -> list[str]:
    keys = [by] if isinstance(by, str) else [] if by is None else by
    if not isinstance(keys, Sequence) or not all(isinstance(key, str) for key in keys):
        raise UsageError(f"expected by= as the name of a column or a list of names, got {by!r:.80}")
    return list(keys)
