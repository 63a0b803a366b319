"""Analysis of history and of ETA accuracy, in pandas and matplotlib: ``pip install 'headway[analysis]'``.

Frames are made of records (`history_frame`, `stages_frame`, `accuracy_frame`), figures of frames
(`summarize`, `calibration`, `drift`), plots of frames (``plot_*``), and files of records (``write_*``,
``read_*``). The store is left to others: `headway.history` and `headway.accuracy` bring its records here.
"""

from __future__ import annotations

from headway.analysis.requirements import require

for _library in ("numpy", "pandas"):
    require(_library)

from headway.analysis.accuracy import accuracy_frame  # noqa: E402
from headway.analysis.files import read_csv, read_parquet, write_csv, write_parquet  # noqa: E402
from headway.analysis.history import history_frame, stages_frame  # noqa: E402
from headway.analysis.plots import (  # noqa: E402
    plot_calibration,
    plot_durations,
    plot_error_by_progress,
    plot_predicted_actual,
)
from headway.analysis.ranges import calibration  # noqa: E402
from headway.analysis.summaries import drift, summarize, wilson_interval  # noqa: E402

__all__ = [
    "accuracy_frame",
    "calibration",
    "drift",
    "history_frame",
    "plot_calibration",
    "plot_durations",
    "plot_error_by_progress",
    "plot_predicted_actual",
    "read_csv",
    "read_parquet",
    "stages_frame",
    "summarize",
    "wilson_interval",
    "write_csv",
    "write_parquet",
]
