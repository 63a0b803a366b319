"""What may become of a task: pure functions from one `TaskProgress` to the next.

The worker applies them in memory and `ProgressTracker` inside a compare-and-set, so both follow the same
rules. None of them reads a clock, and each either returns a new state or raises and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from headway.checks import (
    MAX_ERROR_CHARS,
    MAX_MESSAGE_CHARS,
    check_task_id,
    parse_fraction,
    plain_values,
    shorten,
)
from headway.errors import (
    InvalidParamsError,
    StageOrderError,
    TaskCancelled,
    TaskStateError,
    UnknownStageError,
    UsageError,
)
from headway.models import CancelRequest, Stage, StageProgress, StageStatus, TaskProgress, TaskStatus
from headway.stages import overall_progress
from headway.timestamps import Timestamp

# What becomes of a running stage when its task ends.
_ENDS = {TaskStatus.COMPLETED: StageStatus.COMPLETED, TaskStatus.FAILED: StageStatus.FAILED}
# The stage in which a task waits for its turn: it runs from the moment the task is made.
QUEUE_STAGE = "queue"


def create(
    task_id: str,
    template_id: str,
    stages: Sequence[Stage],
    *,
    now: Timestamp,
    name: str | None = None,
    category: str | None = None,
    params: Mapping[str, Any] | None = None,
    template_version: str | None = None,
    device: str | None = None,
) -> TaskProgress:
    """Make the first state of a task: queued, its queue stage running where it has one.

    Raises
    ------
    UsageError
        When the id, the template or the parameters cannot be stored.
    """
    if not isinstance(template_id, str) or not template_id:
        raise UsageError(f"expected the template's name, a text, got {template_id!r}")
    progress = tuple(StageProgress(id=stage.id, name=stage.name, weight=stage.weight) for stage in stages)
    queued = progress[0].id == QUEUE_STAGE
    if queued:
        first = replace(progress[0], status=StageStatus.IN_PROGRESS, started_at=now)
        progress = (first, *progress[1:])
    task = TaskProgress(
        task_id=check_task_id(task_id),
        template_id=shorten(template_id, MAX_MESSAGE_CHARS),
        name=shorten(name or template_id, MAX_MESSAGE_CHARS),
        category=category,
        params=plain_values(dict(params) if params else None, what="params"),
        template_version=template_version and shorten(template_version, MAX_MESSAGE_CHARS),
        device=device and shorten(device, MAX_MESSAGE_CHARS),
        status=TaskStatus.QUEUED,
        stages=progress,
        current_stage=QUEUE_STAGE if queued else None,
        created_at=now,
        updated_at=now,
    )
    try:
        task.to_json()
    except (TypeError, ValueError) as error:
        raise InvalidParamsError(
            f"expected names that JSON can carry, got one that it cannot: {error}"
        ) from error
    return task


def begin(task: TaskProgress, *, now: Timestamp) -> TaskProgress:
    """Say that a worker runs the task's code, whatever stage it is in."""
    if task.status not in (TaskStatus.QUEUED, TaskStatus.LOST):
        return task
    return replace(
        task,
        status=TaskStatus.IN_PROGRESS,
        started_at=task.started_at or now,
        updated_at=now,
        lost_at=None,
    )


def lose(task: TaskProgress, *, now: Timestamp) -> TaskProgress:
    """Say that the worker is no longer there; its last word stays as it is."""
    if task.status.is_over or task.status is TaskStatus.LOST:
        return task
    return replace(task, status=TaskStatus.LOST, eta=None, lost_at=now)


def resume(task: TaskProgress, *, now: Timestamp) -> TaskProgress:
    """Begin the next attempt where the last one ended: finished stages stay, the interrupted one goes on.

    The time in which nobody worked on it does not count as that stage's: its start is moved by as much.

    Raises
    ------
    TaskStateError
        When the task is completed.
    TaskCancelled
        When it was cancelled before anybody had begun with it.
    """
    if task.status is TaskStatus.COMPLETED:
        raise TaskStateError(f"expected a task that is not completed, but {task.task_id!r} is")
    if task.status is TaskStatus.CANCELLED and task.started_at is None:
        raise TaskCancelled(task.task_id, task.cancel_request.by if task.cancel_request else "somebody")
    pause = now - task.updated_at
    stages = tuple(
        _reopened(stage, pause=pause) if _ended_with(task, stage) else stage for stage in task.stages
    )
    return replace(
        task,
        stages=stages,
        status=TaskStatus.IN_PROGRESS if task.started_at else TaskStatus.QUEUED,
        attempt=task.attempt + 1,
        error=None,
        eta=None,
        updated_at=now,
        finished_at=None,
        lost_at=None,
        cancel_request=None,
    )


