"""The sender: brings reports to the store, and keeps the process's lease while it has tasks.

Of each task it holds one report that is not yet delivered, the newest state with everything that older ones
held besides. While Redis is away it tries again, with capped and jittered back-off.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from headway.diagnostics import settle, warn_once, warn_superseded
from headway.errors import StoreError
from headway.store.leases import RENEW_S
from headway.store.reports import Refusal, Report

if TYPE_CHECKING:
    from headway.tracker import ProgressTracker
    from headway.worker.run import TaskRun

FIRST_RETRY_S = 0.1
# A worker must be back before its lease, which counts anew after a restart of Redis, is missed.
MAX_RETRY_S = 1.0
# Reports travel together up to so many bytes of log entries, so that a call's time-out is for a few of them.
SLICE_BYTES = 500_000
SLICE_TASKS = 200


class Sender:
    """The sender of one reporter; everything here runs on the reporter's event loop.

    Parameters
    ----------
    worker
        Names this process among the leases.
    tasks
        The tasks that are reported, as they are at each look.
    connect
        Gives the tracker, connected.
    lost
        Called when the connection is gone.
    retire
        Called with a task that is over, to be reported no more once everything is delivered.
    drop
        Called with a task that is reported no more.
    """

    def __init__(
        self,
        worker: str,
        tasks: Mapping[str, TaskRun],
        *,
        connect: Callable[[], Awaitable[ProgressTracker]],
        lost: Callable[[], None],
        retire: Callable[[TaskRun], None],
        drop: Callable[[TaskRun], None],
    ) -> None:
        self._worker = worker
        self._tasks = tasks
        self._connect = connect
        self._lost = lost
        self._retire = retire
        self._drop = drop
        self._unsent: dict[str, tuple[TaskRun, Report]] = {}
        self._wake = asyncio.Event()
        self._is_sending = False
        self._renewed_at: float | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be sent."""
        return not (self._unsent or self._is_sending)

    def put(self, task: TaskRun, report: Report) -> None:
        """Take a task's newest report, with what an older one holds that could not be sent yet."""
        _, older = self._unsent.get(task.task_id, (task, None))
        self._unsent[task.task_id] = task, report.after(older)

    def forget(self, task_id: str) -> None:
        """Give up a task's report."""
        self._unsent.pop(task_id, None)

    def wake(self) -> None:
        """Send what was put, now."""
        if self._unsent:
            self._wake.set()

    async def run(self) -> None:
        """Send for ever."""
        retry_s = FIRST_RETRY_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RENEW_S if self._tasks else None):
                    await self._wake.wait()
            self._wake.clear()
            some, self._unsent = self._unsent, {}
            self._is_sending = True
            try:
                await self._send(some)
            except StoreError as error:
                self._put_back(some)
                self._lost()
                warn_once(
                    "store",
                    "progress cannot be stored at present (%s); the task goes on, "
                    "and its newest state follows",
                    error,
                )
                await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads reconnects
                retry_s = min(MAX_RETRY_S, 2 * retry_s)
                self._wake.set()
            except Exception as error:
                # A defect of ours: each task is tried by itself, and those that fail are given up.
                warn_once("send", "some progress cannot be sent: %r", error)
                await self._send_each(some)
            else:
                settle("store")
                retry_s = FIRST_RETRY_S
            finally:
                self._is_sending = False

    async def renew_lease(self, tracker: ProgressTracker) -> None:
        """Make sure of the lease; after a time without one have every task stored again."""
        now = time.monotonic()
        if self._renewed_at is not None and now - self._renewed_at < RENEW_S:
            return
        has_lapsed = await tracker.store.leases.renew(self._worker)
        if has_lapsed and self._renewed_at is not None:
            for task in list(self._tasks.values()):
                task.touch()
        self._renewed_at = now

    async def release_lease(self, tracker: ProgressTracker) -> None:
        """Let whoever reads know at once that this process runs its tasks no more."""
        if self._renewed_at is not None:
            self._renewed_at = None
            await tracker.store.leases.release(self._worker)

    def _put_back(self, some: dict[str, tuple[TaskRun, Report]]) -> None:
        for task_id, (task, report) in some.items():
            newer = self._unsent.get(task_id)
            self._unsent[task_id] = (newer[0], newer[1].after(report)) if newer else (task, report)

    async def _send_each(self, some: dict[str, tuple[TaskRun, Report]]) -> None:
        for task_id, entry in some.items():
            try:
                await self._send({task_id: entry})
            except Exception as error:
                warn_once(f"send:{task_id}", "task %s cannot be sent: %r", task_id, error)
                if isinstance(error, StoreError):
                    self._put_back({task_id: entry})
                else:
                    entry[0].give_up(error)
                    self._drop(entry[0])

    async def _send(self, some: dict[str, tuple[TaskRun, Report]]) -> None:
        if not (some or self._tasks):
            return
        tracker = await self._connect()
        await self.renew_lease(tracker)
        has_new = any(not task.is_stored for task, _ in some.values())
        for names in _slices(some):
            await self._write(tracker, {task_id: some[task_id] for task_id in names})
            for task_id in names:  # what follows may fail, and only that is sent again
                del some[task_id]
            await self.renew_lease(tracker)
        if has_new:
            await tracker.store.prune()

    async def _write(self, tracker: ProgressTracker, some: dict[str, tuple[TaskRun, Report]]) -> None:
        # Before the states: a record that is stored twice is learned once, one that is not stored is lost.
        await tracker.store.history.add([report.record for _, report in some.values() if report.record])
        refused = await tracker.store.write([report for _, report in some.values()])
        now = time.time()
        for task_id, (task, report) in some.items():
            if task_id in refused:
                self._resolve(task, report, refused[task_id])
                continue
            task.acknowledge(report.task.seq, now=now)
            if task.is_over:
                self._retire(task)

    def _resolve(self, task: TaskRun, report: Report, refusal: Refusal) -> None:
        """Go on after a refusal: number the next state after what another writer stored."""
        if refusal.is_same_run:  # somebody changed a stage of it from outside, or called it lost
            task.rebase(attempt=refusal.attempt, seq=refusal.seq)
            if refusal.cancel_request is not None:
                task.ask_to_stop(refusal.cancel_request)
        elif self._tasks.get(task.task_id) is not task:
            task.fence()
            return
        elif task.is_stored or refusal.has_written:
            warn_superseded(task.task_id)
            task.fence()
            self._drop(task)
            return
        else:  # the id was used before: this run is the next attempt, without the last one's checkpoint
            task.rebase(attempt=refusal.attempt + 1, seq=refusal.seq)
            report = replace(report, checkpoint=report.checkpoint or b"")
        self._put_back({task.task_id: (task, report)})


def _slices(some: Mapping[str, tuple[TaskRun, Report]]) -> list[list[str]]:
    """Cut what is to be sent into parts that travel together."""
    slices: list[list[str]] = [[]]
    size_bytes = 0
    for task_id, (_, report) in some.items():
        if size_bytes > SLICE_BYTES or len(slices[-1]) == SLICE_TASKS:
            slices.append([])
            size_bytes = 0
        slices[-1].append(task_id)
        size_bytes += sum(len(entry.data) for entry in report.entries)
        size_bytes += len(report.preview.data) if report.preview else 0
    return slices
