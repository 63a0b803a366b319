"""What is kept of a task that is over: how long it took, and what was said about that beforehand."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from headway.errors import UsageError
from headway.models import StageStatus, TaskProgress, TaskStatus, encode_json
from headway.timestamps import Timestamp, decode_timestamp

#: The shares of a task's true duration at which the prediction then in force is kept.
ASKED_AT = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)


class StageRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long one stage took.

    Parameters
    ----------
    id
        The stage.
    duration_s
        Seconds; ``None`` of a stage that never began.
    status
        How it ended.
    """

    id: str
    duration_s: float | None = None
    status: StageStatus = StageStatus.COMPLETED


class Prediction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What viewers were told at one instant of a task.

    Parameters
    ----------
    elapsed_s
        The instant, in seconds since the task was submitted.
    low_s, median_s, high_s
        Seconds that were then said to be left, 0 at least.
    basis
        What it was made from.
    stage
        The stage that had just begun, of a prediction kept for that.
    share
        One of `ASKED_AT`, of a prediction kept because that share of the task's true duration had passed.
    """

    elapsed_s: float
    low_s: float
    median_s: float
    high_s: float
    basis: str
    stage: str | None = None
    share: float | None = None


class TaskHistory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One task that is over, as it is learned from and analysed.

    Parameters
    ----------
    task_id, template_id, category, params, attempt
        As in `headway.models.TaskSummary`.
    status
        How it ended. Only completed tasks teach durations; of the others it is known that they took at least
        as long as they did.
    submitted_at, finished_at
        UTC seconds since the epoch.
    stages
        In their order; the first is ``queue`` where the template has one.
    template_version
        What the author called this version of the template.
    device
        What it ran on, such as ``"NVIDIA H100"``.
    host
        The machine's name.
    peak_rss_bytes, peak_gpu_memory_bytes
        The most memory that its process took.
    predictions
        What viewers were told while it ran, with ``elapsed_s`` rising.
    evidence
        What the predictor learned from the task's own course, for its own use; opaque.
    """

    task_id: str
    template_id: str
    category: str | None = None
    params: dict[str, Any] = {}
    attempt: int = 1
    status: TaskStatus = TaskStatus.COMPLETED
    submitted_at: Timestamp
    finished_at: Timestamp
    stages: tuple[StageRecord, ...] = ()
    template_version: str | None = None
    device: str | None = None
    host: str | None = None
    peak_rss_bytes: int | None = None
    peak_gpu_memory_bytes: int | None = None
    predictions: tuple[Prediction, ...] = ()
    evidence: dict[str, Any] | None = None

    @property
    def total_s(self) -> float:
        """Seconds from the submission to the end."""
        return max(0.0, self.finished_at - self.submitted_at)

    def to_json(self) -> bytes:
        """Encode the record as the JSON that is stored."""
        return encode_json(self)


def check_record(record: object) -> TaskHistory:
    """Return a record as it will be read again, of which times may be plain numbers of seconds.

    Raises
    ------
    UsageError
        When it is no record, or what it holds could not be read again.
    """
    if not isinstance(record, TaskHistory):
        raise UsageError(f"expected the last state or the record of a task, got {type(record).__name__}")
    try:
        submitted, finished = Timestamp(record.submitted_at), Timestamp(record.finished_at)
        data = replace(record, submitted_at=submitted, finished_at=finished).to_json()
        return _DECODER.decode(data)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise UsageError(
            f"expected a TaskHistory of JSON values, with times in UTC seconds since the epoch: {error}"
        ) from error


def history_of(task: TaskProgress, *, predictions: tuple[Prediction, ...] = ()) -> TaskHistory:
    """Return the record of a task that is over."""
    end = task.finished_at or task.updated_at
    return TaskHistory(
        task_id=task.task_id,
        template_id=task.template_id,
        category=task.category,
        params=task.params,
        attempt=task.attempt,
        status=task.status,
        submitted_at=submitted_at(task, end),
        finished_at=end,
        stages=tuple(
            StageRecord(id=stage.id, duration_s=stage.duration, status=stage.status) for stage in task.stages
        ),
        template_version=task.template_version,
        device=task.device,
        predictions=predictions,
    )


def submitted_at(task: TaskProgress, now: float) -> Timestamp:
    """Return when a task was submitted; a later attempt counts from as far back as was worked on the task.

    The time between two attempts is nobody's.
    """
    if task.attempt == 1:
        return task.created_at
    return Timestamp(now - sum(stage.elapsed(now) or 0.0 for stage in task.stages))


def decode_record(data: bytes) -> TaskHistory | None:
    """Read a record's JSON; ``None`` of one that only a later version can read."""
    try:
        return _DECODER.decode(data)
    except msgspec.ValidationError:
        return None


_DECODER = msgspec.json.Decoder(TaskHistory, dec_hook=decode_timestamp)
