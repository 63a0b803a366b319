"""What was said about tasks while they ran, beside what came true."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headway.analysis.columns import CategoryColumn, NumberColumns, TaskColumns, expanded, ratio
from headway.analysis.filters import Filters, Moment, Names
from headway.analysis.history import in_order
from headway.analysis.reading import AccuracyPart, Records, read_chunks
from headway.models import TaskStatus

#: A prediction is good when the total that it implies is off by at most this share of the true one.
WITHIN = 0.20


def accuracy_frame(
    records: Records,
    *,
    template_id: Names = None,
    category: Names = None,
    device: Names = None,
    status: Names = TaskStatus.COMPLETED,
    since: Moment = None,
    until: Moment = None,
) -> pd.DataFrame:
    """Tabulate predictions: one row per kept prediction of each task, tasks in the order they finished in.

    Parameters
    ----------
    records, template_id, category, device, since, until
        As in `history_frame`. Hand in all records and filter here, rather than before: ``completions``
        counts in what is handed in, whatever the filters leave of it.
    status
        Only tasks that ended like this; ``None`` for all. What was said of a task that then failed is
        measured against the time at which it failed.

    Returns
    -------
    pandas.DataFrame
        With the columns below. A million rows take some 120 MB: texts that repeat are categories.

        ============ =================== ==================================================================
        column       dtype               meaning, unit
        ============ =================== ==================================================================
        task_id      str                 the task (object before pandas 3)
        template_id  category            what makes tasks comparable
        category     category            missing where the task has none
        device       category            what it ran on; missing where unknown
        host         category            the machine; missing where unknown
        status       category            how the task ended
        submitted_at datetime64[us, UTC]
        finished_at  datetime64[us, UTC]
        share        float64             share of the task's true duration that had passed, one of
                                         `headway.records.ASKED_AT`; NaN of one kept for a stage
        stage        category            the stage that had just begun; missing of one kept for a share
        elapsed_s    float64             seconds since the submission
        low_s        float64             seconds said to be left, 10 % quantile
        median_s     float64             seconds said to be left, median
        high_s       float64             seconds said to be left, 90 % quantile
        left_s       float64             seconds truly left, 0 at least
        total_s      float64             seconds the task took in all
        error        float64             ``(elapsed_s + median_s - total_s) / total_s``: above 0 where it
                                         was faster than said; infinite where total_s is 0
        is_within_20 bool                whether ``abs(error) <= 0.2``
        is_covered   bool                whether ``low_s <= left_s <= high_s``
        width        float64             ``(high_s - low_s) / total_s``; infinite where total_s is 0
        basis        category            what the prediction was made from
        completions  int32               completed tasks of the template, among all records handed in, that
                                         finished before this one was submitted
        ============ =================== ==================================================================

    Raises
    ------
    UsageError
        When a filter or a record is not of that form.
    """
    filters = Filters(
        template_id=template_id, category=category, device=device, status=status, since=since, until=until
    )
    tasks, counts = TaskColumns(), NumberColumns(1)
    spans, shares = NumberColumns(4), NumberColumns(1)
    stages, bases = CategoryColumn(is_sorted=False), CategoryColumn()
    for chunk in read_chunks(records, AccuracyPart):
        tasks.extend(chunk)
        counts.extend(len(record.predictions) for record in chunk)
        told = [prediction for record in chunk for prediction in record.predictions]
        spans.extend(
            seconds for one in told for seconds in (one.elapsed_s, one.low_s, one.median_s, one.high_s)
        )
        shares.extend(math.nan if one.share is None else one.share for one in told)
        stages.extend([one.stage for one in told])
        bases.extend([one.basis for one in told])
    frame = tasks.build()
    frame["completions"] = count_completions(frame)
    order = in_order(frame, filters)
    count = counts.build()[0].astype(np.int64)
    rows = expanded((np.cumsum(count) - count)[order], count[order])
    elapsed, low, median, high = spans.build()[:, rows]
    frame = frame.take(np.repeat(order, count[order])).reset_index(drop=True)
    total = frame["total_s"].to_numpy()
    left, error = np.maximum(total - elapsed, 0.0), ratio(elapsed + median - total, total)
    columns = {
        **{name: frame[name] for name in ("task_id", "template_id", "category", "device", "host", "status")},
        "submitted_at": frame["submitted_at"],
        "finished_at": frame["finished_at"],
        "share": shares.build()[0][rows],
        "stage": stages.build().take(rows),
        "elapsed_s": elapsed,
        "low_s": low,
        "median_s": median,
        "high_s": high,
        "left_s": left,
        "total_s": total,
        "error": error,
        "is_within_20": np.abs(error) <= WITHIN,
        "is_covered": (low <= left) & (left <= high),
        "width": ratio(high - low, total),
        "basis": bases.build().take(rows),
        "completions": frame["completions"],
    }
    return pd.DataFrame(columns)


def count_completions(tasks: pd.DataFrame) -> NDArray[np.int32]:
    """Count for each task its template's completed tasks that finished before it was submitted.

    All submissions and completions are put into one order, by template, then by time, a submission before
    what finished in the same microsecond; the completions above a submission, less those of the templates
    before its own, are the answer.
    """
    template = tasks["template_id"].cat.codes.to_numpy(np.int64)
    submitted = tasks["submitted_at"].dt.tz_localize(None).to_numpy()
    finished = tasks["finished_at"].dt.tz_localize(None).to_numpy()
    done = np.flatnonzero((tasks["status"] == TaskStatus.COMPLETED).to_numpy())
    is_end = np.repeat([False, True], [len(tasks), len(done)])
    templates = np.concatenate([template, template[done]])
    order = np.lexsort((is_end, np.concatenate([submitted, finished[done]]), templates))
    above = np.empty(len(order), np.int64)
    above[order] = np.cumsum(is_end[order])
    per_template = np.bincount(template[done], minlength=len(tasks["template_id"].cat.categories))
    first = (np.cumsum(per_template) - per_template)[template]
    return (above[: len(tasks)] - first).astype(np.int32)
