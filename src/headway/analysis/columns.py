"""Columns of frames, built chunk by chunk with fixed dtypes: categories, times, ratios."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headway.analysis.reading import RecordPart
from headway.errors import UsageError
from headway.models import TaskStatus

#: The dtype of every time in a frame.
TIME_DTYPE: Final = "datetime64[us, UTC]"
#: The same in numpy, which knows no time zones: UTC by agreement.
TIME_UNIT = "datetime64[us]"

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class CategoryColumn:
    """A categorical column: each text is kept once, and a small integer in each row.

    Parameters
    ----------
    first
        Categories that are there in any case, in this order, before those that are met.
    is_sorted
        Whether the categories that were met are put into alphabetical order; else they keep the order in
        which they were met.
    """

    def __init__(self, first: Iterable[str] = (), *, is_sorted: bool = True) -> None:
        self._first = tuple(map(str, first))
        self._is_sorted = is_sorted
        # The next unused number is the number of keys, so `__getitem__` alone numbers texts, without any
        # Python code per row. None comes first and gets 0; one less than that is a missing value in pandas.
        self._numbers: defaultdict[str | None, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__
        for value in (None, *self._first):
            self._numbers[value]
        self._chunks: list[NDArray[np.int32]] = []

    def extend(self, values: Iterable[str | None]) -> None:
        """Append rows."""
        self._chunks.append(np.fromiter(map(self._numbers.__getitem__, values), np.int32))

    def build(self) -> pd.Categorical:
        """Return the column."""
        codes = _joined(self._chunks, np.int32) - 1
        names = [name for name in self._numbers if name is not None]
        if self._is_sorted:
            met = sorted(names[len(self._first) :])
            rank = {name: place for place, name in enumerate((*self._first, *met))}
            places = np.array([*(rank[name] for name in names), -1], np.int32)  # -1, missing, stays -1
            codes, names = places[codes], list(rank)
        return pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype="str"))


class NumberColumns:
    """Columns of one dtype side by side, filled row by row.

    Parameters
    ----------
    width
        How many columns.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._chunks: list[Floats] = []

    def extend(self, values: Iterable[float]) -> None:
        """Append rows, one after the other, `width` numbers each."""
        self._chunks.append(np.fromiter(values, np.float64))

    def build(self) -> Floats:
        """Return an array of `width` columns, each contiguous."""
        return np.ascontiguousarray(_joined(self._chunks, np.float64).reshape(-1, self._width).T)


class TaskColumns:
    """The columns that every frame has: one row per record, in the records' order."""

    NAMES = ("template_id", "template_version", "category", "device", "host")

    def __init__(self) -> None:
        self._task_ids: list[str] = []
        self._texts = {name: CategoryColumn() for name in self.NAMES}
        self._texts["status"] = CategoryColumn(TaskStatus)
        self._times: dict[str, list[NDArray[np.datetime64]]] = {"submitted_at": [], "finished_at": []}

    def extend(self, chunk: Sequence[RecordPart]) -> None:
        """Append the rows of records, which may also be `TaskHistory` values."""
        self._task_ids.extend(map(attrgetter("task_id"), chunk))
        for name, column in self._texts.items():
            column.extend(map(attrgetter(name), chunk))
        for name, times in self._times.items():
            times.append(read_times(list(map(attrgetter(name), chunk))))

    def build(self) -> pd.DataFrame:
        """Return task_id, the texts, submitted_at, finished_at and total_s."""
        times = {name: _joined(chunks, TIME_UNIT) for name, chunks in self._times.items()}
        total = (times["finished_at"] - times["submitted_at"]) / np.timedelta64(1, "s")
        return pd.DataFrame(
            {
                "task_id": pd.Series(self._task_ids, dtype="str"),
                **{name: column.build() for name, column in self._texts.items()},
                **{name: utc(values) for name, values in times.items()},
                "total_s": np.maximum(total, 0.0),
            }
        )


def read_times(values: Sequence[Any]) -> NDArray[np.datetime64]:
    """Read times, ISO texts or UTC epoch seconds, as UTC in microseconds."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return _read_texts(values)
    if str not in kinds:
        return np.rint(np.array(values, np.float64) * 1e6).astype(np.int64).view(TIME_UNIT)
    return np.concatenate([read_times([value]) for value in values])


def utc(times: NDArray[np.datetime64]) -> pd.Series[pd.Timestamp]:
    """Turn numpy times into a column that knows that they are UTC."""
    return pd.Series(pd.DatetimeIndex(times, tz="UTC"))


def number_runs(frame: pd.DataFrame) -> Ints:
    """Say for each row which run it is of: a number from 0 in the order in which runs are met.

    A task that was taken up again, or whose id was used again, has run more than once: each of its records
    is a run, told apart by its end.
    """
    tasks, _ = pd.factorize(frame["task_id"])
    ends, known = pd.factorize(frame["finished_at"])
    numbers, _ = pd.factorize(tasks.astype(np.int64) * max(len(known), 1) + ends)
    return numbers.astype(np.int64)


def count_runs(frame: pd.DataFrame) -> int:
    """Count the runs that the rows of a frame are of."""
    return int(number_runs(frame).max(initial=-1)) + 1


def with_ends(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with ``finished_at`` in UTC, also where pandas wrote it to CSV and read texts.

    Raises
    ------
    UsageError
        When these are no times.
    """
    try:
        ends = pd.to_datetime(frame["finished_at"], utc=True, format="ISO8601")
    except (TypeError, ValueError) as error:
        raise UsageError(f"expected times in the column finished_at: {error}") from error
    return frame.assign(finished_at=ends)


def check_columns(frame: object, needed: Iterable[str], *, made_by: str) -> None:
    """Refuse what is no frame of this package, or one that has lost columns.

    Parameters
    ----------
    frame
        What was given.
    needed
        The columns that it must have.
    made_by
        The function that makes such frames.

    Raises
    ------
    UsageError
        When it is no frame, or columns are missing.
    """
    if not isinstance(frame, pd.DataFrame):
        raise UsageError(f"expected what {made_by} gives, got {type(frame).__name__}; call {made_by} with it")
    missing = [str(name) for name in dict.fromkeys(needed) if name not in frame.columns]
    if missing:
        raise UsageError(
            f"expected what {made_by} gives, with the columns {', '.join(missing)}; "
            f"got the columns {', '.join(map(str, frame.columns))}"
        )


def ratio(part: Floats, whole: Floats) -> Floats:
    """Divide without NaN: nothing of nothing is 0, something of nothing is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = part / whole
    return np.where((part == 0.0) & (whole == 0.0), 0.0, share)


def expanded(starts: Ints, counts: Ints) -> Ints:
    """List the row numbers of runs: from each start as many as its count, run after run."""
    before = np.cumsum(counts) - counts
    rows: Ints = np.arange(int(counts.sum())) + np.repeat(starts - before, counts)
    return rows


def _read_texts(texts: Sequence[str]) -> NDArray[np.datetime64]:
    try:
        index = pd.to_datetime(list(texts), format="ISO8601", utc=True)
    except ValueError as error:
        raise UsageError(f"expected ISO 8601 times in the records: {error}") from error
    return index.tz_localize(None).as_unit("us").to_numpy()


def _joined(chunks: list[Any], dtype: Any) -> Any:
    return np.concatenate(chunks) if chunks else np.empty(0, dtype)
