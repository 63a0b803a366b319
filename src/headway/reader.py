"""Reading of stored tasks: their states, logs, checkpoints and history.

That a task is lost is found out here too, because whoever reads one that runs without a worker says so.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec

from headway import transitions
from headway.checks import check_task_id
from headway.errors import TaskNotFoundError, UsageError
from headway.logs import LogLevel, LogPage, parse_level
from headway.models import TaskProgress, TaskStatus, TaskSummary, decode_summary, decode_task
from headway.settings import Settings
from headway.store.reports import Stored
from headway.store.tasks import MAX_PAGE, TaskStore
from headway.timestamps import Timestamp

# What is looked at together when few of many tasks fit a filter.
MIN_SCAN = 200
# What JSON's readers, JavaScript's among them, can count to.
MAX_LOG_ID = 2**53


class TaskReader:
    """Reads the stored progress of tasks, their logs and their history.

    Parameters
    ----------
    store
        Where the tasks are; by default the one that the environment names, else the embedded server.
    clock
        Gives the time in UTC seconds since the epoch.
    """

    def __init__(self, store: TaskStore | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self.store = store or TaskStore(Settings.from_environment())
        self._clock = clock

    async def __aenter__(self) -> Self:
        """Connect; the embedded server is started where it is needed."""
        await self.store.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.store.close()

    async def get_progress(self, task_id: str) -> TaskProgress:
        """Read a task.

        Raises
        ------
        InvalidTaskIdError
            When the id is not one.
        TaskNotFoundError
            When no such task is stored.
        StoreUnavailableError
            When Redis does not answer.
        """
        return TaskProgress.from_json((await self.get_stored(task_id)).data)

    async def get_stored(self, task_id: str) -> Stored:
        """Read a task as the JSON that its worker wrote; raises as `get_progress`."""
        stored = await self.read([check_task_id(task_id)])
        if task_id not in stored:
            raise TaskNotFoundError(task_id)
        return stored[task_id]

    async def list_tasks(
        self,
        *,
        status: TaskStatus | None = None,
        since: float | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[list[TaskSummary], str | None]:
        """List tasks, those made last first.

        Parameters
        ----------
        status
            Only tasks of this status.
        since
            Only tasks that changed at or after this time, UTC seconds since the epoch.
        limit
            1 to 1,000.
        cursor
            What the call before returned, for the tasks after it.

        Returns
        -------
        tasks, cursor
            The cursor is ``None`` at the end of the list.

        Raises
        ------
        UsageError
            When the limit or the cursor is not one.
        StoreUnavailableError
            When Redis does not answer.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise UsageError(f"expected a limit from 1 to {MAX_PAGE}, got {limit}")
        before = _parse_cursor(cursor) if cursor else None
        found: list[TaskSummary] = []
        size = max(limit, MIN_SCAN)
        while True:
            page = await self.store.list_page(before=before, limit=size)
            made = {task_id: score for score, task_id in page}
            for summary in await self._summaries(list(made)):
                if (status is None or summary.status is status) and (
                    since is None or summary.changed_at >= since
                ):
                    found.append(summary)
                    if len(found) == limit:
                        return found, f"{made[summary.task_id]!r}:{summary.task_id}"
            if len(page) < size:
                return found, None
            before = page[-1]

    async def read(self, task_ids: Iterable[str]) -> dict[str, Stored]:
        """Read the newest states of some tasks; those that are not stored are left out.

        Raises
        ------
        StoreUnavailableError
            When Redis does not answer.
        """
        stored = await self.store.read(task_ids)
        return stored | await self.lose(stored)

    async def lose(self, stored: Mapping[str, Stored]) -> dict[str, Stored]:
        """Mark as lost those of some tasks whose worker is gone; whoever comes first does it for all.

        Parameters
        ----------
        stored
            Tasks as they were read.

        Returns
        -------
        dict
            What is stored by now of the tasks whose worker is gone.

        Raises
        ------
        StoreUnavailableError
            When Redis does not answer.
        """
        gone = await self.store.leases.gone({found.worker for found in stored.values() if found.worker})
        abandoned = {task_id: found for task_id, found in stored.items() if found.worker in gone}
        reports = []
        for found in abandoned.values():
            task = decode_task(found.data)
            if task is not None:
                reports.append(found.followed_by(transitions.lose(task, now=self._now())))
        await self.store.write(reports)
        return await self.store.read(abandoned) if abandoned else {}

    async def read_checkpoint(self, task_id: str) -> dict[str, Any] | None:
        """Read what `Task.checkpoint` stored last, ``None`` where there is none.

        Raises
        ------
        InvalidTaskIdError, StoreUnavailableError
            As `get_progress`.
        """
        data = await self.store.read_checkpoint(check_task_id(task_id))
        return None if data is None else msgspec.json.decode(data, type=dict[str, Any])

    async def read_logs(
        self, task_id: str, *, since: int = 0, limit: int = MAX_PAGE, level: LogLevel | str = LogLevel.DEBUG
    ) -> LogPage:
        """Read a task's log, oldest entries first; empty for a task that is not stored.

        Parameters
        ----------
        since
            Only entries after the one of this id.
        limit
            1 to 1,000.
        level
            Only entries of this level or above: ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``.

        Raises
        ------
        UsageError
            When an argument is not one.
        StoreUnavailableError
            When Redis does not answer.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise UsageError(f"expected a limit from 1 to {MAX_PAGE}, got {limit}")
        if not 0 <= since <= MAX_LOG_ID:
            raise UsageError(f"expected since to be the id of a log entry, got {since}")
        return await self.store.read_logs(
            check_task_id(task_id), since=since, limit=limit, level=parse_level(level)
        )

    async def read_history(self, template_ids: Collection[str] | None = None) -> list[bytes]:
        """Read the records of tasks that are over, as JSON: of some templates, or of all.

        Of a template the newest 300 are kept, of 200 templates. Within a template the order is that in which
        they were stored; what was stored twice is there once.

        Raises
        ------
        StoreUnavailableError
            When Redis does not answer.
        """
        history = self.store.history
        found = await history.newest(await history.templates() if template_ids is None else template_ids)
        return [record for records in found.values() for record in dict.fromkeys(records)]

    async def _summaries(self, task_ids: Sequence[str]) -> list[TaskSummary]:
        """Read summaries in the order of the ids; entries of tasks that are gone leave the list."""
        stored = await self.read(task_ids)
        await self.store.forget([task_id for task_id in task_ids if task_id not in stored])
        found = [decode_summary(stored[task_id].data) for task_id in task_ids if task_id in stored]
        return [summary for summary in found if summary is not None]

    def _now(self) -> Timestamp:
        return Timestamp(self._clock())


def _parse_cursor(cursor: str) -> tuple[float, str]:
    score, _, task_id = cursor.partition(":")
    try:
        made_at = float(score)
        if math.isfinite(made_at):
            return made_at, check_task_id(task_id)
    except ValueError:
        pass
    raise UsageError(f"expected the cursor of an earlier answer, got {cursor[:160]!r}")
