"""Tasks and their stages, as values, and the JSON of every value.

Every value is frozen, stores facts only, and derives the rest; unknown is ``None``. What a worker encodes
here is, byte for byte, what a browser reads. Nothing in this module reads a clock or does I/O.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from headway.estimates import Estimate
from headway.timestamps import Timestamp, decode_timestamp


class TaskStatus(StrEnum):
    """What a task as a whole does."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_over(self) -> bool:
        """Whether the task has ended for good; a lost one may come back."""
        return self in _TASK_OVER


class StageStatus(StrEnum):
    """What one stage does."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def is_over(self) -> bool:
        """Whether the stage has ended."""
        return self in _STAGE_OVER


_TASK_OVER = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED})
_STAGE_OVER = frozenset({StageStatus.COMPLETED, StageStatus.FAILED, StageStatus.SKIPPED})


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A named part of every task of a template.

    Parameters
    ----------
    id
        The name that code uses, such as ``"model_loading"``.
    name
        The name that people read, such as ``"Model loading"``.
    weight
        The stage's share of the task's time, above 0; weights need not add up to 1.
    """

    id: str
    name: str
    weight: float


class StageProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far one stage of one task is.

    Parameters
    ----------
    id, name, weight
        As in `Stage`.
    status
        What the stage does.
    progress
        0 to 1; it never falls within an attempt.
    message
        One line about what is being done, at most 500 characters.
    done, total
        Counted steps: finished ones and all, where they are known.
    started_at, finished_at
        UTC seconds since the epoch.
    duration
        Seconds that the stage took, by a monotonic clock where one process saw both ends; ``None`` until it
        is over.
    error
        The error's text of a stage that failed.
    metadata
        JSON values that the task's code attached.
    """

    id: str
    name: str
    weight: float
    status: StageStatus = StageStatus.PENDING
    progress: float = 0.0
    message: str | None = None
    done: int | None = None
    total: int | None = None
    started_at: Timestamp | None = None
    finished_at: Timestamp | None = None
    duration: float | None = None
    error: str | None = None
    metadata: dict[str, Any] = {}

    def elapsed(self, now: float) -> float | None:
        """Return the seconds spent in the stage so far.

        Parameters
        ----------
        now
            UTC seconds since the epoch.

        Returns
        -------
        float or None
            The duration of a stage that is over, ``None`` for one that has not begun.
        """
        if self.duration is not None:
            return self.duration
        if self.started_at is None:
            return None
        return max(0.0, now - self.started_at)


class TaskSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a task that a list shows, read from the JSON of a `TaskProgress`.

    Parameters
    ----------
    task_id
        Names the task everywhere; see `checks.check_task_id`.
    template_id
        What makes tasks comparable: the function or workflow.
    name
        What people read.
    category
        Picks the default stages; ``None`` for a task of no category.
    status
        What the task as a whole does.
    attempt
        1 for the first worker that runs the task, +1 for each that takes it up again.
    seq
        Rises with every stored change, across attempts.
    overall_progress
        0 to 100; it never falls within an attempt.
    current_stage
        The id of the running stage, else of the last that ran.
    error
        The error's text of a task that failed.
    eta
        When the task is expected to end; ``None`` while nothing is known.
    preview_url
        The newest preview, relative to the Jupyter server's base URL.
    created_at, started_at, updated_at, finished_at
        UTC seconds since the epoch; the worker's last word is of ``updated_at``.
    lost_at
        When it was noticed that the worker of a task that is ``lost`` is no longer there.
    """

    task_id: str
    template_id: str
    name: str
    category: str | None = None
    status: TaskStatus
    attempt: int = 1
    seq: int = 0
    overall_progress: float = 0.0
    current_stage: str | None = None
    error: str | None = None
    eta: Estimate | None = None
    preview_url: str | None = None
    created_at: Timestamp
    started_at: Timestamp | None = None
    updated_at: Timestamp
    finished_at: Timestamp | None = None
    lost_at: Timestamp | None = None

    @property
    def changed_at(self) -> Timestamp:
        """When the state last changed, by its worker's word or by its silence."""
        return self.lost_at or self.updated_at


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody has asked that a task be stopped.

    Parameters
    ----------
    by
        Who, as the server or the system calls them; at most 100 characters.
    at
        When, UTC seconds since the epoch.
    """

    by: str
    at: Timestamp


class TaskProgress(TaskSummary, frozen=True, kw_only=True):
    """The whole state of one task, as stored, sent and shown: a `TaskSummary`, and these.

    Parameters
    ----------
    stages
        In the order in which they run.
    params
        The generation's parameters, JSON values.
    template_version
        What the author calls this version of the template; tasks of another one are compared last.
    device
        What it runs on, such as ``"NVIDIA H100"``.
    cancel_request
        Who has asked this attempt to stop, and when; a task that then ended otherwise had ended before.
    """

    stages: tuple[StageProgress, ...]
    params: dict[str, Any] = {}
    template_version: str | None = None
    device: str | None = None
    cancel_request: CancelRequest | None = None

    def stage(self, stage_id: str) -> StageProgress | None:
        """Return the stage of that id, or ``None``."""
        return next((stage for stage in self.stages if stage.id == stage_id), None)

    def to_json(self) -> bytes:
        """Encode the task as the JSON that is stored and sent."""
        return encode_json(self)

    @classmethod
    def from_json(cls, data: bytes) -> TaskProgress:
        """Decode what `to_json` wrote; fields that this version does not know are ignored."""
        return _TASK_DECODER.decode(data)


def encode_json(value: object) -> bytes:
    """Encode any Headway value, or a list of them, as JSON."""
    return _ENCODER.encode(value)


def decode_summary(data: bytes) -> TaskSummary | None:
    """Read the summary out of a task's JSON; ``None`` of one that only a later version can read."""
    try:
        return _SUMMARY_DECODER.decode(data)
    except msgspec.ValidationError:
        return None


def decode_task(data: bytes) -> TaskProgress | None:
    """Read a task's JSON; ``None`` of one that only a later version can read."""
    try:
        return _TASK_DECODER.decode(data)
    except msgspec.ValidationError:
        return None


def decode_cancel_request(data: bytes) -> CancelRequest | None:
    """Read who asked a task to stop; ``None`` of what only a later version can read."""
    try:
        return _CANCEL_DECODER.decode(data)
    except msgspec.ValidationError:
        return None


def _encode_hook(value: object) -> object:
    if isinstance(value, Timestamp):
        return value.to_iso()
    item = getattr(value, "item", None)  # numpy and torch scalars
    if callable(item):
        return item()
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} {value!r:.80}")


_ENCODER = msgspec.json.Encoder(enc_hook=_encode_hook)
_TASK_DECODER = msgspec.json.Decoder(TaskProgress, dec_hook=decode_timestamp)
_CANCEL_DECODER = msgspec.json.Decoder(CancelRequest, dec_hook=decode_timestamp)
_SUMMARY_DECODER = msgspec.json.Decoder(TaskSummary, dec_hook=decode_timestamp)
