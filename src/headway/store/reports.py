"""What goes into the store of one task, and what comes out of it."""

from __future__ import annotations

from itertools import chain
from typing import Any

import msgspec
from msgspec.structs import replace

from headway.logs import LogEntry, LogLevel
from headway.models import CancelRequest, TaskProgress, TaskStatus, encode_json
from headway.records import TaskHistory
from headway.store.previews import Preview

# Log entries of one task that wait to be stored, as many as are kept, and the bytes that they may take: at a
# usual 200 bytes they are 400 kB, with full messages and metadata they would be 40 MB.
MAX_WAITING_ENTRIES = 2_000
MAX_WAITING_BYTES = 2_000_000
# Of both so much is kept for level debug, so that the newest is there however much else is said.
DEBUG_SHARE = 0.1


class EncodedEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A log entry that waits to be stored.

    Parameters
    ----------
    id
        The entry's.
    is_debug
        Whether it is of level debug, of which the oldest are dropped first.
    data
        Its JSON.
    """

    id: int
    is_debug: bool
    data: bytes


def encode_entry(entry: LogEntry) -> EncodedEntry:
    """Encode a log entry for the store."""
    return EncodedEntry(id=entry.id, is_debug=entry.level is LogLevel.DEBUG, data=encode_json(entry))


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What is new of one task; it is stored as a whole, or refused as a whole.

    Parameters
    ----------
    task
        The newest state.
    run
        Which run of the task it is of: one run writes an attempt. Empty for a change from outside, which is
        written for whoever runs the task.
    worker
        The process whose lease keeps the task from being lost; empty to leave it as it is stored.
    expected_seq
        Write only where the stored state has this ``seq``; 0 for "only where none is stored".
    checkpoint
        JSON; ``None`` to leave it as it is stored, empty to drop it.
    entries
        New log entries, their ids rising.
    first_log_id
        The id of the run's first log entry, 0 if unknown; the ids of the others follow it without a gap, so
        that an entry that was dropped is missed.
    preview
        A new preview.
    record
        What is kept of a task that is now over.
    """

    task: TaskProgress
    run: str = ""
    worker: str = ""
    expected_seq: int | None = None
    checkpoint: bytes | None = None
    entries: tuple[EncodedEntry, ...] = ()
    first_log_id: int = 0
    preview: Preview | None = None
    record: TaskHistory | None = None

    def after(self, older: Report | None) -> Report:
        """Put into this report what an older one, that could not be delivered, holds besides its state."""
        if older is None or older.run != self.run:
            return self
        return replace(
            self,
            checkpoint=self.checkpoint if self.checkpoint is not None else older.checkpoint,
            entries=tuple(bounded_entries([*older.entries, *self.entries])),
            preview=self.preview.after(older.preview) if self.preview else older.preview,
            record=self.record or older.record,
        )


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """The newest state of a task as Redis holds it.

    Parameters
    ----------
    seq
        The state's number.
    data
        Its JSON, as the worker wrote it.
    status
        What the task does, empty where an earlier version wrote it.
    worker
        The process that runs the task; empty when it is over, lost, or nobody's.
    log_id
        The id of its newest log entry, 0 where there is none.
    """

    seq: int
    data: bytes
    status: str = ""
    worker: str = ""
    log_id: int = 0

    @property
    def is_over(self) -> bool:
        """Whether the task has ended for good."""
        return self.status in _OVER

    def followed_by(self, task: TaskProgress, *, run: str = "", worker: str = "") -> Report:
        """Report the task's next state, to be stored where this one still is the newest; see `Report`."""
        return Report(task=replace(task, seq=self.seq + 1), run=run, worker=worker, expected_seq=self.seq)


_OVER = frozenset(status.value for status in TaskStatus if status.is_over)


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """A task that was taken up again.

    Parameters
    ----------
    task
        The new attempt's first state.
    checkpoint
        The newest checkpoint, ``None`` where there is none.
    log_id
        The id of the newest log entry, 0 where there is none.
    """

    task: TaskProgress
    checkpoint: dict[str, Any] | None = None
    log_id: int = 0


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a report was not stored: what is stored is not older.

    Parameters
    ----------
    attempt, seq
        Those of what is stored.
    is_same_run
        Whether that is of the run that the report is of.
    has_written
        Whether that run wrote an earlier attempt, which a newer one has overtaken.
    cancel_request
        Who has asked what is stored to stop.
    """

    attempt: int
    seq: int
    is_same_run: bool = True
    has_written: bool = False
    cancel_request: CancelRequest | None = None


def bounded_entries(entries: list[EncodedEntry]) -> list[EncodedEntry]:
    """Drop what is too much: the oldest of level debug, but for a tenth of all, then the oldest others."""
    count, size_bytes = len(entries), sum(len(entry.data) for entry in entries)
    if count <= MAX_WAITING_ENTRIES and size_bytes <= MAX_WAITING_BYTES:
        return entries
    debug = [i for i, entry in enumerate(entries) if entry.is_debug]
    others = (i for i, entry in enumerate(entries) if not entry.is_debug)
    gone = set()
    for i in chain(debug[: len(debug) - _spared(entries, debug)], others):
        gone.add(i)
        count -= 1
        size_bytes -= len(entries[i].data)
        if count <= MAX_WAITING_ENTRIES and size_bytes <= MAX_WAITING_BYTES:
            break
    return [entry for i, entry in enumerate(entries) if i not in gone]


def _spared(entries: list[EncodedEntry], debug: list[int]) -> int:
    """Say how many of the newest entries of level debug stay for the sake of their share."""
    most = int(DEBUG_SHARE * MAX_WAITING_ENTRIES)
    left_bytes = DEBUG_SHARE * MAX_WAITING_BYTES
    for number, i in enumerate(reversed(debug[-most:])):
        left_bytes -= len(entries[i].data)
        if left_bytes < 0:
            return number
    return min(most, len(debug))
