"""What a worker tells the orchestrator: one JSON line for each thing that is now true.

Times are `time.monotonic()`, which all processes of a machine share.
"""

from __future__ import annotations

import msgspec


class Started(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A task has been made, or taken up again: the call that did it has returned.

    Parameters
    ----------
    checkpoint
        The counter of the checkpoint that the attempt before left, ``None`` where there is none.
    stage, progress
        Of a resumed task: the first stage that is not over, and how far that is.
    began_at, at
        When the call began and when it had returned.
    """

    task_id: str
    attempt: int
    is_resumed: bool
    checkpoint: int | None = None
    stage: int = 0
    progress: float = 0.0
    began_at: float
    at: float


class Acked(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`flush` has returned: everything that the task reported before is stored for good.

    Parameters
    ----------
    stage, progress
        The stage that ran, by its place, and its progress, as they were before the call.
    logs
        The number of this attempt's last log message; those of an attempt are numbered from 1.
    checkpoint
        The counter of the last checkpoint; it goes on from attempt to attempt.
    is_completed
        Whether the task was completed before.
    logged_at
        When the last log message before was about to be given.
    """

    task_id: str
    attempt: int
    stage: int
    progress: float
    logs: int
    checkpoint: int
    is_completed: bool = False
    logged_at: float
    began_at: float
    at: float


class Superseded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The worker was told that a newer attempt has its task."""

    task_id: str
    attempt: int
    at: float


class Gone(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The task could not be taken up again: it was never stored, or it is over."""

    task_id: str
    reason: str
    at: float


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An exception that nobody expected."""

    task_id: str
    traceback: str


Report = Started | Acked | Superseded | Gone | Failed

_DECODER = msgspec.json.Decoder(Report)


def encode(report: Report) -> bytes:
    """Write a report as a line, short enough for a pipe to take it whole."""
    return msgspec.json.encode(report) + b"\n"


def decode(line: bytes) -> Report:
    return _DECODER.decode(line)
