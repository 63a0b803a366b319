"""Records in files, without loss: Parquet and CSV, of the same columns.

The parts of a record that have parts themselves (``params``, ``stages``, ``predictions``, ``evidence``) are
JSON texts in both, so that what is read is, value for value, what was written. Frames are pandas' to write,
which has no Parquet for a history frame's dicts of parameters: from records, every frame can be made again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec

from headway.analysis.columns import read_times
from headway.analysis.reading import CHUNK_RECORDS, RecordPart, Records, check_records, read_chunks
from headway.analysis.requirements import require
from headway.errors import UsageError
from headway.models import TaskStatus
from headway.records import Prediction, StageRecord, TaskHistory
from headway.timestamps import Timestamp

#: The columns of a file of records, with their Arrow types, in order.
COLUMNS = {
    "task_id": "string",
    "template_id": "string",
    "category": "string",
    "params": "string",
    "attempt": "int64",
    "status": "string",
    "submitted_at": "string",
    "finished_at": "string",
    "stages": "string",
    "template_version": "string",
    "device": "string",
    "host": "string",
    "peak_rss_bytes": "int64",
    "peak_gpu_memory_bytes": "int64",
    "predictions": "string",
    "evidence": "string",
}
TIMES = ("submitted_at", "finished_at")
PARTS = ("params", "stages", "predictions", "evidence")
# What a record cannot be without.
REQUIRED = ("task_id", "template_id", "params", "attempt", "status", *TIMES, "stages", "predictions")
# A row must fit into one block of the CSV reader; parameters have 16 kB at most, and predictions are some
# dozens of 150 B.
CSV_BLOCK_BYTES = 16 * 1024 * 1024


class _RawRecord(RecordPart, frozen=True, kw_only=True, gc=False):
    """A record whose nested parts stay the JSON that they are."""

    params: msgspec.Raw = msgspec.Raw(b"{}")
    attempt: int = 1
    stages: msgspec.Raw = msgspec.Raw(b"[]")
    peak_rss_bytes: int | None = None
    peak_gpu_memory_bytes: int | None = None
    predictions: msgspec.Raw = msgspec.Raw(b"[]")
    evidence: msgspec.Raw = msgspec.Raw(b"null")


def write_parquet(records: Records, path: str | PathLike[str]) -> int:
    """Write records to a Parquet file (zstd), which `read_parquet` reads back the same.

    Parameters
    ----------
    records
        The JSON of `headway.records.TaskHistory` values, or such values.
    path
        The file; one that is there is replaced once all records are written, and left alone if one cannot be.

    Returns
    -------
    int
        How many records were written.

    Raises
    ------
    UsageError
        When a record is not one.
    """
    parquet = require("pyarrow.parquet")
    schema = _schema(are_times_text=False)
    records = _as_json(records)
    with _replaced(path) as file, parquet.ParquetWriter(str(file), schema, compression="zstd") as writer:
        return _write(records, schema, writer.write_table)


def write_csv(records: Records, path: str | PathLike[str]) -> int:
    """Write records to a CSV file, UTF-8 with a header, which `read_csv` reads back the same.

    Texts are quoted, what is missing is an empty cell without quotes, times are ISO 8601 in UTC, and the
    parts of a record that have parts themselves are JSON.

    Parameters
    ----------
    records, path
        As in `write_parquet`.

    Returns
    -------
    int
        How many records were written.

    Raises
    ------
    UsageError
        When a record is not one.
    """
    csv = require("pyarrow.csv")
    schema = _schema(are_times_text=True)
    records = _as_json(records)
    with _replaced(path) as file, csv.CSVWriter(str(file), schema) as writer:
        return _write(records, schema, writer.write_table)


def read_parquet(path: str | PathLike[str]) -> list[TaskHistory]:
    """Read the records that `write_parquet` wrote, in their order.

    Raises
    ------
    UsageError
        When the file is not Parquet, has other columns, or holds what is no record.
    FileNotFoundError
        When there is no such file.
    """
    arrow, parquet = require("pyarrow"), require("pyarrow.parquet")
    schema = _schema(are_times_text=False)
    try:
        with parquet.ParquetFile(Path(path)) as file:
            _check_columns(path, file.schema_arrow.names)
            batches = file.iter_batches(CHUNK_RECORDS, columns=list(COLUMNS))
            return [record for batch in batches for record in _records(path, batch.cast(schema))]
    except arrow.ArrowInvalid as error:
        raise UsageError(f"expected a Parquet file of Headway's records at {path}: {error}") from error


def read_csv(path: str | PathLike[str]) -> list[TaskHistory]:
    """Read the records that `write_csv` wrote, in their order.

    Raises
    ------
    UsageError
        When the file is not CSV, has other columns, or holds what is no record.
    FileNotFoundError
        When there is no such file.
    """
    arrow, csv = require("pyarrow"), require("pyarrow.csv")
    schema = _schema(are_times_text=True)
    try:
        reader = csv.open_csv(
            str(path),
            read_options=csv.ReadOptions(block_size=CSV_BLOCK_BYTES),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=schema,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        with reader:
            _check_columns(path, reader.schema.names)
            return [record for batch in reader for record in _records(path, batch.select(list(COLUMNS)))]
    except arrow.ArrowInvalid as error:
        raise UsageError(f"expected a CSV file of Headway's records at {path}: {error}") from error


def _schema(*, are_times_text: bool) -> Any:
    arrow = require("pyarrow")
    types = {name: arrow.type_for_alias(alias) for name, alias in COLUMNS.items()}
    if not are_times_text:
        types.update(dict.fromkeys(TIMES, arrow.timestamp("us", tz="UTC")))
    return arrow.schema(list(types.items()))


@contextmanager
def _replaced(path: str | PathLike[str]) -> Iterator[Path]:
    """Give a file to write that takes the place of `path` when it is written, and goes when that failed."""
    final = Path(path).resolve()
    if final.exists() and not final.is_file():  # a pipe, /dev/stdout
        yield final
        return
    part = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)


def _write(records: Iterator[bytes], schema: Any, write: Callable[[Any], None]) -> int:
    arrow, count = require("pyarrow"), 0
    are_times_text = schema.field("finished_at").type == arrow.string()
    for chunk in read_chunks(records, _RawRecord):
        columns: dict[str, Any] = {name: list(map(attrgetter(name), chunk)) for name in COLUMNS}
        for name in PARTS:
            texts = [bytes(part) for part in columns[name]]
            columns[name] = [None if text == b"null" else text for text in texts]
        if not are_times_text:
            columns.update({name: read_times(columns[name]) for name in TIMES})
        write(arrow.table(columns, schema=schema))
        count += len(chunk)
    return count


def _as_json(records: Records) -> Iterator[bytes]:
    check_records(records)
    return (record.to_json() if isinstance(record, TaskHistory) else record for record in records)


def _check_columns(path: str | PathLike[str], names: list[str]) -> None:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise UsageError(
            f"expected a file of Headway's records at {path}, as write_parquet and write_csv make them, got "
            f"one without the columns {', '.join(missing)}; it has {', '.join(names)[:500]}"
        )


_PARAMS = msgspec.json.Decoder(dict[str, Any])
_STAGES = msgspec.json.Decoder(tuple[StageRecord, ...])
_PREDICTIONS = msgspec.json.Decoder(tuple[Prediction, ...])


def _records(path: str | PathLike[str], batch: Any) -> list[TaskHistory]:
    for name in REQUIRED:
        if batch.column(name).null_count:
            raise UsageError(f"expected a {name} in every row of {path}, got an empty one")
    columns = {name: batch.column(name).to_pylist() for name in COLUMNS if name not in TIMES}
    try:
        parts = {
            "params": [_PARAMS.decode(text) for text in columns.pop("params")],
            "stages": [_STAGES.decode(text) for text in columns.pop("stages")],
            "predictions": [_PREDICTIONS.decode(text) for text in columns.pop("predictions")],
            "evidence": [text and _PARAMS.decode(text) for text in columns.pop("evidence")],
            "status": [TaskStatus(text) for text in columns.pop("status")],
            **{name: _timestamps(batch.column(name)) for name in TIMES},
        }
    except (ValueError, msgspec.DecodeError) as error:
        raise UsageError(f"expected a file of Headway's records at {path}: {error}") from error
    columns.update(parts)
    return [
        TaskHistory(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)
    ]


def _timestamps(column: Any) -> list[Timestamp]:
    if column.type == "string":
        return [Timestamp.from_iso(text) for text in column.to_pylist()]
    return [Timestamp(microseconds / 1e6) for microseconds in column.cast("int64").to_pylist()]