def start_stage(task: TaskProgress, stage_id: str, *, now: Timestamp) -> TaskProgress:
    """Go on to a stage: the one before is completed, those passed over are skipped.

    Raises
    ------
    UnknownStageError
        When the task has no such stage.
    StageOrderError
        When the stage, or a later one, has begun already.
    TaskStateError
        When the task is over.
    """
    check_running(task)
    at = stage_index(task, stage_id)
    begun = [i for i, stage in enumerate(task.stages) if stage.status is not StageStatus.PENDING]
    last = begun[-1] if begun else -1
    if at <= last:
        order = [stage.id for stage in task.stages]
        raise StageOrderError(
            f"expected one of the stages that are still to come ({', '.join(order[last + 1 :]) or 'none'}), "
            f"got {stage_id!r}, which is {task.stages[at].status.value} while the task is in "
            f"{order[last]!r}; stages run once each, in order: {', '.join(order)}"
        )
    stages = [
        _over(stage, StageStatus.COMPLETED, now=now)
        if stage.status is StageStatus.IN_PROGRESS
        else replace(stage, status=StageStatus.SKIPPED)
        if i < at and stage.status is StageStatus.PENDING
        else stage
        for i, stage in enumerate(task.stages)
    ]
    stages[at] = replace(stages[at], status=StageStatus.IN_PROGRESS, started_at=now)
    return _with_stages(task, stages, now=now, current_stage=stage_id, status=TaskStatus.IN_PROGRESS)


def update_stage(
    task: TaskProgress,
    stage_id: str,
    *,
    now: Timestamp,
    status: StageStatus | None = None,
    progress: float | None = None,
    done: int | None = None,
    total: int | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    duration: float | None = None,
    error: str | None = None,
) -> TaskProgress:
    """Change what is known of one stage; what is ``None`` stays as it was.

    Progress never falls: a lower value leaves it where it is.

    Parameters
    ----------
    duration
        Seconds, of a stage that is now over; the difference of the two times when it is not given.

    Raises
    ------
    UnknownStageError
        When the task has no such stage.
    StageOrderError
        When the stage is over and is to become something else.
    InvalidProgressError
        When the progress is not within 0 to 1, or the counts do not fit together.
    """
    at = stage_index(task, stage_id)
    stage = task.stages[at]
    if stage.status.is_over and status is not None and status is not stage.status:
        raise StageOrderError(
            f"expected a stage that is still to be done, got {stage_id!r}, which is {stage.status.value}"
        )
    fraction = parse_fraction(progress, done=done, total=total if total is not None else stage.total)
    changes: dict[str, Any] = {}
    if fraction is not None:
        changes["progress"] = max(stage.progress, fraction)
    if done is not None:
        changes["done"] = int(done)
    if total is not None:
        changes["total"] = int(total)
    if message is not None:
        changes["message"] = shorten(str(message), MAX_MESSAGE_CHARS)
    if metadata:
        changes["metadata"] = plain_values(stage.metadata | dict(metadata), what="metadata")
    stage = replace(stage, **changes)
    if status is StageStatus.IN_PROGRESS and stage.started_at is None:
        stage = replace(stage, status=status, started_at=now)
    elif status is not None and status.is_over:
        stage = _over(stage, status, now=now, duration=duration, error=error)
    elif status is not None:
        stage = replace(stage, status=status)
    stages = [*task.stages[:at], stage, *task.stages[at + 1 :]]
    current = stage_id if stage.status is StageStatus.IN_PROGRESS else task.current_stage
    return _with_stages(task, stages, now=now, current_stage=current)


