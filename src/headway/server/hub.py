"""The hub: what changed in Redis reaches every viewer that asked for it, and nobody waits for the slowest.

It knows no tornado and no HTTP. It listens for hints on one subscription, reads the tasks that viewers want
from Redis, and keeps of each the newest state only. Hints can be lost, and a worker that died gives none: so
it also looks by itself. What becomes of a state on its way to one viewer is said in `connection`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

from headway.cancellation import cancel
from headway.errors import StoreError
from headway.logs import LogPage
from headway.server.connection import Connection, Send
from headway.server.resources import ResourceFeed
from headway.store.reports import Stored
from headway.store.watches import MARK_S
from headway.tracker import ProgressTracker

# Many workers announce changes at different instants; those of so long are read together.
READ_INTERVAL_S = 0.02
FIRST_RETRY_S = 0.1
MAX_RETRY_S = 1.0
# How often it is looked whether workers have died, and whether a hint was lost.
LOOK_S = 0.5


class Hub:
    """Brings the newest state of each task to the connections that want it.

    Parameters
    ----------
    tracker
        Knows the tasks.
    """

    def __init__(self, tracker: ProgressTracker) -> None:
        self._tracker = tracker
        self._store = tracker.store
        self._viewers: dict[str, set[Connection]] = {}
        self._newest: dict[str, Stored] = {}
        self._connections: set[Connection] = set()
        self._stale: set[str] = set()
        self._has_stale = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._has_stopped = False
        self.is_store_up = True
        self.resources = ResourceFeed(self._store.samples, is_over=self._is_over)

    def start(self) -> None:
        """Begin to listen and to read; not again after the end."""
        if self._has_stopped:  # the server was told to end while it still started
            return
        loops = (self._listen(), self._read(), self._watch(), self._tell_workers(), self.resources.run())
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def stop(self) -> None:
        """End every connection and every task of the hub, for good."""
        self._has_stopped = True
        tasks = self._tasks + [connection.end() for connection in self._connections]
        self._tasks = []
        self._connections.clear()
        await cancel(tasks)

    @property
    def connection_count(self) -> int:
        """How many viewers there are."""
        return len(self._connections)

    def connect(self, send: Send) -> Connection:
        """Add a viewer.

        Parameters
        ----------
        send
            Sends one frame and returns when the next may follow.
        """
        connection = Connection(self, send)
        self._connections.add(connection)
        return connection

    def newest(self, task_id: str) -> Stored | None:
        """Return the newest state that was read of a task that somebody wants."""
        return self._newest.get(task_id)

    async def read_logs(self, task_id: str, *, since: int) -> LogPage:
        """Read the log entries of a task after the one of that id."""
        return await self._store.read_logs(task_id, since=since)

    # What connections call.

    def want(self, connection: Connection, task_ids: Iterable[str]) -> None:
        """Read these tasks for the connection, now and whenever they change."""
        ids = set(task_ids)
        for task_id in ids:
            self._viewers.setdefault(task_id, set()).add(connection)
        self._mark(ids)

    def leave(self, connection: Connection, task_ids: Iterable[str]) -> None:
        """Read these tasks for the connection no more; forget those that nobody wants."""
        for task_id in task_ids:
            viewers = self._viewers.get(task_id, set())
            viewers.discard(connection)
            if not viewers:
                self._viewers.pop(task_id, None)
                self._newest.pop(task_id, None)

    def drop(self, connection: Connection) -> None:
        """End a connection whose viewer is gone."""
        connection.end()
        self._connections.discard(connection)

    def _is_over(self, task_id: str) -> bool:
        stored = self._newest.get(task_id)
        return stored is not None and stored.is_over

    def _mark(self, task_ids: Iterable[str]) -> None:
        self._stale.update(task_ids)
        if self._stale:
            self._has_stale.set()

    async def _listen(self) -> None:
        """Mark what is announced; after each loss of the connection mark everything."""
        retry_s = FIRST_RETRY_S
        while True:
            try:
                await self._store.connect()
                async with self._store.changes() as hints:
                    retry_s = FIRST_RETRY_S
                    self._mark(self._viewers)
                    async for task_ids in hints:
                        self._mark(task_id for task_id in task_ids if task_id in self._viewers)
            except StoreError:
                await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads reconnects
                retry_s = min(MAX_RETRY_S, 2 * retry_s)

    async def _read(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            await self._has_stale.wait()
            self._has_stale.clear()
            stale, self._stale = self._stale, set()
            wanted = [task_id for task_id in stale if task_id in self._viewers]
            try:
                stored = await self._store.read(wanted) if wanted else {}
            except StoreError:
                self._tell_unavailable(wanted)
                await asyncio.sleep(retry_s)
                retry_s = min(MAX_RETRY_S, 2 * retry_s)
                self._mark(wanted)
                continue
            retry_s = FIRST_RETRY_S
            self.is_store_up = True
            self._deliver(wanted, stored)
            await asyncio.sleep(READ_INTERVAL_S)

    async def _watch(self) -> None:
        """Look for workers that died, and for changes of which no hint came."""
        while True:
            looked_at = time.time()
            await asyncio.sleep(LOOK_S)
            if not self._viewers:
                continue
            try:
                # After a sleep of the machine the workers come back first.
                if time.time() - looked_at < 3 * LOOK_S:
                    self._deliver_newer(await self._tracker.lose(self._newest))
                running = [i for i in self._viewers if i not in self._newest or not self._newest[i].is_over]
                seqs = await self._store.read_seqs(running)
            except StoreError:
                self._tell_unavailable(self._viewers)
                continue
            if not self.is_store_up:
                self._mark(self._viewers)
            self.is_store_up = True
            known = {task_id: stored.seq for task_id, stored in self._newest.items()}
            self._mark(task_id for task_id, seq in seqs.items() if seq != known.get(task_id, 0))

    async def _tell_workers(self) -> None:
        """Let the workers know that somebody looks at their tasks."""
        while True:
            await asyncio.sleep(MARK_S)
            with suppress(StoreError):
                await self._store.watches.mark(
                    {found.worker for found in self._newest.values() if found.worker}
                )

    def _deliver_newer(self, stored: Mapping[str, Stored]) -> None:
        self._deliver([task_id for task_id in stored if task_id in self._viewers], stored)

    def _deliver(self, wanted: Iterable[str], stored: Mapping[str, Stored]) -> None:
        for task_id in wanted:
            viewers = self._viewers.get(task_id, ())
            if viewers and task_id in stored:
                self._newest[task_id] = stored[task_id]
                for connection in viewers:
                    connection.notice(task_id)
            else:
                self._newest.pop(task_id, None)
                for connection in viewers:
                    connection.miss(task_id)

    def _tell_unavailable(self, task_ids: Iterable[str]) -> None:
        self.is_store_up = False
        for connection in {c for task_id in task_ids for c in self._viewers.get(task_id, ())}:
            connection.tell_unavailable()
