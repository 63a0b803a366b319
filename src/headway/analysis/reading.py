"""Records in, chunks of them out: the one place where analysis decodes JSON.

A frame needs a part of each record only, so the JSON is decoded into types that have that part and no more:
the rest is skipped, and ISO times stay texts until a whole column of them is read at once. These types have
the attributes of `headway.records.TaskHistory`, which can therefore be used in their place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeAlias, TypeVar

import msgspec

from headway.errors import UsageError
from headway.records import Prediction, TaskHistory

#: What every function of the package takes: the JSON of records, or the records.
Records: TypeAlias = Iterable[bytes | TaskHistory]

# Decoded records are dropped chunk by chunk, so that a million predictions are never objects at once; 2,000
# records of eight predictions are some 5 MB, and the cost of beginning a chunk is under 1 % of its decoding.
CHUNK_RECORDS = 2_000


class StagePart(msgspec.Struct, frozen=True, gc=False):
    """A `headway.records.StageRecord`, with the status as a text."""

    id: str
    duration_s: float | None = None
    status: str = "completed"


class RecordPart(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every frame needs of a record."""

    task_id: str
    template_id: str
    category: str | None = None
    status: str = "completed"
    submitted_at: str
    finished_at: str
    template_version: str | None = None
    device: str | None = None
    host: str | None = None


class HistoryPart(RecordPart, frozen=True, kw_only=True, gc=False):
    """What `history_frame` needs of a record."""

    attempt: int = 1
    params: dict[str, Any] = {}
    stages: tuple[StagePart, ...] = ()
    peak_rss_bytes: int | None = None
    peak_gpu_memory_bytes: int | None = None


class StagesPart(RecordPart, frozen=True, kw_only=True, gc=False):
    """What `stages_frame` needs of a record."""

    stages: tuple[StagePart, ...] = ()


class AccuracyPart(RecordPart, frozen=True, kw_only=True, gc=False):
    """What `accuracy_frame` needs of a record."""

    predictions: tuple[Prediction, ...] = ()


Part = TypeVar("Part", bound=msgspec.Struct)


def read_chunks(records: Records, kind: type[Part]) -> Iterator[list[Part]]:
    """Decode records into lists of at most `CHUNK_RECORDS`.

    A `TaskHistory` among them is passed on as it is; it has all attributes of `kind`, but its times are
    `headway.timestamps.Timestamp` values instead of texts.

    Raises
    ------
    UsageError
        When something is no record; the message says where.
    """
    found = _read(records, kind)
    while chunk := list(islice(found, CHUNK_RECORDS)):
        yield chunk


def check_records(records: object) -> None:
    """Refuse what holds no records: one of them alone, a frame, a path.

    Raises
    ------
    UsageError
        When it does not.
    """
    name = type(records).__name__
    if isinstance(records, (bytes, str, TaskHistory)):
        raise UsageError(f"expected a list of records, got one {name}; put it into a list")
    if not isinstance(records, Iterable) or hasattr(records, "columns"):
        raise UsageError(
            "expected a list of records, as ProgressTracker.read_history and read_parquet give them, got "
            f"{name}"
        )


def _read(records: Records, kind: type[Part]) -> Iterator[Any]:
    check_records(records)
    decode = msgspec.json.Decoder(kind).decode
    for position, record in enumerate(records):
        if isinstance(record, TaskHistory):
            yield record
            continue
        if not isinstance(record, (bytes, bytearray, memoryview, str)):
            raise UsageError(
                f"expected records as JSON bytes or TaskHistory values, got {type(record).__name__} at "
                f"position {position}"
            )
        try:
            part = decode(record)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"expected the JSON of a TaskHistory at position {position}: {error}") from error
        yield part
