"""Everything that runs: workers, a Jupyter server, the embedded store, viewers; the checker hears of all."""

from __future__ import annotations

import asyncio
import math
import os
import time
import zlib
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Self

from headway.cancellation import cancel
from headway.settings import Settings
from headway.store.tasks import TaskStore
from headway.tracker import ProgressTracker
from tests.chaos.checker import TASK_OVER, Checker, State
from tests.chaos.processes import JupyterServer, Process, Worker
from tests.chaos.reports import Report, Started
from tests.chaos.store import Store
from tests.chaos.viewer import Viewer

WORKERS = 5
VIEWERS = 3
START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 15.0
POLL_S = 0.02
# How often Redis is looked at while the faults happen.
READ_INTERVAL_S = 0.25


class World:
    """What the faults happen to.

    Parameters
    ----------
    seed
        Of all that is drawn by chance.
    folder
        For the store's data and the Jupyter server's files; a short path, because of the socket's.

    Attributes
    ----------
    known
        The tasks that are judged, and the round in which each was found completed.
    past
        The processes that were killed since the last look at them.
    store_back_at
        When the store last answered again after it was killed.
    lag_s
        How late this process came at most, since somebody last set it to 0.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.chance = Random(seed)
        self.checker = Checker()
        self.store = Store(folder / "data")
        self.server = JupyterServer(folder)
        self.tracker = ProgressTracker(TaskStore(Settings(data_dir=self.store.folder)))
        self.workers: list[Worker] = []
        self.viewers: list[Viewer] = []
        self.known: dict[str, int | None] = {}
        self.past: list[Process] = []
        self.store_back_at = 0.0
        self.lag_s = 0.0
        self._worker_count = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._disturbances = 0
        self._undisturbed_at = 0.0

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def _start(self) -> None:
        await self.store.start()
        await self.tracker.store.connect()
        await self.server.start()
        self.workers += [await self._start_worker() for _ in range(WORKERS)]
        await self.server.wait()
        for number in range(VIEWERS):
            viewer = Viewer(f"viewer{number}", self.checker, url=self.server.url, headers=self.server.headers)
            viewer.wanted = {task_id: self._is_log_viewer(number, task_id) for task_id in self.known}
            self.viewers.append(viewer)
        self._run(self._read_for_ever())
        self._run(self._feel_lag())
        while not all(worker.has_acked for worker in self.workers):
            await asyncio.sleep(POLL_S)

    async def _close(self) -> None:
        """End everything; what does not end is blamed, and killed."""
        try:
            await self._end("the reader", cancel(list(self._tasks)))
            for viewer in self.viewers:
                await self._end(viewer.name, viewer.close())
            processes: list[Process] = [*self.workers, self.server]
            await asyncio.gather(*(self._end(process.name, process.kill()) for process in processes))
            await self._end("the tracker", self.tracker.store.close())
            await self._end("the store", self.store.release())
        finally:
            self.store.close()

    async def _end(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                await work
        except TimeoutError:
            self.checker.blame("stuck", "", f"{name} did not end within {END_TIMEOUT_S:g} s")

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Workers and their tasks.

    async def succeed(self, place: int) -> Worker:
        """Start a worker that takes up what the one in that place had."""
        task_ids = list(self.workers[place].tasks)
        # Of some nobody was told that they are completed, and there is nothing left to do.
        over = {i for i, state in (await self.read(task_ids)).items() if state.status in TASK_OVER}
        worker = await self._start_worker([task_id for task_id in task_ids if task_id not in over])
        self.workers[place] = worker
        return worker

    async def kill_worker(self, worker: Worker) -> None:
        await worker.kill()
        self.past.append(worker)

    async def _start_worker(self, task_ids: Sequence[str] = ()) -> Worker:
        worker = Worker(f"w{self._worker_count}", self._hear)
        self._worker_count += 1
        await worker.start(self.store.folder, seed=self.seed, task_ids=task_ids)
        return worker

    def _hear(self, worker: Worker, report: Report) -> None:
        self.checker.take(worker.name, report)
        if isinstance(report, Started) and report.task_id not in self.known:
            self.known[report.task_id] = None
            for number, viewer in enumerate(self.viewers):
                logs = self._is_log_viewer(number, report.task_id)
                self._run(viewer.watch(report.task_id, logs=logs))

    def _is_log_viewer(self, number: int, task_id: str) -> bool:
        """Whether that viewer watches the task's logs: one viewer does."""
        return zlib.crc32(task_id.encode()) % VIEWERS == number

    def log_viewer(self, task_id: str) -> Viewer:
        return self.viewers[zlib.crc32(task_id.encode()) % VIEWERS]

    async def forget(self, task_ids: Iterable[str]) -> None:
        """Judge some tasks no more."""
        gone = [task_id for task_id in task_ids if self.known.pop(task_id, 0) != 0]
        for viewer in self.viewers:
            await viewer.leave(gone)
        for task_id in gone:
            self.checker.forget(task_id)

    # What Redis holds.

    async def read(self, task_ids: Sequence[str]) -> dict[str, State]:
        """Read states from Redis itself, as soon as it answers, and show them to the checker."""
        while True:
            began_at = time.monotonic()
            states = await self.store.read(task_ids)
            if states is not None:
                break
            await asyncio.sleep(POLL_S)
        now = time.monotonic()
        for state in states.values():
            if state.task_id in self.known:
                self.checker.see_stored(state, began_at=began_at, at=now)
        return states

    async def _read_for_ever(self) -> None:
        while True:
            await self.read(list(self.known))
            await asyncio.sleep(READ_INTERVAL_S)

    async def _feel_lag(self) -> None:
        """Notice how long this process itself is kept from running: the machine may be too busy to judge."""
        while True:
            began_at = time.monotonic()
            await asyncio.sleep(POLL_S)
            self.lag_s = max(self.lag_s, time.monotonic() - began_at - POLL_S)

    # What keeps viewers from seeing.

    @contextmanager
    def disturbed(self) -> Iterator[None]:
        """Tell that for the length of the block viewers may see nothing new."""
        self._disturbances += 1
        try:
            yield
        finally:
            self._disturbances -= 1
            self._undisturbed_at = time.monotonic()

    @property
    def is_disturbed(self) -> bool:
        return self._disturbances > 0

    def undisturbed(self, after_s: float) -> float:
        """Return when viewers have been undisturbed for so long, infinity while they are not."""
        return math.inf if self._disturbances else self._undisturbed_at + after_s

    async def heal(self) -> None:
        """Wait until the server answers, and reaches Redis."""
        await self.server.wait()

    def evidence(self) -> str:
        """Say what the world is like, for the message of a violation."""
        connected = sum(viewer.is_connected for viewer in self.viewers)
        machine = f"load {os.getloadavg()[0]:.1f}, this process {self.lag_s:.2f} s late at most"
        return f"{connected} of {VIEWERS} viewers connected, {machine}"
