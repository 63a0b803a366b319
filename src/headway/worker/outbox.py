"""The outbox: what a task has to deliver besides its state, and how far it is delivered.

Filled by the user's threads, emptied by the reporter's. Log entries wait in bounded number and length, of
checkpoints and previews the newest waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from headway.checks import MAX_ERROR_CHARS, metadata_json, plain_values, shorten
from headway.errors import InvalidParamsError
from headway.logs import LogEntry, LogLevel
from headway.models import encode_json
from headway.store.reports import (
    MAX_WAITING_BYTES,
    MAX_WAITING_ENTRIES,
    EncodedEntry,
    bounded_entries,
    encode_entry,
)
from headway.timestamps import Timestamp

if TYPE_CHECKING:
    from headway.worker.previews.slot import PreviewSlot

# Beyond so much of the bounds on waiting entries, what was said is made into entries and cut: not at each
# call, because that looks at all of them.
SLACK = 0.25
_NO_METADATA = b"{}"


class Outbox:
    """One task's; see the module.

    Parameters
    ----------
    previews
        The task's previews.
    first_log_id
        The id of the first log entry; above those of earlier attempts.
    checkpoint
        The newest checkpoint of an earlier attempt.
    delivered_seq
        The state that is stored already, 0 for none.

    Attributes
    ----------
    checkpoint
        The newest checkpoint, of this attempt or of the one before it; ``None`` where there is none.
    delivered_seq, delivered_at
        The newest state that is stored, and when it was, UTC seconds since the epoch; 0 for none.
    """

    def __init__(
        self,
        previews: PreviewSlot,
        *,
        first_log_id: int,
        checkpoint: dict[str, Any] | None = None,
        delivered_seq: int = 0,
    ) -> None:
        self.previews = previews
        self.checkpoint = checkpoint
        self.delivered_seq = delivered_seq
        self.delivered_at = 0.0
        self.is_fenced = False
        self.failure: Exception | None = None
        self.first_log_id = self._next_log_id = first_log_id
        # As they were said, without a lock; numbered and made into entries only when they are taken.
        self._said: deque[tuple[LogLevel, str, bytes, float]] = deque()
        self._entries: list[EncodedEntry] = []
        self._new_checkpoint: bytes | None = None
        self._changed = threading.Condition()

    @property
    def has_news(self) -> bool:
        """Whether a log entry or a checkpoint waits to be taken."""
        return bool(self._said or self._entries) or self._new_checkpoint is not None

    def log(self, level: LogLevel, message: str, metadata: Mapping[str, Any], *, now: float) -> None:
        """Add a log entry.

        Parameters
        ----------
        now
            UTC seconds since the epoch.
        """
        values = metadata_json(dict(metadata)) if metadata else _NO_METADATA
        text = shorten(str(message), MAX_ERROR_CHARS)
        self._said.append((level, text, values, now))
        count = len(self._said)
        # As if all were as long as this one: to count their bytes would take the lock.
        size_bytes = count * (len(text) + len(values))
        if count > SLACK * MAX_WAITING_ENTRIES or size_bytes > SLACK * MAX_WAITING_BYTES:
            with self._changed:
                self._settle()

    def save_checkpoint(self, value: Mapping[str, Any]) -> None:
        """Replace the checkpoint.

        Raises
        ------
        InvalidParamsError
            When it has no JSON form, or one of more than 16 kB.
        """
        if not isinstance(value, Mapping):
            raise InvalidParamsError(f"expected a checkpoint to be a dict, got {type(value).__name__}")
        plain = plain_values(dict(value), what="a checkpoint")
        with self._changed:
            self.checkpoint, self._new_checkpoint = plain, encode_json(plain)

    def take(self) -> tuple[bytes | None, tuple[EncodedEntry, ...]]:
        """Return, once, the new checkpoint and the new log entries."""
        with self._changed:
            self._settle()
            taken = self._new_checkpoint, tuple(self._entries)
            self._new_checkpoint, self._entries = None, []
        return taken

    def _settle(self) -> None:
        """Make entries of what was said, and drop what is too much."""
        for _ in range(len(self._said)):
            level, text, values, now = self._said.popleft()
            metadata: Any = msgspec.Raw(values)  # goes into the JSON as it is
            entry = LogEntry(
                id=self._next_log_id,
                timestamp=Timestamp(now),
                level=level,
                message=text,
                metadata=metadata,
            )
            self._entries.append(encode_entry(entry))
            self._next_log_id += 1
        self._entries = bounded_entries(self._entries)

    def acknowledge(self, seq: int, *, now: float) -> None:
        """Remember that the state of that number, and what went with it, is stored."""
        with self._changed:
            self.delivered_seq, self.delivered_at = max(seq, self.delivered_seq), now
            self._changed.notify_all()

    def fence(self) -> None:
        """Deliver nothing more: a newer attempt has taken the task up."""
        with self._changed:
            self.is_fenced = True
            self._changed.notify_all()

    def fail(self, error: Exception) -> None:
        """Deliver nothing more: what was reported cannot be sent at all."""
        with self._changed:
            self.failure = error
            self._changed.notify_all()

    def send_again(self) -> None:
        """Deliver the checkpoint once more: what is stored may be gone."""
        with self._changed:
            if self.checkpoint is not None:
                self._new_checkpoint = encode_json(self.checkpoint)

    def wait(self, seq: int, timeout_s: float) -> bool:
        """Wait until the state of that number, or a newer one, is stored; return whether it is."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.is_fenced or self.failure is not None or self.delivered_seq >= seq, timeout_s
            )
            return self.delivered_seq >= seq

    def detach(self) -> None:
        """Let go of a lock that another thread held while this process was forked."""
        self._changed = threading.Condition()
