"""Reports as short as tests want them."""

from __future__ import annotations

from typing import Any

from headway.logs import LogEntry, LogLevel
from headway.models import TaskProgress
from headway.store.previews import Preview, PreviewFacts
from headway.store.reports import EncodedEntry, Report, encode_entry
from headway.timestamps import Timestamp


def reports(*tasks: TaskProgress) -> list[Report]:
    """One plain report of each task."""
    return [Report(task=task) for task in tasks]


def log_entries(count: int, *, first: int = 1, level: LogLevel = LogLevel.INFO) -> tuple[EncodedEntry, ...]:
    """As many log entries, numbered from `first`."""
    return tuple(
        encode_entry(
            LogEntry(id=number, timestamp=Timestamp(1_000 + number), level=level, message=f"line {number}")
        )
        for number in range(first, first + count)
    )


def preview(number: int, data: bytes, *, dropped: tuple[int, ...] = (), **facts: Any) -> Preview:
    """A preview of that content."""
    known = PreviewFacts(
        **{"number": number, "at": Timestamp(number), "progress": 0.0, "size_bytes": len(data)} | facts
    )
    return Preview(facts=known, data=data, dropped=dropped)
