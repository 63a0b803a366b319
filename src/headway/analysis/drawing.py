"""What all plots share: axes, colours, the ticks of times and shares. Nothing global is changed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from headway.analysis.requirements import require
from headway.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Middle tones of the palette of Okabe and Ito (jfly.uni-koeln.de/color), which people tell apart whatever
# their colour vision; each has a contrast of at least 3:1 with white and with JupyterLab's dark #111.
BLUE = "#2f86c4"
ORANGE = "#d9662b"
STAGE_COLOURS = ("#9a9fa6", "#d69a2d", "#2f86c4", "#2a9d7c", "#c46fa0", "#7b6fd0", "#5fa8d9", "#d9662b")
QUIET = 0.65  # opacity of text and lines that stand back, in the text's own colour
MOST_NAME_CHARS = 24  # of a name in a plot: two of them fit into a title
FIGURE_SIZE = (6.4, 4.4)  # inches: half of a wide notebook, or a column of a slide
SQUARE_SIZE = (5.2, 5.4)

# Ticks as people say times; where more than seven fall into an axis, the coarse ones alone are taken.
MAX_TICKS = 7
_COARSE_S = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 36_000.0, 360_000.0)
_FINE_S = (
    *(digit * unit for unit in (1e-3, 1e-2, 1e-1, 1.0) for digit in (1, 2, 5)),
    *(digit * unit for unit in (1.0, 60.0) for digit in (10, 20, 30)),
    *(digit * unit for unit in (60.0, 3_600.0) for digit in (1, 2, 5)),
    *(digit * 3_600.0 for digit in (10, 20, 50, 100, 200, 500)),
)
# Where a plot of seconds becomes one of minutes and then of hours: two units fill the axis better.
_UNITS = ((7_200.0, 3_600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))
_SIGNS = ((3_600.0, "h"), (60.0, "min"), (1.0, "s"))


def new_axes(ax: Axes | None, size: tuple[float, float] = FIGURE_SIZE) -> Axes:
    """Return the axes to draw on, on a new figure of this size (inches) where none are given."""
    if ax is None:
        pyplot = require("matplotlib.pyplot")
        _, ax = pyplot.subplots(figsize=size, layout="constrained")
    assert ax is not None
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    return ax


def say_title(ax: Axes, finding: str, detail: str) -> None:
    """Write the finding, and under it quietly what it rests on; names in it may hold any character."""
    ax.set_title(finding, loc="left", fontweight="bold", pad=24, parse_math=False)
    ax.annotate(
        detail, (0, 1), (0, 7), xycoords="axes fraction", textcoords="offset points", fontsize="small",
        va="bottom", alpha=QUIET + 0.1,
    )  # fmt: skip


def name_text(name: str) -> str:
    """Shorten a name in its middle: templates often differ at their ends."""
    if len(name) <= MOST_NAME_CHARS:
        return name
    half = MOST_NAME_CHARS // 2
    return f"{name[: half - 1]}…{name[-half:]}"


def text_colour() -> Any:
    """Return the colour of the notebook's text, so that lines in it show in light and in dark."""
    return require("matplotlib").rcParams["text.color"]


def rule(ax: Axes, axis: str = "both") -> None:
    """Draw a hairline grid."""
    ax.grid(visible=True, axis=axis, which="major", color=text_colour(), alpha=0.12, linewidth=0.6)  # type: ignore[arg-type]


def scale_log_times(ax: Axes, low_s: float, high_s: float, *, axes: str = "xy") -> None:
    """Make axes logarithmic from `low_s` to `high_s`, with ticks as people say times."""
    low, high = low_s / 1.25, high_s * 1.25
    ticks = _time_ticks(low, high)
    for axis in axes:
        getattr(ax, f"set_{axis}scale")("log")
        getattr(ax, f"set_{axis}lim")(low, high)
        getattr(ax, f"set_{axis}ticks")([], minor=True)
        getattr(ax, f"set_{axis}ticks")(ticks, [time_text(seconds) for seconds in ticks])


def unit_of(seconds: float) -> tuple[float, str]:
    """Return the unit in which a time of this length is read best: its seconds, and its sign."""
    return next((size, sign) for least, size, sign in _UNITS if seconds >= least)


def time_text(seconds: float) -> str:
    """Say a time in two digits or so: ``"42 s"``, ``"3.1 min"``."""
    if seconds < 0.1:
        return f"{1000 * seconds:.2g} ms"
    size, sign = next((size, sign) for size, sign in _SIGNS if seconds >= size or size == 1.0)
    value = seconds / size
    return f"{value:.0f} {sign}" if value >= 10 else f"{value:.2g} {sign}"


def percent(share: float) -> str:
    """Say a share in whole percent; a dash of none."""
    return "–" if math.isnan(share) else f"{100 * share:.0f} %"


def count_text(count: int, noun: str) -> str:
    """Say a count with its noun: ``"1 task"``, ``"1,200 tasks"``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def check_rows(frame: pd.DataFrame, what: str) -> None:
    """Refuse to plot nothing.

    Raises
    ------
    UsageError
        When the frame has no rows.
    """
    if not len(frame):
        raise UsageError(f"expected {what} to plot, got a frame without any")


def _time_ticks(low: float, high: float) -> list[float]:
    for times in (_FINE_S, _COARSE_S):
        ticks = sorted({seconds for seconds in times if low <= seconds <= high})
        if 2 <= len(ticks) <= MAX_TICKS:
            return ticks
    size, _ = unit_of(low)
    found = require("matplotlib.ticker").MaxNLocator(4).tick_values(low / size, high / size) * size
    return [float(seconds) for seconds in found if low <= seconds <= high]