def finish(
    task: TaskProgress, status: TaskStatus, *, now: Timestamp, error: str | None = None
) -> TaskProgress:
    """End a task.

    On completion the running stages are completed and those that never ran are skipped; on failure the
    running ones fail with the error; on cancellation they end where they were.

    Raises
    ------
    TaskStateError
        When the task is over already.
    """
    check_running(task)
    completed, failed = status is TaskStatus.COMPLETED, status is TaskStatus.FAILED
    stages = []
    for stage in task.stages:
        if stage.status is StageStatus.IN_PROGRESS:
            stage = _over(stage, _ENDS.get(status, stage.status), now=now, error=error if failed else None)
        elif stage.status is StageStatus.PENDING and completed:
            stage = replace(stage, status=StageStatus.SKIPPED)
        stages.append(stage)
    task = _with_stages(task, stages, now=now, current_stage=task.current_stage, status=status)
    return replace(
        task,
        overall_progress=100.0 if completed else task.overall_progress,
        error=shorten(error, MAX_ERROR_CHARS) if error else None,
        eta=None,
        finished_at=now,
    )


def cancel(task: TaskProgress, request: CancelRequest) -> TaskProgress:
    """End a task that nobody runs because somebody asked for it.

    Raises
    ------
    TaskStateError
        When the task is over already.
    """
    task = replace(task, cancel_request=request)
    return finish(task, TaskStatus.CANCELLED, now=request.at, error=f"cancelled by {request.by}")


def derive_status(task: TaskProgress, *, now: Timestamp) -> TaskProgress:
    """Let the stages decide what the task does, where no worker says it.

    A failed stage fails the task; when one other than the queue runs, or is over, the task is in progress and
    waits no more; when all are over it is completed.
    """
    if task.status.is_over:
        return task
    failed = next((stage for stage in task.stages if stage.status is StageStatus.FAILED), None)
    if failed is not None:
        return finish(task, TaskStatus.FAILED, now=now, error=failed.error or f"{failed.name} failed")
    begun = any(stage.status is not StageStatus.PENDING for stage in task.stages if stage.id != QUEUE_STAGE)
    queue = task.stage(QUEUE_STAGE)
    if begun and queue is not None and queue.status is StageStatus.IN_PROGRESS:
        task = update_stage(task, QUEUE_STAGE, now=now, status=StageStatus.COMPLETED)
    if all(stage.status.is_over for stage in task.stages):
        return finish(task, TaskStatus.COMPLETED, now=now)
    return begin(task, now=now) if begun else task


def check_running(task: TaskProgress) -> None:
    """Raise `TaskStateError` when the task is over."""
    if task.status.is_over:
        raise TaskStateError(f"expected a running task, but {task.task_id!r} is {task.status.value}")


def stage_index(task: TaskProgress, stage_id: object) -> int:
    """Return where in the task the stage stands, or raise `UnknownStageError`."""
    for index, stage in enumerate(task.stages):
        if stage.id == stage_id:
            return index
    raise UnknownStageError(stage_id, tuple(stage.id for stage in task.stages))


def _ended_with(task: TaskProgress, stage: StageProgress) -> bool:
    """Whether a stage ran when its task ended, or was last heard of."""
    if stage.status is StageStatus.FAILED:
        return stage.id == task.current_stage or stage.finished_at == task.finished_at
    return stage.status is StageStatus.IN_PROGRESS


def _reopened(stage: StageProgress, *, pause: float) -> StageProgress:
    return replace(
        stage,
        status=StageStatus.IN_PROGRESS,
        started_at=stage.started_at and Timestamp(stage.started_at + max(0.0, pause)),
        finished_at=None,
        duration=None,
        error=None,
    )


def _over(
    stage: StageProgress,
    status: StageStatus,
    *,
    now: Timestamp,
    duration: float | None = None,
    error: str | None = None,
) -> StageProgress:
    if duration is None and stage.started_at is not None:
        duration = max(0.0, now - stage.started_at)
    return replace(
        stage,
        status=status,
        progress=1.0 if status is StageStatus.COMPLETED else stage.progress,
        finished_at=now if stage.started_at is not None else None,
        duration=duration,
        error=shorten(error, MAX_ERROR_CHARS) if error else stage.error,
    )


def _with_stages(
    task: TaskProgress,
    stages: Sequence[StageProgress],
    *,
    now: Timestamp,
    current_stage: str | None,
    status: TaskStatus | None = None,
) -> TaskProgress:
    status = status or task.status
    # One that is cancelled while it waits never started.
    started = status not in (TaskStatus.QUEUED, TaskStatus.CANCELLED) and task.started_at is None
    return replace(
        task,
        stages=tuple(stages),
        status=status,
        current_stage=current_stage,
        overall_progress=max(task.overall_progress, overall_progress(stages)),
        started_at=now if started else task.started_at,
        updated_at=now,
        lost_at=task.lost_at if status is TaskStatus.LOST else None,
    )
