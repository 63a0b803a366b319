"""The reporter: one thread a process that sends what changed, every 100 ms.

It runs the async core, `ProgressTracker`, on an event loop of its own. Of each task it holds the newest state
that is not yet stored, so that a Redis that was away gets what matters when it is back. It never raises into
the user's code and never makes it wait, except at exit, and there for a stated time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from headway.diagnostics import warn_once, warn_superseded
from headway.errors import StoreError, StoreUnavailableError
from headway.models import TaskProgress
from headway.settings import Settings
from headway.timestamps import Timestamp
from headway.worker.forecasts import Forecasts
from headway.worker.hooks import ProcessHooks
from headway.worker.link import Link
from headway.worker.listeners import Listener, Listeners
from headway.worker.previews.encoder import PreviewEncoder
from headway.worker.resources.sampler import Sampler

if TYPE_CHECKING:
    import asyncio

    from headway.store.previews import StoredPreview
    from headway.store.reports import Attached
    from headway.tracker import ProgressTracker
    from headway.worker.followers import Followers
    from headway.worker.run import TaskRun
    from headway.worker.sender import Sender

T = TypeVar("T")

INTERVAL_S = 0.1
EXIT_TIMEOUT_S = 3.0
CALL_TIMEOUT_S = 10.0
# How long a reader waits for this process's own writes.
MAX_READ_DELAY_MS = 500
# Importing redis and connecting take 0.3 s, on a busy machine perhaps a second.
IMPORT_TIMEOUT_S = 3.0
# Tasks that are over and could not be delivered; beyond it the oldest are given up.
MAX_UNDELIVERED = 10_000
# A quiet task is written again after this share of its time to live.
RENEW_SHARE = 0.125
# Without tasks, how soon it is seen that no view waits for those of others any more.
IDLE_S = 1.0


class Reporter:
    """Sends the tasks of this process; see the module."""

    def __init__(self) -> None:
        self._hooks = ProcessHooks(
            before_fork=self._before_fork, after_fork=self._after_fork, at_exit=self.close
        )
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskRun] = {}
        self._listeners = Listeners()
        self._thread: threading.Thread | None = None
        self._is_ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main_task: asyncio.Task[None] | None = None
        self._wake: asyncio.Event | None = None
        self._sender: Sender | None = None
        self._followers: Followers | None = None
        self._link = Link(Settings(), load=self._load)
        self._is_added = False
        self.forecasts = Forecasts()
        self.previews = PreviewEncoder(self.wake)
        self.resources = Sampler(self._tasks, on_news=self._deliver_samples)
        #: Names this process among the leases.
        self.worker = os.urandom(8).hex()

    # What tasks and views call, from any thread.

    def add(self, task: TaskRun) -> None:
        """Report a task from now on, until it is over and stored."""
        with self._lock:
            self._start()
            before = self._tasks.get(task.task_id)
            self._tasks[task.task_id] = task
            self._is_added = True
        if before is not None and not before.is_over:
            before.fence()
            warn_superseded(task.task_id)
        self.wake()

    def take_back(self, task: TaskRun) -> None:
        """Report a task that is over once more, unless another run has its id."""
        with self._lock:
            self._start()
            if self._tasks.setdefault(task.task_id, task) is not task:
                task.fence()
        self.wake()

    def find(self, task_id: str) -> TaskRun | None:
        """Return the run of the task of that id, where this process reports it."""
        return self._tasks.get(task_id)

    def wake(self) -> None:
        """Look at the tasks now rather than at the end of the interval."""
        self._set(self._wake)

    def listen(self, listener: Listener, task_ids: Iterable[str]) -> None:
        """Tell a listener what becomes of some tasks, of this process or of others, until they are over."""
        with self._lock:
            self._start()
        self._listeners.add(listener, task_ids)
        self.wake()

    def call(
        self,
        work: Callable[[ProgressTracker], Coroutine[Any, Any, T]],
        *,
        timeout_s: float = CALL_TIMEOUT_S,
        reads_own_writes: bool = True,
    ) -> T:
        """Run something on the tracker, from another thread, and wait for its result.

        Parameters
        ----------
        reads_own_writes
            Whether what this process has reported is stored first.

        Raises
        ------
        StoreUnavailableError
            When it takes longer than that.
        HeadwayError
            Whatever the work raises.
        """
        import asyncio

        async def run() -> T:
            tracker = await self._link.connect()
            if reads_own_writes:
                await self._send_now()
            return await work(tracker)

        with self._lock:
            self._start()
        self._is_ready.wait()
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(run(), self._loop)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise StoreUnavailableError(f"Redis did not answer within {timeout_s:g} s") from None

    def attach(self, task_id: str, *, run: str) -> Attached:
        """Take up a stored task as its next attempt; raises as `ProgressTracker.attach`."""

        async def attach(tracker: ProgressTracker) -> Attached:
            assert self._sender is not None
            await self._sender.renew_lease(tracker)
            return await tracker.attach(task_id, run=run, worker=self.worker)

        return self.call(attach)

    def persist(self, timeout_s: float) -> None:
        """Wait until what Redis has acknowledged survives its death; raises as `TaskStore.persist`."""
        self.call(lambda tracker: tracker.store.persist(), timeout_s=timeout_s, reads_own_writes=False)

    def flush(self, timeout_s: float = EXIT_TIMEOUT_S) -> list[str]:
        """Wait until everything reported so far is stored.

        Parameters
        ----------
        timeout_s
            How long to wait at most.

        Returns
        -------
        list of str
            The tasks whose newest state could not be stored in time.
        """
        deadline = time.monotonic() + timeout_s
        self.wake()
        while (left := self._undelivered()) and time.monotonic() < deadline:
            time.sleep(0.005)
        return left

    def close(self) -> None:
        """Deliver what is left, give up the embedded server and end the thread; the next task starts anew."""
        if self._thread is None:
            return
        left = self.flush()
        if left:
            warn_once("exit", "the last state of %d task(s) could not be stored: %s", len(left), left[:5])
        thread, loop = self._thread, self._loop
        if loop is not None and self._main_task is not None and thread.is_alive():
            loop.call_soon_threadsafe(self._main_task.cancel)
            thread.join(EXIT_TIMEOUT_S)
        self.previews.close()
        self.resources.close()
        self._reset()

    def warn_detached(self, task_id: str) -> None:
        """Say once that a task of the parent process was reported to in a forked child."""
        warn_once(
            f"detached:{task_id}",
            "task %s belongs to the process that made it and is not reported from this fork of it; "
            "make a task here instead",
            task_id,
        )

    # The thread.

    def _start(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        # What belongs to a thread that has ended.
        self._is_ready.clear()
        self._loop = self._wake = self._sender = self._followers = None
        self._settings = Settings.from_environment()  # here, where a mistake in it reaches the caller
        self._link = Link(self._settings, load=self._load)
        self._hooks.register()
        self._thread = threading.Thread(target=self._run, name="headway-reporter", daemon=True)
        self._thread.start()

    def _deliver_samples(self) -> None:
        self._set(self._followers.has_samples if self._followers else None)

    def _set(self, event: asyncio.Event | None) -> None:
        """Set an event of the reporter's loop, from any thread."""
        if self._loop is not None and event is not None:
            # A loop that is closed is that of a thread that has ended; the next task starts anew.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(event.set)

    def _run(self) -> None:
        import asyncio

        asyncio.run(self._main())

    async def _main(self) -> None:
        import asyncio

        from headway.cancellation import cancel
        from headway.worker.followers import Followers
        from headway.worker.sender import Sender

        self._loop = asyncio.get_running_loop()
        self._main_task = asyncio.current_task()
        self._wake = asyncio.Event()
        self._sender = Sender(
            self.worker,
            self._tasks,
            connect=self._link.connect,
            lost=self._link.lose,
            retire=self._retire,
            drop=self._drop,
        )
        self._followers = Followers(
            self._link,
            worker=self.worker,
            tasks=self._tasks,
            listeners=self._listeners,
            templates=self._templates,
            forecasts=self.forecasts,
            previews=self.previews,
            resources=self.resources,
            has_server=self._settings.has_server,
        )
        others = [asyncio.create_task(self._sender.run()), *self._followers.running]
        self._is_ready.set()
        try:
            while True:
                self._wake.clear()
                self._collect(Timestamp(time.time()))
                interval_s = INTERVAL_S if self._tasks else IDLE_S if self._listeners else None
                self._followers.rest(is_idle=interval_s is None)
                with suppress(TimeoutError):
                    async with asyncio.timeout(interval_s):
                        await self._wake.wait()
        except asyncio.CancelledError:
            pass
        finally:
            await cancel(others)
            if self._link.tracker is not None:
                await self._leave(self._link.tracker)

    async def _leave(self, tracker: ProgressTracker) -> None:
        """Store the last samples, give up the lease and close the connection."""
        from headway.worker.resources.delivery import deliver_news

        assert self._sender is not None
        try:
            with suppress(StoreError):  # the lease then ends by itself
                try:
                    await deliver_news(self.resources, tracker)
                except StoreError:
                    raise
                except Exception as error:  # a defect of ours must not let the process seem alive
                    warn_once("samples", "some resource samples cannot be stored: %r", error)
                await self._sender.release_lease(tracker)
        finally:
            await tracker.store.close()

    def _collect(self, now: Timestamp) -> None:
        """Take what is new of every task, tell the listeners, and hand it to the sender."""
        assert self._sender is not None
        states: list[TaskProgress] = []
        previews: dict[str, StoredPreview] = {}
        ttl_s = self._settings.ttl_s
        for task in list(self._tasks.values()):
            if task.is_stored and now - task.stored_at > ttl_s * RENEW_SHARE:
                task.touch()
            try:
                report = task.report(now)
            except Exception as error:  # a defect in one task must not end the reporting of all
                warn_once(f"report:{task.task_id}", "task %s: %r", task.task_id, error)
                continue
            if report is not None:
                states.append(report.task)
                if report.preview is not None:
                    previews[task.task_id] = report.preview.stored
                self._sender.put(task, report)
        if self._is_added and self._followers is not None:
            self._is_added = False
            self._followers.add()
            self.resources.wake()
        self._listeners.tell(states, previews)
        self._bound_undelivered()
        self._sender.wake()

    async def _send_now(self) -> None:
        """Let what was reported before be stored, so that a reader finds its own writes."""
        import asyncio

        assert self._sender is not None
        self._collect(Timestamp(time.time()))
        for _ in range(MAX_READ_DELAY_MS):
            if self._sender.is_idle:
                return
            await asyncio.sleep(0.001)

    def _templates(self) -> set[str]:
        """Name the templates of the tasks that are not over."""
        return {task.template_id for task in list(self._tasks.values()) if not task.is_over}

    def _retire(self, task: TaskRun) -> None:
        """Report a task that is over no more, unless something was said of it meanwhile."""
        with self._lock:
            if self._tasks.get(task.task_id) is not task or not task.is_delivered:
                return
            del self._tasks[task.task_id]
        self._listeners.forget({task.task_id})

    def _drop(self, task: TaskRun) -> None:
        with self._lock:
            if self._tasks.get(task.task_id) is not task:
                return
            del self._tasks[task.task_id]
        self.forecasts.forget(task.task_id)
        self._listeners.forget({task.task_id})

    def _bound_undelivered(self) -> None:
        assert self._sender is not None
        if len(self._tasks) <= MAX_UNDELIVERED:
            return
        over = [task for task in list(self._tasks.values()) if task.is_over]
        for task in over[: max(0, len(over) - MAX_UNDELIVERED)]:
            self._drop(task)
            self._sender.forget(task.task_id)

    def _load(self) -> None:
        """Import what estimates and measures, on this thread: a task's first call may not take so long."""
        self.forecasts.load()
        self.resources.load()

    def _undelivered(self) -> list[str]:
        return [task_id for task_id, task in list(self._tasks.items()) if not task.is_delivered]

    def _before_fork(self) -> None:
        """Let the thread finish its imports: a child would find the modules half made, for ever."""
        if self._tasks and self._thread is not None and self._thread.is_alive():
            self._link.has_imported.wait(IMPORT_TIMEOUT_S)

    def _after_fork(self) -> None:
        """Start from nothing in a forked child: thread, connections and tasks are the parent's."""
        # Kept for ever, because closing the parent's connections would end them for the parent too.
        _inherited.append((self._link, self._loop))
        tasks = self._tasks
        self._reset()
        for task in tasks.values():
            task.detach()


_inherited: list[object] = []


REPORTER = Reporter()
