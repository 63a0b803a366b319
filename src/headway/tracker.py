"""`ProgressTracker`: the one way in and out of the store.

This module changes what is stored; the way out is `reader`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from headway import transitions
from headway.checks import MAX_NAME_CHARS, check_task_id, shorten
from headway.errors import StoreError, TaskExistsError, TaskNotFoundError, TaskStateError, UsageError
from headway.models import CancelRequest, Stage, StageStatus, TaskProgress, TaskStatus
from headway.reader import TaskReader
from headway.records import TaskHistory, check_record, history_of
from headway.stages import StageManager, parse_stages
from headway.store.reports import Attached, Report, Stored
from headway.store.tasks import TaskStore

# So many writers can change one task at the same instant before one of them gives up: each round lets at
# least one of them through.
MAX_ROUNDS = 1_000


class ProgressTracker(TaskReader):
    """Creates, changes and reads the stored progress of tasks.

    Every change is atomic: it is made on the state that is stored, and made again when another writer was
    faster, so that of two changes to different stages at the same instant both survive.

    Parameters
    ----------
    store
        Where the tasks are; by default the one that the environment names, else the embedded server.
    stages
        Knows the stages of each template.
    clock
        Gives the time in UTC seconds since the epoch.

    Examples
    --------
    >>> async with ProgressTracker() as tracker:  # doctest: +SKIP
    ...     await tracker.create_task_progress("portrait-1", "sdxl", category="image_generation")
    ...     await tracker.update_stage("portrait-1", "generation", progress=0.5)
    """

    def __init__(
        self,
        store: TaskStore | None = None,
        *,
        stages: StageManager | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(store, clock=clock)
        self.stages = stages or StageManager()

    async def create_task_progress(
        self,
        task_id: str,
        template_id: str,
        *,
        category: str | None = None,
        params: Mapping[str, Any] | None = None,
        name: str | None = None,
        stages: Mapping[str, float] | Sequence[Stage] | None = None,
        template_version: str | None = None,
        device: str | None = None,
    ) -> TaskProgress:
        """Store a new task, queued.

        Parameters
        ----------
        task_id
            1 to 128 of ``A-Z a-z 0-9 _ . -``, the first of them a letter or a digit.
        template_id
            What makes tasks comparable: the function or workflow.
        category
            Picks the default stages; see `StageManager.get_stages_for_template`.
        params
            The generation's parameters, JSON values.
        name
            What people read; the template by default.
        stages
            The task's own stages; see `parse_stages`.
        template_version, device
            See `headway.task`.

        Raises
        ------
        TaskExistsError
            When a task of that id is stored.
        UsageError
            When an argument cannot be stored.
        StoreUnavailableError
            When Redis does not answer.
        """
        known = parse_stages(stages) if stages else self.stages.get_stages_for_template(template_id, category)
        task = transitions.create(
            task_id,
            template_id,
            known,
            now=self._now(),
            name=name,
            category=category,
            params=params,
            template_version=template_version,
            device=device,
        )
        task = replace(task, seq=1)
        await self.store.prune()
        if await self.store.write([Report(task=task, expected_seq=0)]):
            raise TaskExistsError(task_id)
        return task

    async def update_stage(
        self,
        task_id: str,
        stage: str,
        status: StageStatus | str | None = None,
        progress: float | None = None,
        message: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        done: int | None = None,
        total: int | None = None,
    ) -> TaskProgress:
        """Change one stage of a task; what is ``None`` stays as it was.

        The task follows its stages: it is in progress once one of them is, failed when one failed, completed
        when all are over.

        Parameters
        ----------
        stage
            The stage's id.
        status
            ``"pending"``, ``"in_progress"``, ``"completed"``, ``"failed"`` or ``"skipped"``; a pending stage
            of which progress is told is in progress.
        progress
            0 to 1; it never falls.
        message
            One line about what is being done.
        metadata
            JSON values, added to those that are there.
        done, total
            Counted steps.

        Returns
        -------
        TaskProgress
            The state as it is now stored.

        Raises
        ------
        TaskNotFoundError
            When no such task is stored.
        UsageError
            When the stage, the status or the progress cannot be; nothing is stored.
        StoreUnavailableError
            When Redis does not answer.
        """
        wanted = None if status is None else _stage_status(status)

        def change(task: TaskProgress) -> TaskProgress:
            transitions.check_running(task)
            now = self._now()
            is_moving = progress is not None or done is not None
            task = transitions.update_stage(
                task,
                stage,
                now=now,
                status=wanted or (_status_of_moving(task, stage) if is_moving else None),
                progress=progress,
                done=done,
                total=total,
                message=message,
                metadata=metadata,
            )
            return transitions.derive_status(task, now=now)

        _, task = await self._change(task_id, change)
        return task

    async def finish_task(
        self, task_id: str, status: TaskStatus | str = TaskStatus.COMPLETED, *, error: str | None = None
    ) -> TaskProgress:
        """End a task.

        Parameters
        ----------
        status
            ``"completed"``, ``"failed"`` or ``"cancelled"``.
        error
            The error's text of a task that failed.

        Raises
        ------
        UsageError
            When the status is not one that ends a task.
        TaskNotFoundError, StoreUnavailableError
            As `update_stage`.
        TaskStateError
            When the task is over already.
        """
        end = _end_status(status)
        _, task = await self._change(
            task_id, lambda task: transitions.finish(task, end, now=self._now(), error=error)
        )
        return task

    async def cancel(self, task_id: str, *, by: str) -> TaskStatus:
        """Ask for the end of a task.

        Whoever runs it is told at once and stops at its next step; one that nobody runs is cancelled here.

        Parameters
        ----------
        by
            Who asks; at most 100 characters are kept.

        Returns
        -------
        TaskStatus
            ``CANCELLED`` for a task that is over now, else what it does until its worker has stopped it.

        Raises
        ------
        TaskStateError
            When the task has completed or failed.
        InvalidTaskIdError, TaskNotFoundError, StoreUnavailableError
            As `get_progress`.
        """
        name = shorten(" ".join(str(by).split()), MAX_NAME_CHARS) or "somebody"
        request = CancelRequest(by=name, at=self._now())
        for _ in range(MAX_ROUNDS):
            asked = await self.store.cancels.ask(check_task_id(task_id), request)
            if asked is None:
                raise TaskNotFoundError(task_id)
            if asked.status is TaskStatus.CANCELLED:
                return asked.status
            if asked.status.is_over:
                raise TaskStateError(f"expected a running task, but {task_id!r} is {asked.status}")
            if asked.worker and not await self.store.leases.gone({asked.worker}):
                return asked.status
            stored = await self.get_stored(task_id)
            if stored.worker != asked.worker:  # taken up, or found lost, in between
                continue
            report = stored.followed_by(transitions.cancel(TaskProgress.from_json(stored.data), request))
            if not await self.store.write([report]):
                await self.record_completion(report.task)
                return report.task.status
        raise StoreError(f"gave up cancelling {task_id!r}: others changed it {MAX_ROUNDS} times meanwhile")

    async def record_completion(self, task: TaskProgress | TaskHistory) -> None:
        """Keep how long a task that is over took, to learn from and to analyse.

        Tasks of `headway.task`, and those that this tracker ends, are recorded by themselves. A record that
        is kept twice is learned once.

        Parameters
        ----------
        task
            Its last state, or its record, of which times may be plain numbers.

        Raises
        ------
        UsageError
            When the task is not over, or its record could not be read again; nothing is stored.
        StoreUnavailableError
            When Redis does not answer.
        """
        if not isinstance(task, TaskProgress):
            task = check_record(task)
        if not task.status.is_over:
            raise UsageError(f"expected a task that is over, but {task.task_id!r} is {task.status.value}")
        record = history_of(task) if isinstance(task, TaskProgress) else task
        await self.store.history.add([record])

    async def attach(self, task_id: str, *, run: str, worker: str) -> Attached:
        """Begin the next attempt of a stored task; from now on the writes of older attempts are refused.

        Parameters
        ----------
        run
            Names the new attempt's run; no other may write it.
        worker
            The process whose lease keeps the task from being lost; it must be renewed by now.

        Raises
        ------
        TaskNotFoundError, StoreUnavailableError
            As `get_progress`.
        TaskStateError
            When the task is completed.
        TaskCancelled
            When it was cancelled before anybody had begun with it.
        """
        before, task = await self._change(
            task_id, lambda task: transitions.resume(task, now=self._now()), run=run, worker=worker
        )
        checkpoint = await self.read_checkpoint(task_id)
        return Attached(task=task, checkpoint=checkpoint, log_id=before.log_id)

    async def _change(
        self, task_id: str, change: Callable[[TaskProgress], TaskProgress], *, run: str = "", worker: str = ""
    ) -> tuple[Stored, TaskProgress]:
        """Change what is stored, again from the start when another writer was faster; return both states."""
        for _ in range(MAX_ROUNDS):
            before = await self.get_stored(task_id)
            report = before.followed_by(change(TaskProgress.from_json(before.data)), run=run, worker=worker)
            if not await self.store.write([report]):
                if report.task.status.is_over and not before.is_over:
                    await self.record_completion(report.task)
                return before, report.task
        raise StoreError(f"gave up changing {task_id!r}: others changed it {MAX_ROUNDS} times meanwhile")


def _stage_status(status: StageStatus | str) -> StageStatus:
    try:
        return StageStatus(status)
    except ValueError:
        known = ", ".join(StageStatus)
        raise UsageError(f"expected a stage's status to be one of {known}, got {status!r}") from None


def _status_of_moving(task: TaskProgress, stage_id: str) -> StageStatus | None:
    stage = task.stage(stage_id)
    return StageStatus.IN_PROGRESS if stage and stage.status is StageStatus.PENDING else None


def _end_status(status: TaskStatus | str) -> TaskStatus:
    ends = [known for known in TaskStatus if known.is_over]
    if status not in ends:
        raise UsageError(f"expected a task to end as one of {', '.join(ends)}, got {status!r}")
    return TaskStatus(status)
