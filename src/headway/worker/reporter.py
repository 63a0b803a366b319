"""The reporter: one thread a process that sends what changed, every 100 ms.

It runs the async core, `ProgressTracker`, on an event loop of its own. Of each task it holds the newest state
that is not yet stored, so that a Redis that was away gets what matters when it is back. It never raises into
the user's code and never makes it wait, except at exit, and there for a stated time.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from headway.diagnostics import settle, warn_once
from headway.errors import HeadwayError, StoreError, StoreUnavailableError
from headway.models import TaskProgress, Timestamp
from headway.settings import Settings
from headway.worker.listeners import Listener, Listeners
from headway.worker.previews import PreviewEncoder

if TYPE_CHECKING:
    import asyncio

    from headway.store.tasks import Refusal
    from headway.tracker import ProgressTracker
    from headway.worker.task import Task

T = TypeVar("T")

INTERVAL_S = 0.1
# How often a state of another process is looked at for a view that has no server to ask.
POLL_S = 0.5
FIRST_RETRY_S = 0.1
MAX_RETRY_S = 5.0
EXIT_TIMEOUT_S = 3.0
CALL_TIMEOUT_S = 10.0
# How long a reader waits for this process's own writes.
MAX_READ_DELAY_MS = 500
# Importing redis and connecting take 0.3 s, on a busy machine perhaps a second.
IMPORT_TIMEOUT_S = 3.0
# Tasks that are over and could not be delivered; beyond it the oldest are given up.
MAX_UNDELIVERED = 10_000
# A quiet task is written again after this share of its time to live.
RENEW_SHARE = 0.25


class Reporter:
    """Sends the tasks of this process; see the module."""

    def __init__(self) -> None:
        self._has_hooks = False
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[str, Task] = {}
        self._unsent: dict[str, tuple[Task, TaskProgress]] = {}
        self._unsent_previews: dict[str, tuple[int, bytes]] = {}
        # Of each task that is stored: the number of the state, and when it was written.
        self._stored: dict[str, tuple[int, float]] = {}
        self._listeners = Listeners()
        self._thread: threading.Thread | None = None
        self._is_ready = threading.Event()
        self._has_imported = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main_task: asyncio.Task[None] | None = None
        self._wake: asyncio.Event | None = None
        self._sender_wake: asyncio.Event | None = None
        self._tracker: ProgressTracker | None = None
        self._is_connected = False
        self._is_sending = False
        self.previews = PreviewEncoder(self.wake)

    # What tasks and views call, from any thread.

    def add(self, task: Task) -> None:
        """Report a task from now on, until it is over and stored."""
        with self._lock:
            self._start()
            before = self._tasks.get(task.task_id)
            self._tasks[task.task_id] = task
            self._stored.pop(task.task_id, None)
        if before is not None and not before.is_over:
            self._warn_superseded(task.task_id)
        self.wake()

    def task(self, task_id: str) -> Task | None:
        """Return the task of that id that this process reports."""
        return self._tasks.get(task_id)

    def wake(self) -> None:
        """Look at the tasks now rather than at the end of the interval."""
        if self._loop is not None and self._wake is not None:
            with suppress(
                RuntimeError
            ):  # the loop is closed: the thread has ended, the next task starts anew
                self._loop.call_soon_threadsafe(self._wake.set)

    def listen(self, listener: Listener, task_ids: Iterable[str]) -> None:
        """Tell a listener what becomes of some tasks, of this process or of others, until they are over."""
        with self._lock:
            self._start()
        self._listeners.add(listener, task_ids)
        self.wake()

    def call(self, work: Callable[[ProgressTracker], Coroutine[Any, Any, T]]) -> T:
        """Run something on the tracker, from another thread, and wait for its result.

        Raises
        ------
        StoreUnavailableError
            When it takes longer than 10 s.
        HeadwayError
            Whatever the work raises.
        """
        import asyncio

        async def run() -> T:
            tracker = await self._connected()
            await self._send_now()
            return await work(tracker)

        with self._lock:
            self._start()
        self._is_ready.wait()
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(run(), self._loop)
        try:
            return future.result(CALL_TIMEOUT_S)
        except TimeoutError:
            future.cancel()
            raise StoreUnavailableError(f"Redis did not answer within {CALL_TIMEOUT_S:g} s") from None

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
        # redis needs it, and it cannot be imported once the interpreter has begun to end: a script that is
        # over before the thread has come to it would deliver nothing.
        import concurrent.futures.thread  # noqa: F401

        # What belongs to a thread that has ended.
        self._is_ready.clear()
        self._loop = self._wake = self._sender_wake = self._tracker = None
        self._is_connected = self._is_sending = False
        self._settings = Settings.from_environment()  # here, where a mistake in it reaches the caller
        if not self._has_hooks:
            self._register_hooks()
        self._thread = threading.Thread(target=self._run, name="headway-reporter", daemon=True)
        self._thread.start()
        util = sys.modules.get("multiprocessing.util")
        if util is not None and sys.modules["multiprocessing"].parent_process() is not None:
            # A child of multiprocessing ends without atexit.
            util.Finalize(None, self.close, exitpriority=100)

    def _register_hooks(self) -> None:
        """Be told of the interpreter's end and of forks.

        After the imports above, whose own hooks hold, while a fork goes on, locks that our thread's imports
        need: hooks that run before a fork run in the reverse of the order in which they were registered.
        """
        self._has_hooks = True
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._before_fork, after_in_child=self._after_fork)

    def _run(self) -> None:
        import asyncio

        asyncio.run(self._main())

    async def _main(self) -> None:
        import asyncio

        from headway.cancellation import cancel

        self._loop = asyncio.get_running_loop()
        self._main_task = asyncio.current_task()
        self._wake, self._sender_wake = asyncio.Event(), asyncio.Event()
        self._is_ready.set()
        others = [asyncio.create_task(self._send_for_ever()), asyncio.create_task(self._poll_others())]
        try:
            while True:
                self._wake.clear()
                self._collect(Timestamp(time.time()))
                with suppress(TimeoutError):
                    async with asyncio.timeout(INTERVAL_S if self._tasks else None):
                        await self._wake.wait()
        except asyncio.CancelledError:
            pass
        finally:
            await cancel(others)
            if self._tracker is not None:
                await self._tracker.store.close()

    def _collect(self, now: Timestamp) -> None:
        """Take what changed from every task, tell the listeners, and hand it to the sender."""
        states: list[TaskProgress] = []
        previews: dict[str, bytes] = {}
        ttl_s = self._tracker.store.ttl_s if self._tracker else None
        for task in list(self._tasks.values()):
            preview = task.take_preview()
            if preview is not None:
                self._unsent_previews[task.task_id] = preview
                previews[task.task_id] = preview[1]
            _, stored_at = self._stored.get(task.task_id, (0, now))
            if ttl_s and now - stored_at > ttl_s * RENEW_SHARE:
                task.touch()
            try:
                state = task.snapshot(now)
            except Exception as error:  # a defect in one task must not end the reporting of all
                warn_once(f"snapshot:{task.task_id}", "task %s: %r", task.task_id, error)
                continue
            if state is not None:
                states.append(state)
                self._unsent[state.task_id] = task, state
        self._listeners.tell(states, previews)
        if self._unsent and self._sender_wake is not None:
            self._bound_undelivered()
            self._sender_wake.set()

    async def _send_for_ever(self) -> None:
        import asyncio
        import random

        assert self._sender_wake is not None
        retry_s = FIRST_RETRY_S
        while True:
            await self._sender_wake.wait()
            self._sender_wake.clear()
            states, self._unsent = self._unsent, {}
            previews, self._unsent_previews = self._unsent_previews, {}
            self._is_sending = True
            try:
                await self._send(states, previews)
            except StoreError as error:
                # What is newer by now stays; the rest goes with it next time.
                self._unsent = states | self._unsent
                self._unsent_previews = previews | self._unsent_previews
                self._is_connected = False
                warn_once(
                    "store",
                    "progress cannot be stored at present (%s); the task goes on, "
                    "and its newest state follows",
                    error,
                )
                await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads reconnects
                retry_s = min(MAX_RETRY_S, 2 * retry_s)
                self._sender_wake.set()
            except Exception as error:
                # A defect of ours: each task is tried by itself, and those that fail are given up.
                warn_once("send", "some progress cannot be sent: %r", error)
                await self._send_each(states)
            else:
                settle("store")
                retry_s = FIRST_RETRY_S
            finally:
                self._is_sending = False

    async def _send_now(self) -> None:
        """Let what was reported before be stored, so that a reader finds its own writes."""
        import asyncio

        self._collect(Timestamp(time.time()))
        for _ in range(MAX_READ_DELAY_MS):
            if not (self._unsent or self._is_sending):
                return
            await asyncio.sleep(0.001)

    async def _send_each(self, states: dict[str, tuple[Task, TaskProgress]]) -> None:
        for task_id, entry in states.items():
            try:
                await self._send({task_id: entry}, {})
            except Exception as error:
                warn_once(f"send:{task_id}", "task %s cannot be sent: %r", task_id, error)
                if isinstance(error, StoreError):
                    self._unsent.setdefault(task_id, entry)
                else:
                    self._drop(entry[0])

    async def _send(
        self, states: dict[str, tuple[Task, TaskProgress]], previews: dict[str, tuple[int, bytes]]
    ) -> None:
        tracker = await self._connected()
        for task_id, (number, image) in previews.items():
            await tracker.store.write_preview(task_id, number, image)
        refused = await tracker.store.write(
            [state for _, state in states.values()],
            runs={task_id: task.run for task_id, (task, _) in states.items()},
        )
        now = time.time()
        has_new = False
        for task_id, (task, state) in states.items():
            if task_id in refused:
                self._resolve(task, refused[task_id])
                continue
            with self._lock:
                if self._tasks.get(task_id) is not task:  # another run of the id has begun meanwhile
                    continue
                has_new = has_new or task_id not in self._stored
                self._stored[task_id] = state.seq, now
            if task.is_over and task.is_delivered(state.seq):
                self._drop(task)
        if has_new:
            await tracker.store.prune()

    def _resolve(self, task: Task, refusal: Refusal) -> None:
        """Go on after a refusal: number the next state after what another writer stored."""
        if refusal.is_same_run:  # somebody changed a stage of it from outside
            task.rebase(attempt=refusal.attempt, seq=refusal.seq)
        elif self._tasks.get(task.task_id) is not task:
            return
        elif task.task_id in self._stored:
            self._warn_superseded(task.task_id)
            self._drop(task)
            return
        else:  # the id was used before: this run is the next attempt
            task.rebase(attempt=refusal.attempt + 1, seq=refusal.seq)
        self.wake()

    def _warn_superseded(self, task_id: str) -> None:
        warn_once(
            f"superseded:{task_id}",
            "task %s was taken up by another run of the same id and is no longer reported from the first one",
            task_id,
        )

    def _drop(self, task: Task) -> None:
        with self._lock:
            if self._tasks.get(task.task_id) is not task:
                return
            del self._tasks[task.task_id]
            self._stored.pop(task.task_id, None)
        self._listeners.forget({task.task_id})

    def _bound_undelivered(self) -> None:
        over = [task for task in list(self._tasks.values()) if task.is_over]
        for task in over[: max(0, len(over) - MAX_UNDELIVERED)]:
            self._drop(task)
            self._unsent.pop(task.task_id, None)
            self._unsent_previews.pop(task.task_id, None)

    async def _connected(self) -> ProgressTracker:
        from headway.store.tasks import TaskStore
        from headway.tracker import ProgressTracker

        try:
            if self._tracker is None:
                self._tracker = ProgressTracker(TaskStore(self._settings, run_blocking=_run_here))
            if not self._is_connected:
                await self._tracker.store.connect()
                self._is_connected = True
        finally:
            self._has_imported.set()  # whether or not it answers
        return self._tracker

    async def _poll_others(self) -> None:
        """Follow the tasks of other processes for the listeners."""
        import asyncio

        seen: dict[str, int] = {}
        while True:
            await asyncio.sleep(POLL_S)
            wanted = self._listeners.wanted() - self._tasks.keys()
            seen = {task_id: seq for task_id, seq in seen.items() if task_id in wanted}
            if not wanted:
                continue
            try:
                tracker = await self._connected()
                stored = await tracker.store.read(wanted)
                newer = {i: s for i, s in stored.items() if s.seq > seen.get(i, -1)}
                states = [TaskProgress.from_json(found.data) for found in newer.values()]
                previews = await self._fetch_previews(tracker, states)
            except StoreError:
                self._is_connected = False
                continue
            except (HeadwayError, ValueError) as error:
                warn_once("poll", "a task of another process cannot be shown: %s", error)
                continue
            seen |= {task_id: found.seq for task_id, found in newer.items()}
            self._listeners.tell(states, previews)
            self._listeners.forget({state.task_id for state in states if state.status.is_over})

    async def _fetch_previews(self, tracker: ProgressTracker, states: list[TaskProgress]) -> dict[str, bytes]:
        previews = {}
        for state in states:
            if state.preview_url is not None:
                number = int(state.preview_url.rpartition("/")[2])
                image = await tracker.store.read_preview(state.task_id, number)
                if image is not None:
                    previews[state.task_id] = image
        return previews

    def _undelivered(self) -> list[str]:
        return [
            task_id
            for task_id, task in list(self._tasks.items())
            if not task.is_delivered(self._stored.get(task_id, (None, 0.0))[0])
        ]

    def _before_fork(self) -> None:
        """Let the thread finish its imports: a child would find the modules half made, for ever."""
        if self._tasks and self._thread is not None and self._thread.is_alive():
            self._has_imported.wait(IMPORT_TIMEOUT_S)

    def _after_fork(self) -> None:
        """Start from nothing in a forked child: thread, connections and tasks are the parent's."""
        # Kept for ever, because closing the parent's connections would end them for the parent too.
        _inherited.append((self._tracker, self._loop))
        tasks = self._tasks
        self._reset()
        for task in tasks.values():
            task.detach()


_inherited: list[object] = []


async def _run_here(call: Callable[[], object]) -> object:
    # The loop is the reporter's own, and at exit no further thread can be started.
    return call()


REPORTER = Reporter()
