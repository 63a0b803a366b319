"""How long tasks and their stages took, as frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from headway.analysis.columns import CategoryColumn, NumberColumns, TaskColumns, expanded, ratio
from headway.analysis.filters import Filters, Moment, Names
from headway.analysis.reading import HistoryPart, Records, StagesPart, read_chunks
from headway.errors import UsageError
from headway.models import StageStatus

# The stage in which a task waits for a worker, in every default list of stages.
QUEUE = "queue"
HISTORY_COLUMNS = (
    "task_id", "template_id", "template_version", "category", "status", "attempt", "device", "host",
    "submitted_at", "finished_at", "wait_s", "run_s", "total_s", "peak_rss_bytes", "peak_gpu_memory_bytes",
)  # fmt: skip


def history_frame(
    records: Records,
    *,
    template_id: Names = None,
    category: Names = None,
    device: Names = None,
    status: Names = None,
    since: Moment = None,
    until: Moment = None,
    params: Literal["dicts", "columns"] = "dicts",
) -> pd.DataFrame:
    """Tabulate tasks that are over: one row per task, in the order in which they finished.

    Parameters
    ----------
    records
        The JSON of `headway.records.TaskHistory` values, or such values, in any order.
    template_id, category, device, status
        Only tasks of these; one text or a collection of texts.
    since, until
        Only tasks that finished at `since` or later, and before `until`: a datetime or a pandas Timestamp
        (UTC where it has no zone), an ISO 8601 text, or UTC seconds since the epoch.
    params
        ``"dicts"`` keeps the parameters of a task in one column, ``"columns"`` gives each parameter that is
        a number, a text or a truth value in some task a column ``param_<key>``; what is none of these is
        left out of it.

    Returns
    -------
    pandas.DataFrame
        With the columns

        ====================== =================== ========================================================
        column                 dtype               meaning, unit
        ====================== =================== ========================================================
        task_id                str                 the task
        template_id            category            what makes tasks comparable
        template_version       category            missing where the author named none
        category               category            missing where the task has none
        status                 category            how it ended
        attempt                int32               1 for the first worker that ran it, +1 for each other
        device                 category            what it ran on; missing where unknown
        host                   category            the machine; missing where unknown
        submitted_at           datetime64[us, UTC]
        finished_at            datetime64[us, UTC]
        wait_s                 float64             seconds in the stage ``queue``; NaN where there was none
        run_s                  float64             seconds besides: total_s less wait_s
        total_s                float64             seconds from the submission to the end
        peak_rss_bytes         Int64               bytes; missing where it was not measured
        peak_gpu_memory_bytes  Int64               bytes; missing where it was not measured
        params                 object              dicts of JSON values
        param_<key>            by its values       instead of params, with ``params="columns"``
        ====================== =================== ========================================================

    Raises
    ------
    UsageError
        When a filter, `params`, or a record is not of that form.
    """
    if params not in ("dicts", "columns"):
        raise UsageError(f'expected params="dicts" or params="columns", got {params!r}')
    filters = Filters(
        template_id=template_id, category=category, device=device, status=status, since=since, until=until
    )
    tasks, waits, attempts = TaskColumns(), NumberColumns(1), NumberColumns(1)
    peaks: dict[str, list[int | None]] = {"peak_rss_bytes": [], "peak_gpu_memory_bytes": []}
    values: list[dict[str, Any]] = []
    for chunk in read_chunks(records, HistoryPart):
        tasks.extend(chunk)
        waits.extend(map(_wait_s, chunk))
        attempts.extend(record.attempt for record in chunk)
        for name, column in peaks.items():
            column.extend([getattr(record, name) for record in chunk])
        values.extend(record.params for record in chunk)
    frame = tasks.build()
    frame["wait_s"] = waits.build()[0]
    frame["run_s"] = (frame["total_s"] - frame["wait_s"].fillna(0.0)).clip(lower=0.0)
    frame["attempt"] = attempts.build()[0].astype(np.int32)
    for name, column in peaks.items():
        frame[name] = pd.array(column, dtype="Int64")
    order = in_order(frame, filters)
    frame = frame[list(HISTORY_COLUMNS)].take(order).reset_index(drop=True)
    chosen = [values[row] for row in order]
    if params == "dicts":
        return frame.assign(params=pd.Series(chosen, dtype=object, index=frame.index))
    return pd.concat([frame, _param_columns(chosen)], axis="columns")


def stages_frame(
    records: Records,
    *,
    template_id: Names = None,
    category: Names = None,
    device: Names = None,
    status: Names = None,
    since: Moment = None,
    until: Moment = None,
) -> pd.DataFrame:
    """Tabulate stages: one row per stage of each task, tasks in the order in which they finished.

    Parameters
    ----------
    records, template_id, category, device, status, since, until
        As in `history_frame`; `status` is the task's.

    Returns
    -------
    pandas.DataFrame
        With the columns

        =========== =================== ===================================================================
        column      dtype               meaning, unit
        =========== =================== ===================================================================
        task_id     str                 the task
        template_id category            what makes tasks comparable
        finished_at datetime64[us, UTC] when the task, not the stage, finished
        stage       category            the stage; categories in the order in which stages were met
        position    int32               its place among the task's stages, from 0
        duration_s  float64             seconds; NaN of a stage that never began
        status      category            how the stage ended
        share       float64             duration_s as a share of the task's total, 0 to 1 or a bit above
                                        where clocks differ; NaN of a stage that never began
        =========== =================== ===================================================================

    Raises
    ------
    UsageError
        When a filter or a record is not of that form.
    """
    filters = Filters(
        template_id=template_id, category=category, device=device, status=status, since=since, until=until
    )
    tasks, counts, durations = TaskColumns(), NumberColumns(1), NumberColumns(1)
    names, ends = CategoryColumn(is_sorted=False), CategoryColumn(StageStatus)
    for chunk in read_chunks(records, StagesPart):
        tasks.extend(chunk)
        counts.extend(len(record.stages) for record in chunk)
        stages = [stage for record in chunk for stage in record.stages]
        names.extend(stage.id for stage in stages)
        ends.extend(stage.status for stage in stages)
        durations.extend(math.nan if stage.duration_s is None else stage.duration_s for stage in stages)
    frame = tasks.build()
    order = in_order(frame, filters)
    count = counts.build()[0].astype(np.int64)
    first = np.cumsum(count) - count
    rows, task_rows = expanded(first[order], count[order]), np.repeat(order, count[order])
    duration = durations.build()[0][rows]
    return (
        frame[["task_id", "template_id", "finished_at"]]
        .take(task_rows)
        .reset_index(drop=True)
        .assign(
            stage=names.build().take(rows),
            position=(rows - first[task_rows]).astype(np.int32),
            duration_s=duration,
            status=ends.build().take(rows),
            share=ratio(duration, frame["total_s"].to_numpy()[task_rows]),
        )
    )


def in_order(tasks: pd.DataFrame, filters: Filters) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the row numbers of the tasks that were asked for, in the order in which they finished."""
    wanted = np.flatnonzero(filters.select(tasks))
    finished = tasks["finished_at"].dt.tz_localize(None).to_numpy()[wanted]
    return wanted[np.argsort(finished, kind="stable")]


def _wait_s(record: HistoryPart) -> float:
    for stage in record.stages:
        if stage.id == QUEUE:
            return math.nan if stage.duration_s is None else stage.duration_s
    return math.nan


def _param_columns(values: Sequence[dict[str, Any]]) -> pd.DataFrame:
    keys = {key for params in values for key, value in params.items() if isinstance(value, (str, int, float))}
    return pd.DataFrame(
        {f"param_{key}": _param_column([params.get(key) for params in values]) for key in sorted(keys)},
        index=pd.RangeIndex(len(values)),
    )


def _param_column(values: Sequence[object]) -> Any:
    scalars = [value if isinstance(value, (str, int, float)) else None for value in values]
    kinds = {type(value) for value in scalars if value is not None}
    if len(kinds) > 1 and kinds != {int, float}:
        return pd.Series(scalars, dtype=object)
    return pd.array(scalars)  # Int64, Float64, boolean or string, each with a missing value
