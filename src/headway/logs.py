"""What a task logs, as values, and their JSON.

What becomes an entry is said in `worker.logs`, how many are kept in `store.reports` and `store.tasks`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from headway.errors import UsageError
from headway.timestamps import Timestamp, decode_timestamp


class LogLevel(StrEnum):
    """How much a log entry matters."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for debug up to 3 for error."""
        return _LEVELS.index(self)


_LEVELS = list(LogLevel)
_LEVEL_NAMES: dict[str, LogLevel] = {level.value: level for level in _LEVELS}
# As `logging` calls them besides.
_OTHER_NAMES = {"warn": "warning", "critical": "error", "fatal": "error", "notset": "debug"}


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a task's log.

    Parameters
    ----------
    id
        Rises with every entry of the task, across attempts.
    timestamp
        When it was logged, UTC seconds since the epoch.
    level
        How much it matters.
    message
        At most 4,000 characters.
    metadata
        JSON values.
    """

    id: int
    timestamp: Timestamp
    level: LogLevel
    message: str
    metadata: dict[str, Any] = {}


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some entries of a task's log, in the order in which they were written.

    Parameters
    ----------
    entries
        The entries.
    dropped
        How many entries of the task were dropped in all, because its log is bounded.
    total
        How many were ever logged, dropped or not, whatever their level.
    cursor
        The ``since`` of the next page; ``None`` when this one is the last.
    """

    entries: tuple[LogEntry, ...]
    dropped: int = 0
    total: int = 0
    cursor: int | None = None


def parse_level(level: object) -> LogLevel:
    """Return the level of that name, or the highest that one of `logging`, a name or a number, reaches.

    Raises
    ------
    UsageError
        When there is none.
    """
    found = _LEVEL_NAMES.get(level) if isinstance(level, str) else None
    if found is not None:  # nine tenths of a microsecond of each log call
        return found
    if isinstance(level, int) and not isinstance(level, bool):
        return level_of(level)
    name = str(level).lower()
    found = _LEVEL_NAMES.get(_OTHER_NAMES.get(name, name))
    if found is None:
        raise UsageError(f"expected a level of {', '.join(LogLevel)}, got {level!r}")
    return found


def level_of(number: int) -> LogLevel:
    """Return the highest of our levels that one of `logging` reaches."""
    return _LEVELS[min(max(number // 10, 1), len(_LEVELS)) - 1]


def decode_log_entry(data: bytes) -> LogEntry:
    """Read a log entry from its JSON."""
    return _DECODER.decode(data)


_DECODER = msgspec.json.Decoder(LogEntry, dec_hook=decode_timestamp)
