"""Plots of ETA accuracy and of durations; each says its finding in the title, with what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from headway.analysis import drawing
from headway.analysis.accuracy import WITHIN
from headway.analysis.columns import check_columns, count_runs, number_runs, with_ends
from headway.analysis.drawing import BLUE, ORANGE, QUIET, STAGE_COLOURS
from headway.analysis.ranges import TOLD_LEVEL, calibration
from headway.analysis.requirements import require
from headway.analysis.summaries import check_accuracy, summarize
from headway.errors import UsageError
from headway.records import ASKED_AT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = TypeVar("Rows", pd.DataFrame, "pd.Series[float]")

# More points than this cover each other; which are drawn is fixed, so that a plot can be made again.
MAX_POINTS = 2_000
SEED = 0
# Errors are drawn to +150 % at most: what is farther off is read as "far off", and would flatten the rest.
MAX_ERROR = 1.5
CURVE_LEVELS = tuple(np.linspace(0.02, 0.98, 49))
# A running median over this share of the tasks is calm, and still shows a change of machine.
SMOOTH_SHARE = 0.1
LEAST_SMOOTHED = 9
HALFWAY = 0.5
LABEL_HEIGHT = 0.055  # of the axes: a line of small text in the figures that are made here
# The running median of more tasks is that of so many, evenly taken: a million would take 20 s.
MAX_SMOOTHED = 20_000
# Where all tasks finished at one moment, their areas are drawn this far to both sides of it.
LONE_REACH = pd.Timedelta(hours=6)
MAX_LINES = len(STAGE_COLOURS)
# The columns of a stages frame that are drawn.
STAGE_COLUMNS = ("task_id", "template_id", "finished_at", "stage", "position", "duration_s", "status")


def plot_predicted_actual(
    accuracy: pd.DataFrame,
    *,
    share: float | None = None,
    max_points: int = MAX_POINTS,
    ax: Axes | None = None,
) -> Axes:
    """Plot predicted against actual totals, with the band of ±20 % and the 80 % ranges.

    Parameters
    ----------
    accuracy
        What `accuracy_frame` gives, or rows of it; tasks that took no time are left out.
    share
        Draw only what was said at this share of the tasks' duration, one of `headway.records.ASKED_AT`.
    max_points
        Draw a sample of this size at most, 1 or more; the title counts all.
    ax
        Axes to draw on, else a new figure's.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    UsageError
        When there is nothing to plot, or an argument is not one.
    ImportError
        When matplotlib is not installed.
    """
    check_accuracy(accuracy, "elapsed_s", "share")
    if share is not None and share not in ASKED_AT:
        raise UsageError(f"expected share= as one of {', '.join(map(str, ASKED_AT))}, got {share!r}")
    if max_points < 1:
        raise UsageError(f"expected max_points= of 1 or more, got {max_points!r}")
    rows = accuracy if share is None else accuracy[accuracy["share"] == share]
    rows = rows[rows["total_s"] > 0]
    drawing.check_rows(rows, "predictions")
    shown = rows.sample(max_points, random_state=SEED) if len(rows) > max_points else rows
    actual, elapsed = shown["total_s"].to_numpy(), shown["elapsed_s"].to_numpy()
    low, predicted, high = (elapsed + shown[name].to_numpy() for name in ("low_s", "median_s", "high_s"))
    drawn = np.concatenate([actual, predicted[predicted > 0]])
    ends = float(drawn.min()), float(drawn.max())
    ax = drawing.new_axes(ax, drawing.SQUARE_SIZE)
    text = drawing.text_colour()
    line = np.array([ends[0] / 2, ends[1] * 2])
    ax.fill_between(
        line, line * (1 - WITHIN), line * (1 + WITHIN), color=text, alpha=0.08, linewidth=0, label="±20 %"
    )
    ax.plot(line, line, color=text, alpha=QUIET, linewidth=0.8)
    is_good = shown["is_within_20"].to_numpy()
    faint = float(np.clip(60 / len(shown) ** 0.5 / 10, 0.12, 0.6))
    for chosen, colour, name in ((~is_good, ORANGE, "outside"), (is_good, BLUE, "within 20 %")):
        ax.vlines(actual[chosen], low[chosen], high[chosen], color=colour, alpha=faint * 0.7, linewidth=0.7)
        ax.scatter(
            actual[chosen], predicted[chosen], s=11, color=colour, alpha=min(1.0, faint * 2), linewidths=0,
            label=name, marker="o" if name != "outside" else "D",
        )  # fmt: skip
    drawing.scale_log_times(ax, *ends)
    ax.set_aspect("equal")
    drawing.rule(ax)
    ax.set_xlabel("Actual total time")
    ax.set_ylabel("Predicted total time")
    legend = ax.legend(loc="upper left", frameon=False, fontsize="small", handletextpad=0.4)
    for handle in legend.legend_handles[1:]:
        handle.set_alpha(1.0)  # type: ignore[union-attr]
    figures = summarize(rows).iloc[0]
    interval = f"{100 * figures['within_20_low']:.0f}–{drawing.percent(figures['within_20_high'])}"
    when = "" if share is None else f" {_when(share)}"
    drawing.say_title(
        ax,
        f"{drawing.percent(figures['within_20'])} of {drawing.count_text(len(rows), 'prediction')} "
        "within 20 %",
        f"{drawing.count_text(int(figures['tasks']), 'task')}{when}, 95 % interval {interval}; "
        f"lines: 80 % ranges{_drawn_text(len(shown), len(rows))}",
    )
    return ax


def plot_error_by_progress(accuracy: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Plot the signed error of the predicted total against the share of the task that had passed.

    The line is the median, the band holds 80 % of the tasks, and under the axis stands how many of the
    predictions were within 20 %.

    Parameters
    ----------
    accuracy
        What `accuracy_frame` gives, or rows of it; predictions that were kept for a stage are left out.
    ax
        Axes to draw on, else a new figure's.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    UsageError
        When there is nothing to plot.
    ImportError
        When matplotlib is not installed.
    """
    check_accuracy(accuracy, "share")
    rows = accuracy[accuracy["share"].notna() & np.isfinite(accuracy["error"])]
    drawing.check_rows(rows, "predictions that were kept for a share")
    figures = summarize(rows, by="share")
    quantiles = rows.groupby("share")["error"].quantile(np.array([0.1, 0.5, 0.9])).unstack()
    shares = 100 * quantiles.index.to_numpy()
    low, median, high = 100 * np.clip(quantiles.to_numpy().T, -1.0, MAX_ERROR)
    ax = drawing.new_axes(ax)
    text = drawing.text_colour()
    ax.axhspan(-100 * WITHIN, 100 * WITHIN, color=text, alpha=0.07, linewidth=0)
    ax.axhline(0.0, color=text, alpha=QUIET, linewidth=0.8)
    ax.fill_between(shares, low, high, color=BLUE, alpha=0.25, linewidth=0)
    ax.plot(shares, median, color=BLUE, linewidth=2, marker="o", markersize=5)
    reach = max(30.0, 1.12 * float(np.abs([low, high]).max()))
    ax.set_ylim(-reach, 1.15 * reach)
    ax.set_xlim(-4, max(shares.max(), 90) + 4)
    ax.set_xticks(shares, [f"{share:.0f} %" for share in shares])
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:+.0f} %" if value else "0")
    drawing.rule(ax, "y")
    ax.annotate(
        "±20 %",
        (1, -100 * WITHIN),
        (-4, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        fontsize="small",
        alpha=QUIET,
    )
    for share, good in zip(shares, figures["within_20"], strict=True):
        ax.annotate(
            drawing.percent(good), (share, 1), (0, -5), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="top", fontsize="small", fontweight="bold",
        )  # fmt: skip
    ax.set_xlabel("Share of the true duration that had passed (%)")
    ax.set_ylabel("Predicted less actual total, in % of the actual")
    tasks = drawing.count_text(count_runs(rows), "task")
    drawing.say_title(
        ax,
        _within_sentence(figures["within_20"]),
        f"{tasks}; line: median, band: 80 % of them, figures: share within 20 %",
    )
    return ax


def plot_calibration(accuracy: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Plot how often ranges held against how often they were to hold, with the 95 % interval.

    Parameters
    ----------
    accuracy
        What `accuracy_frame` gives, or rows of it; see `calibration` for the levels besides 80 %.
    ax
        Axes to draw on, else a new figure's.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    UsageError
        When there is nothing to plot.
    ImportError
        When matplotlib is not installed.
    """
    check_accuracy(accuracy)
    drawing.check_rows(accuracy, "predictions")
    curve, told = calibration(accuracy, CURVE_LEVELS), calibration(accuracy, [TOLD_LEVEL]).iloc[0]
    ax = drawing.new_axes(ax, drawing.SQUARE_SIZE)
    text = drawing.text_colour()
    nominal, measured, low, high = (
        100 * curve[name].to_numpy() for name in ("nominal", "measured", "low", "high")
    )
    ax.plot([0, 100], [0, 100], color=text, alpha=QUIET, linewidth=0.8)
    ax.fill_between(nominal, low, high, color=BLUE, alpha=0.25, linewidth=0)
    ax.plot(nominal, measured, color=BLUE, linewidth=2)
    x, y = 100 * told["nominal"], 100 * told["measured"]
    ax.plot([x, x], [0, y], color=ORANGE, linewidth=0.9, linestyle=(0, (3, 3)))
    ax.plot([0, x], [y, y], color=ORANGE, linewidth=0.9, linestyle=(0, (3, 3)))
    ax.plot(x, y, color=ORANGE, marker="o", markersize=7)
    ax.annotate(
        f"{y:.0f} %",
        (x, y),
        (-10, 8 if y < 90 else -8),  # not into the title
        textcoords="offset points",
        ha="right",
        va="bottom" if y < 90 else "top",
        fontweight="bold",
    )
    ax.annotate(
        "too narrow", (0.76, 0.05), xycoords="axes fraction", ha="right", alpha=QUIET, fontsize="small"
    )
    ax.annotate("too wide", (0.03, 0.95), xycoords="axes fraction", va="top", alpha=QUIET, fontsize="small")
    ax.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    ticks = range(0, 101, 20)
    ax.set_xticks(ticks, [f"{tick} %" for tick in ticks])
    ax.set_yticks(ticks, [f"{tick} %" for tick in ticks])
    drawing.rule(ax)
    ax.set_xlabel("Ranges that were to hold")
    ax.set_ylabel("Ranges that held")
    drawing.say_title(
        ax,
        f"80 % ranges held {drawing.percent(told['measured'])} of the time",
        f"{drawing.count_text(len(accuracy), 'prediction')} of "
        f"{drawing.count_text(int(told['tasks']), 'task')}; band: 95 % interval",
    )
    return ax


def plot_durations(stages: pd.DataFrame, *, template_id: str | None = None, ax: Axes | None = None) -> Axes:
    """Plot how long tasks took over time: a template's stages stacked, or several templates as lines.

    Both are running medians over tasks whose stages all ended well and took some time; dots are the tasks, of
    many a sample.

    Parameters
    ----------
    stages
        What `stages_frame` gives, or rows of it.
    template_id
        Show the stages of this template; by default the only one, or, of several, one line each.
    ax
        Axes to draw on, else a new figure's.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    UsageError
        When there is nothing to plot, or the frame has no such template.
    ImportError
        When matplotlib is not installed.
    """
    check_columns(stages, STAGE_COLUMNS, made_by="stages_frame")
    rows = stages if template_id is None else stages[stages["template_id"] == str(template_id)]
    if len(stages) and not len(rows):
        known = ", ".join(map(str, stages["template_id"].unique()[:MAX_LINES]))
        raise UsageError(
            f"expected template_id= as a template of the frame, such as {known}; got {template_id!r}"
        )
    drawing.check_rows(rows, "stages")
    rows = with_ends(rows)
    runs = number_runs(rows)
    is_bad = rows["status"].isin(["failed", "pending", "in_progress"]).to_numpy()
    total = np.bincount(runs, rows["duration_s"].fillna(0.0))
    rows = rows[((total > 0) & (np.bincount(runs, is_bad) == 0))[runs]]
    drawing.check_rows(rows, "stages of tasks that ended well and took some time")
    ax = drawing.new_axes(ax)
    templates = rows["template_id"].value_counts()
    templates = templates[templates > 0]
    if len(templates) == 1:
        _draw_stages(ax, rows, str(templates.index[0]))
    else:
        _draw_templates(ax, rows, [str(name) for name in templates.index])
    drawing.rule(ax, "y")
    ax.set_xlabel("Finished (UTC)")
    _set_dates(ax, rows["finished_at"].min(), rows["finished_at"].max())
    return ax


def _draw_stages(ax: Axes, rows: pd.DataFrame, template: str) -> None:
    table = _seconds_of(rows, "stage")
    order = rows.groupby("stage", observed=True)["position"].median().sort_values(kind="stable").index
    table = table[[name for name in order if table[name].to_numpy().any()]]
    total = table.sum(axis="columns")
    middle = float(total.median())
    size, unit = drawing.unit_of(middle)
    smooth = _smooth(table) / size
    times, heights = smooth.index, smooth.to_numpy().T
    if times[0] == times[-1]:
        times = pd.DatetimeIndex([times[0] - LONE_REACH, times[0] + LONE_REACH])
        heights = np.repeat(heights[:, -1:], 2, axis=1)
    colours = [STAGE_COLOURS[place % len(STAGE_COLOURS)] for place in range(table.shape[1])]
    ax.stackplot(times, heights, colors=colours, alpha=0.85, linewidth=0)
    shown = _thin(total, MAX_POINTS)
    ax.scatter(shown.index, shown / size, s=5, color=drawing.text_colour(), alpha=0.35, linewidths=0)
    ax.set_ylim(0, max(float(total.quantile(0.99)) / size, float(smooth.sum(axis="columns").max())) * 1.1)
    last = smooth.iloc[-1].to_numpy()
    _label_ends(ax, list(np.cumsum(last) - last / 2), list(table), colours)
    ax.set_ylabel(f"Duration ({unit})")
    share = table.sum() / max(float(total.sum()), 1e-9)
    drawing.say_title(
        ax,
        f"{drawing.name_text(str(share.idxmax()))} is {drawing.percent(float(share.max()))} of "
        f"{drawing.name_text(template)}'s time",
        f"{drawing.count_text(len(table), 'task')}, {drawing.time_text(middle)} at the median; "
        f"areas: running medians, dots: tasks{_drawn_text(len(shown), len(table))}",
    )


def _draw_templates(ax: Axes, rows: pd.DataFrame, templates: list[str]) -> None:
    table = _seconds_of(rows, "template_id")[templates[:MAX_LINES]].dropna(how="all")
    drawing.scale_log_times(ax, float(np.nanmin(table)), float(np.nanmax(table)), axes="y")
    lasts, colours, drawn = [], [], 0
    for place, name in enumerate(table):
        total, colour = table[name].dropna(), STAGE_COLOURS[(place + 2) % len(STAGE_COLOURS)]
        line = _smooth(total.to_frame()).iloc[:, 0]
        shown = _thin(total, MAX_POINTS // table.shape[1])
        drawn += len(shown)
        ax.scatter(shown.index, shown, s=5, color=colour, alpha=0.35, linewidths=0)
        marker = "o" if len(line) == 1 else None
        ax.plot(line.index, line, color=colour, linewidth=2, marker=marker, markersize=5)
        lasts.append(float(line.iloc[-1]))
        colours.append(colour)
    _label_ends(ax, lasts, list(table), colours)
    ax.set_ylabel("Duration")
    medians = table.median()
    rarer = len(templates) - table.shape[1]
    left_out = f"; {rarer} rarer templates left out" if rarer else ""
    drawing.say_title(
        ax,
        f"{drawing.name_text(str(medians.idxmax()))} takes {drawing.time_text(float(medians.max()))}, "
        f"{drawing.name_text(str(medians.idxmin()))} {drawing.time_text(float(medians.min()))}",
        f"{drawing.count_text(len(table), 'task')}; lines: running medians, dots: tasks"
        f"{_drawn_text(drawn, len(table))}{left_out}",
    )


def _seconds_of(rows: pd.DataFrame, columns: str) -> pd.DataFrame:
    runs = number_runs(rows)
    sums = rows.groupby([runs, columns], observed=True)["duration_s"].sum().unstack(columns)
    if columns == "stage":
        sums = sums.fillna(0.0)
    ends = rows["finished_at"][~pd.Series(runs).duplicated().to_numpy()]
    return sums.set_axis(pd.DatetimeIndex(ends).tz_localize(None)).sort_index(kind="stable")


def _smooth(table: pd.DataFrame) -> pd.DataFrame:
    table = _thin(table, MAX_SMOOTHED)
    window = max(LEAST_SMOOTHED, round(SMOOTH_SHARE * len(table)))
    return table.rolling(window, min_periods=1, center=True).median()


def _thin(rows: Rows, most: int) -> Rows:
    """Take every second, third … row, so that at most so many are left."""
    return rows.iloc[:: -(-len(rows) // most) or 1]


def _label_ends(ax: Axes, heights: list[float], names: list[Any], colours: list[str]) -> None:
    """Write names beside where their lines end, moved apart where they would touch."""
    to_axes = ax.transData + ax.transAxes.inverted()
    places = [float(to_axes.transform((0.0, height))[1]) for height in heights]
    below = -np.inf
    for place, name, colour in sorted(zip(places, names, colours, strict=True), key=lambda label: label[0]):
        below = max(place, below + LABEL_HEIGHT)
        ax.annotate(
            drawing.name_text(str(name)),
            (1, below),
            (6, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize="small",
            fontweight="bold",
            annotation_clip=False,
            parse_math=False,
        )


def _set_dates(ax: Axes, first: pd.Timestamp, last: pd.Timestamp) -> None:
    dates = require("matplotlib.dates")
    if first == last:  # a day around a single moment: an axis needs a length
        middle = dates.date2num(first)
        ax.set_xlim(middle - 0.5, middle + 0.5)
    locator = dates.AutoDateLocator(maxticks=7)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))


def _drawn_text(drawn: int, of: int) -> str:
    return f"; {drawn:,} drawn" if drawn < of else ""


def _within_sentence(within: pd.Series[float]) -> str:
    first, last = float(within.index[0]), float(within.index[-1])
    told = f"{drawing.percent(within.iloc[0])} within 20 % {_when(first)}"
    if first == last:
        return told
    later = HALFWAY if HALFWAY in within.index else last
    return f"{told}, {drawing.percent(within[later])} {_when(later)}"


def _when(share: float) -> str:
    known = {0.0: "at the start", HALFWAY: "halfway"}
    return known.get(share, f"at {drawing.percent(share)} of the way")
