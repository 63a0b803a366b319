"""The functions that people call: small and synchronous, on top of the reporter and the tracker."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from headway import transitions
from headway.checks import check_task_id
from headway.diagnostics import warn_once
from headway.errors import HeadwayError, TaskNotFoundError, TaskStateError, UsageError
from headway.models import CancelRequest, Stage, TaskProgress, TaskStatus, TaskSummary
from headway.notebook import in_notebook, new_view, show_in_cell
from headway.records import decode_record
from headway.stages import StageManager, parse_stages
from headway.timestamps import Timestamp
from headway.worker.forecasts import device_name
from headway.worker.reporter import REPORTER
from headway.worker.resumption import Resumption
from headway.worker.run import new_run
from headway.worker.task import Task, new_task_id

if TYPE_CHECKING:
    import pandas as pd

    from headway.analysis.filters import Moment, Names
    from headway.tracker import ProgressTracker
    from headway.worker.previews.options import PreviewOptions

Made = TypeVar("Made")

#: Knows the stages of every template; give a template its own stages or weights here.
stage_manager = StageManager()


def task(
    template_id: str,
    *,
    category: str | None = None,
    params: Mapping[str, Any] | None = None,
    name: str | None = None,
    task_id: str | None = None,
    stages: Mapping[str, float] | Sequence[Stage] | None = None,
    resume: bool = False,
    show: bool = True,
    template_version: str | None = None,
    device: str | None = None,
    previews: PreviewOptions | None = None,
) -> Task:
    """Begin to report a generation task.

    Parameters
    ----------
    template_id
        What makes tasks comparable: the function or workflow.
    category
        ``"image_generation"``, ``"video_generation"``, ``"audio_generation"``, or any other or none for the
        default stages queue, preparation, execution, finalization.
    params
        The generation's parameters, JSON values, at most 16 kB.
    name
        What people read; the template by default.
    task_id
        1 to 128 of ``A-Z a-z 0-9 _ . -``, the first of them a letter or a digit; by default a new one.
    stages
        The task's own stages, ``{id: weight}`` in the order in which they run.
    resume
        Go on with the stored task of this `task_id`, as `attach` does. It begins anew when none is stored, or
        when that one is completed or has other stages.
    show
        Whether a notebook shows the task by itself when its ``with`` block begins.
    template_version
        Name it anew when the template's work changes: the estimates begin afresh, from what was known before
        as a first guess.
    device
        What it runs on; by default the GPU that torch uses, if it uses one.
    previews
        How large, how often and how dear its previews may be.

    Returns
    -------
    Task
        A context manager; as the last line of a cell, the live view.

    Raises
    ------
    UsageError
        When an argument cannot be stored; nothing is reported then.
    StoreUnavailableError
        When `resume` is asked for and Redis does not answer.

    Examples
    --------
    >>> import headway
    >>> with headway.task("portrait", category="image_generation") as task:  # doctest: +SKIP
    ...     with task.stage("model_loading"):
    ...         pipe = load()
    ...     for t in task.track(pipe.timesteps, stage="generation"):
    ...         task.preview(pipe.step(t))
    """
    known = parse_stages(stages) if stages else stage_manager.get_stages_for_template(template_id, category)
    state = transitions.create(
        check_task_id(task_id or new_task_id(str(template_id))),
        template_id,
        known,
        now=Timestamp(time.time()),
        name=name,
        category=category,
        params=params,
        template_version=template_version,
        device=device or device_name(),
    )
    if resume:
        if task_id is None:
            raise UsageError(
                "expected the task_id of the task to resume, got none; give task_id= with resume=True"
            )
        with suppress(TaskNotFoundError):
            found = _read_states([task_id])[0]
            if _can_go_on(found, state):
                return attach(task_id, show=show, previews=previews)
    return Task(state, reporter=REPORTER, view=new_view(), show=show, previews=previews)


def attach(task_id: str, *, show: bool = True, previews: PreviewOptions | None = None) -> Task:
    """Take up a stored task as its next attempt: a restarted worker goes on where the last one ended.

    Finished stages keep their times, the stage that was interrupted goes on, and `Task.last_checkpoint` is
    what the last attempt kept. From now on nothing that an older attempt reports is stored.

    Parameters
    ----------
    task_id
        The task; it may be lost, failed, stopped on the way, or still run elsewhere.
    show
        Whether a notebook shows the task by itself when its ``with`` block begins.
    previews
        How large, how often and how dear this attempt's previews may be.

    Returns
    -------
    Task
        As `headway.task` gives it.

    Raises
    ------
    TaskNotFoundError
        When no such task is stored.
    TaskStateError
        When the task is completed.
    TaskCancelled
        When somebody has cancelled it before anybody had begun with it: it is not to begin.
    StoreUnavailableError
        When Redis does not answer.

    Examples
    --------
    >>> task = headway.attach("portrait-1")  # doctest: +SKIP
    >>> done = (task.last_checkpoint or {}).get("done", 0)  # doctest: +SKIP
    >>> with task:  # doctest: +SKIP
    ...     for i in task.track(range(done, 50), stage="generation", initial=done):
    ...         task.checkpoint({"done": i + 1})
    """
    run = new_run()
    found = REPORTER.attach(check_task_id(task_id), run=run)
    resumption = Resumption(run=run, state=found.task, checkpoint=found.checkpoint, log_id=found.log_id)
    return Task(
        found.task, reporter=REPORTER, view=new_view(), show=show, resumption=resumption, previews=previews
    )


def show(*tasks: Task | TaskSummary | str | Iterable[Task | TaskSummary | str]) -> None:
    """Show tasks live in the cell: any that are stored, whoever runs them.

    Parameters
    ----------
    *tasks
        Tasks, their ids, what `headway.tasks` returned, or lists of these.

    Raises
    ------
    TaskNotFoundError
        When one of them is not stored.
    StoreUnavailableError
        When Redis does not answer and the tasks are not this process's.
    """
    states = _read_states(list(dict.fromkeys(_ids(tasks))))
    if not states:
        raise UsageError("expected at least one task to show, got none")
    if in_notebook():
        show_in_cell(states)
        return
    for state in states:
        print(f"{state.task_id}: {state.status}, {state.overall_progress:.0f} %")


def cancel(
    *tasks: Task | TaskSummary | str | Iterable[Task | TaskSummary | str], by: str | None = None
) -> None:
    """Ask for the end of tasks, whoever runs them, on whatever machine.

    Their code is told within milliseconds and stops at its next step: see `Task`. Clean-up code runs, and the
    task ends as ``cancelled``. One that waits, or whose worker is gone, is cancelled at once. A task that is
    cancelled already stays so.

    Parameters
    ----------
    *tasks
        Tasks, their ids, what `headway.tasks` returned, or lists of these.
    by
        Who asks; by default the name of the system's user.

    Raises
    ------
    TaskNotFoundError
        When one of them is not stored; the others are asked.
    TaskStateError
        When one of them has completed or failed; the others are asked.
    StoreUnavailableError
        When Redis does not answer and the tasks are not this process's.
    """
    asks = by or _user_name()
    errors: list[HeadwayError] = []
    for task_id in list(dict.fromkeys(_ids(tasks))):
        mine = REPORTER.find(task_id)
        if mine is not None and not mine.is_over:
            mine.ask_to_stop(CancelRequest(by=asks, at=Timestamp(time.time())))
            continue
        try:
            REPORTER.call(partial(_cancel, task_id=task_id, by=asks))
        except (TaskNotFoundError, TaskStateError) as error:
            errors.append(error)
    if errors:
        raise errors[0]


async def _cancel(tracker: ProgressTracker, *, task_id: str, by: str) -> None:
    await tracker.cancel(task_id, by=by)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "a user"


def tasks(*, status: TaskStatus | str | None = None, limit: int = 100) -> list[TaskSummary]:
    """List the stored tasks, those made last first.

    Parameters
    ----------
    status
        Only tasks of this status.
    limit
        1 to 1,000.

    Raises
    ------
    UsageError
        When the status or the limit is not one.
    StoreUnavailableError
        When Redis does not answer.
    """
    try:
        wanted = None if status is None else TaskStatus(status)
    except ValueError:
        raise UsageError(f"expected a status of {', '.join(TaskStatus)}, got {status!r}") from None

    async def read(tracker: ProgressTracker) -> list[TaskSummary]:
        found, _ = await tracker.list_tasks(status=wanted, limit=limit)
        return found

    return REPORTER.call(read)


def history(
    template_id: Names = None,
    *,
    by: str = "task",
    category: Names = None,
    device: Names = None,
    status: Names = None,
    since: Moment | None = None,
    until: Moment | None = None,
    params: Literal["dicts", "columns"] = "dicts",
) -> pd.DataFrame:
    """Return the tasks that are over, one a row; needs pandas.

    Parameters
    ----------
    template_id, category, device, status
        Only tasks of this one, or of one of these.
    by
        ``"task"`` for a row a task, as `headway.analysis.history_frame` describes it; ``"stage"`` for a row
        a stage, as `headway.analysis.stages_frame`.
    since, until
        Only tasks that ended at or after the one and before the other: a datetime, ISO 8601 text, or UTC
        seconds since the epoch.
    params
        ``"columns"`` gives each parameter a column ``param_<key>``, ``"dicts"`` one column all of them; for
        ``by="task"`` only.

    Raises
    ------
    UsageError
        When an argument is not one.
    StoreUnavailableError
        When Redis does not answer.
    """
    from headway.analysis import history_frame, stages_frame

    if by not in ("task", "stage"):
        raise UsageError(f"expected by to be one of task, stage, got {by!r}")
    if by == "stage" and params != "dicts":
        raise UsageError(
            f'expected params= with by="task" only, got params={params!r}; merge the frames of tasks and of '
            "stages on task_id and finished_at"
        )
    frame = stages_frame if by == "stage" else partial(history_frame, params=params)
    frame = partial(
        frame,
        template_id=template_id,
        category=category,
        device=device,
        status=status,
        since=since,
        until=until,
    )
    return _of_records(frame, template_id)


def accuracy(
    template_id: Names = None,
    *,
    category: Names = None,
    device: Names = None,
    status: Names = "completed",
    since: Moment | None = None,
    until: Moment | None = None,
) -> pd.DataFrame:
    """Return what was predicted of tasks that are over, and what happened, a row a prediction; needs pandas.

    The columns are those of `headway.analysis.accuracy_frame`, which `headway.analysis.summarize` and the
    plots there take. The parameters, and what is raised, are those of `history`.
    """
    from headway.analysis import accuracy_frame

    frame = partial(
        accuracy_frame,
        template_id=template_id,
        category=category,
        device=device,
        status=status,
        since=since,
        until=until,
    )
    return _of_records(frame, template_id)


def export_history(path: str | PathLike[str], template_id: Names = None) -> int:
    """Write the stored records of tasks that are over to a file; needs pyarrow.

    Parameters
    ----------
    path
        Ends in ``.parquet`` or ``.csv``; a file that is there is replaced. `headway.analysis.read_parquet`
        and `headway.analysis.read_csv` give the records back, for `headway.analysis.history_frame`,
        `headway.analysis.accuracy_frame` or `ProgressTracker.record_completion`.
    template_id
        Only tasks of this template, or of one of these.

    Returns
    -------
    int
        How many records were written.

    Raises
    ------
    UsageError
        When an argument is not one.
    StoreUnavailableError
        When Redis does not answer.
    """
    from headway.analysis import write_csv, write_parquet

    write = {".parquet": write_parquet, ".csv": write_csv}.get(Path(path).suffix.lower())
    if write is None:
        raise UsageError(f"expected a path that ends in .parquet or .csv, got {str(path)!r}")
    return _of_records(partial(write, path=path), template_id)


def _of_records(make: Callable[[list[bytes]], Made], template_id: Names) -> Made:
    """Make something of stored records; those that only a later version can read are left out."""
    records = _records(template_id)
    try:
        return make(records)
    except UsageError:
        readable = [data for data in records if decode_record(data) is not None]
        if len(readable) == len(records):
            raise
        warn_once(
            "records", "stored records that cannot be read are left out: %d", len(records) - len(readable)
        )
        return make(readable)


def _records(template_id: Names) -> list[bytes]:
    from headway.analysis.filters import parse_names

    wanted = None if template_id is None else parse_names("template_id", template_id)

    async def read(tracker: ProgressTracker) -> list[bytes]:
        return await tracker.read_history(wanted)

    return REPORTER.call(read)


def _can_go_on(stored: TaskProgress, wanted: TaskProgress) -> bool:
    same_stages = [stage.id for stage in stored.stages] == [stage.id for stage in wanted.stages]
    return same_stages and stored.status is not TaskStatus.COMPLETED


def _ids(tasks: Iterable[object]) -> Iterable[str]:
    for item in tasks:
        if isinstance(item, (Task, TaskSummary)):
            yield item.task_id
        elif isinstance(item, str):
            yield check_task_id(item)
        elif isinstance(item, Iterable):
            yield from _ids(item)
        else:
            raise UsageError(f"expected a task, its id, or a list of them, got {type(item).__name__}")


def _read_states(task_ids: list[str]) -> list[TaskProgress]:
    mine = {task_id: task.progress for task_id in task_ids if (task := REPORTER.find(task_id))}
    others = [task_id for task_id in task_ids if task_id not in mine]

    async def read(tracker: ProgressTracker) -> dict[str, TaskProgress]:
        stored = await tracker.read(others)
        return {task_id: TaskProgress.from_json(found.data) for task_id, found in stored.items()}

    found = mine | (REPORTER.call(read) if others else {})
    for task_id in task_ids:
        if task_id not in found:
            raise TaskNotFoundError(task_id)
    return [found[task_id] for task_id in task_ids]
