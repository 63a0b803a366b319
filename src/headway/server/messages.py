"""What goes over the WebSocket, in both directions."""

from __future__ import annotations

from typing import Any

import msgspec

from headway.checks import check_task_id
from headway.errors import UsageError
from headway.logs import LogEntry
from headway.models import encode_json
from headway.timestamps import Timestamp, decode_timestamp

# Names one connection may ask for; JupyterLab shows some dozens, a page of everything a thousand.
MAX_IDS = 10_000


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, tag="subscribe"):
    """A viewer wants some tasks, as far as they are newer than what it has.

    Parameters
    ----------
    task_ids
        The tasks.
    batch_ids
        Batches; none are stored yet.
    since
        The ``seq`` that the viewer has, by task.
    many
        Whether the viewer takes a list of messages in one frame.
    logs
        Whether the tasks' log entries are wanted too.
    logs_since
        The id of the newest log entry that the viewer has, by task.
    resources
        Whether the tasks' resource samples are wanted too.
    resources_since
        The time of the newest sample that the viewer has, by task.
    """

    task_ids: list[str] = []
    batch_ids: list[str] = []
    since: dict[str, int] = {}
    many: bool = False
    logs: bool = False
    logs_since: dict[str, int] = {}
    resources: bool = False
    resources_since: dict[str, Timestamp] = {}


class Unsubscribe(msgspec.Struct, frozen=True, kw_only=True, tag="unsubscribe"):
    """A viewer wants some tasks no more."""

    task_ids: list[str] = []
    batch_ids: list[str] = []


class ProgressUpdate(msgspec.Struct, frozen=True, kw_only=True, tag="progress.update"):
    """The newest state of a task.

    Parameters
    ----------
    seq
        The state's number.
    sent_at
        The server's clock, so that a viewer can tell how far off its own is.
    data
        The JSON that the worker wrote, passed on as it is.
    """

    task_id: str
    seq: int
    sent_at: Timestamp
    data: msgspec.Raw


class LogMessage(msgspec.Struct, frozen=True, kw_only=True, tag="log"):
    """New entries of a task's log, oldest first.

    Parameters
    ----------
    dropped
        How many entries of the task were dropped in all.
    total
        How many were ever logged, dropped or not.
    """

    task_id: str
    entries: tuple[LogEntry, ...]
    dropped: int
    total: int


class ResourcesMessage(msgspec.Struct, frozen=True, kw_only=True, tag="resources"):
    """Resource samples of a task that the viewer has not got, oldest first.

    Parameters
    ----------
    interval_s
        Seconds between the samples that are stored now; it doubles as a task grows longer. Samples that the
        viewer has of the same ``floor(at / interval_s)`` are one: the newest replaces the others.
    samples
        The JSON that the worker wrote, each a `headway.samples.ResourceSample`.
    """

    task_id: str
    interval_s: float
    samples: tuple[msgspec.Raw, ...]


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat"):
    """Nothing is new, and the line works; sent where nothing else was for 1.5 s.

    Parameters
    ----------
    is_store_up
        Whether Redis answers.
    """

    sent_at: Timestamp
    is_store_up: bool


class ErrorMessage(msgspec.Struct, frozen=True, kw_only=True, tag="error"):
    """Something that the viewer should know; the connection stays open.

    Parameters
    ----------
    code
        ``"bad_message"``, ``"unknown_task"`` or ``"store_unavailable"``.
    """

    code: str
    message: str
    task_id: str | None = None


_DECODER = msgspec.json.Decoder(Subscribe | Unsubscribe, dec_hook=decode_timestamp)


def parse_message(text: str | bytes) -> Subscribe | Unsubscribe:
    """Read what a viewer sent.

    Raises
    ------
    UsageError
        When it is not a message, or names more than 10,000 tasks, or something that is no task id.
    """
    try:
        message: Subscribe | Unsubscribe = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            'expected {"type": "subscribe" or "unsubscribe", "task_ids": [...]}, got '
            f"{_excerpt(text)}: {error}"
        ) from error
    if len(message.task_ids) > MAX_IDS:
        raise UsageError(f"expected at most {MAX_IDS} task_ids, got {len(message.task_ids)}")
    if message.batch_ids:
        raise UsageError("expected task_ids only, got batch_ids: batches are not stored yet")
    for task_id in message.task_ids:
        check_task_id(task_id)
    if isinstance(message, Subscribe) and any(log_id < 0 for log_id in message.logs_since.values()):
        raise UsageError("expected logs_since to be ids of log entries, got one below 0")
    return message


def encode_frame(messages: list[Any]) -> bytes:
    """Encode one message, or a list of them, as a frame."""
    return encode_json(messages[0] if len(messages) == 1 else messages)


def _excerpt(text: str | bytes) -> str:
    return repr(text[:80])
