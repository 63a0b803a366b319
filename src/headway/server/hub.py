"""The hub: what changed in Redis reaches every viewer that asked for it, and nobody waits for the slowest.

It knows no tornado and no HTTP. It listens for hints on one subscription, reads the tasks that viewers want
from Redis, and keeps of each the newest state only. A connection holds the ids that are to be sent, never a
queue of states, so a viewer that is slow gets fewer states and the newest one, in bounded memory.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

from headway.cancellation import cancel
from headway.errors import StoreError
from headway.models import Timestamp
from headway.server.messages import MAX_IDS, ErrorMessage, ProgressUpdate, encode_frame
from headway.store.tasks import Stored, TaskStore

# A frame to one viewer every so often, at most.
FRAME_INTERVAL_S = 0.1
# Many workers announce changes at different instants; those of so long are read together.
READ_INTERVAL_S = 0.02
FIRST_RETRY_S = 0.1
MAX_RETRY_S = 5.0
# 100 states of about 2 kB: a frame that a browser parses within a few milliseconds.
TASKS_PER_FRAME = 100
# Errors that wait for a viewer; older ones are dropped first.
MAX_ERRORS = 100

Send = Callable[[bytes], Awaitable[None]]


class Hub:
    """Brings the newest state of each task to the connections that want it.

    Parameters
    ----------
    store
        Where the tasks are.
    """

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._viewers: dict[str, set[Connection]] = {}
        self._newest: dict[str, Stored] = {}
        self._connections: set[Connection] = set()
        self._stale: set[str] = set()
        self._has_stale = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._has_stopped = False

    def start(self) -> None:
        """Begin to listen and to read; not again after the end."""
        if self._has_stopped:  # the server was told to end while it still started
            return
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._read())]

    async def stop(self) -> None:
        """End every connection and every task of the hub, for good."""
        self._has_stopped = True
        tasks = self._tasks + [connection.end() for connection in self._connections]
        self._tasks = []
        self._connections.clear()
        await cancel(tasks)

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
            self._deliver(wanted, stored)
            await asyncio.sleep(READ_INTERVAL_S)

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
        for connection in {c for task_id in task_ids for c in self._viewers.get(task_id, ())}:
            connection.tell_unavailable()


class Connection:
    """One viewer: what it wants, what it has, and the task that sends to it.

    Parameters
    ----------
    hub
        Whose connection it is.
    send
        Sends one frame and returns when the next may follow.
    """

    def __init__(self, hub: Hub, send: Send) -> None:
        self._hub = hub
        self._send = send
        self._wanted: dict[str, int] = {}
        self._pending: dict[str, None] = {}
        self._missed: set[str] = set()
        self._errors: deque[ErrorMessage] = deque(maxlen=MAX_ERRORS)
        self._many = False
        self._is_unavailable = False
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._pump())

    @property
    def pending_count(self) -> int:
        """How many tasks wait to be sent: at most one state each."""
        return len(self._pending)

    def subscribe(self, task_ids: Iterable[str], *, since: Mapping[str, int], many: bool) -> None:
        """Send these tasks as far as they are newer than `since`, and every change from now on."""
        self._many = self._many or many
        ids = list(task_ids)
        if len(self._wanted.keys() | set(ids)) > MAX_IDS:
            self.tell(ErrorMessage(code="bad_message", message=f"expected at most {MAX_IDS} tasks in all"))
            return
        for task_id in ids:
            self._wanted[task_id] = since.get(task_id, -1)
            self._missed.discard(task_id)
        self._hub.want(self, ids)

    def unsubscribe(self, task_ids: Iterable[str]) -> None:
        """Send these tasks no more."""
        ids = list(task_ids)
        for task_id in ids:
            self._wanted.pop(task_id, None)
            self._pending.pop(task_id, None)
            self._missed.discard(task_id)
        self._hub.leave(self, ids)

    def notice(self, task_id: str) -> None:
        """Remember that a task has a new state."""
        self._is_unavailable = False
        self._missed.discard(task_id)
        self._pending[task_id] = None
        self._wake.set()

    def miss(self, task_id: str) -> None:
        """Tell the viewer, once, that a task is not stored; it is sent should it appear."""
        self._is_unavailable = False
        if task_id not in self._missed:
            self._missed.add(task_id)
            message = f"no task {task_id!r} is stored; it will be sent when it appears"
            self.tell(ErrorMessage(code="unknown_task", task_id=task_id, message=message))

    def tell_unavailable(self) -> None:
        """Tell the viewer, once until Redis is back, that nothing can be read."""
        if not self._is_unavailable:
            self._is_unavailable = True
            message = "Redis does not answer; updates follow when it is back"
            self.tell(ErrorMessage(code="store_unavailable", message=message))

    def tell(self, error: ErrorMessage) -> None:
        """Send the viewer an error."""
        self._errors.append(error)
        self._wake.set()

    def end(self) -> asyncio.Task[None]:
        """Stop sending and want nothing more; return the task that is ending."""
        self._hub.leave(self, list(self._wanted))
        self._wanted.clear()
        self._task.cancel()
        return self._task

    async def _pump(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            began = time.monotonic()
            for frame in self._frames():
                await self._send(frame)
            await asyncio.sleep(max(0.0, FRAME_INTERVAL_S - (time.monotonic() - began)))

    def _frames(self) -> Iterable[bytes]:
        """Make the frames of everything that waits; what comes meanwhile waits for the next round."""
        while self._errors:
            yield encode_frame([self._errors.popleft()])
        pending, self._pending = list(self._pending), {}
        size = TASKS_PER_FRAME if self._many else 1
        messages: list[Any] = []
        for task_id in pending:
            stored = self._hub.newest(task_id)
            if stored is None or stored.seq <= self._wanted.get(task_id, stored.seq):
                continue
            self._wanted[task_id] = stored.seq
            now = Timestamp(time.time())
            data = msgspec.Raw(stored.data)
            messages.append(ProgressUpdate(task_id=task_id, seq=stored.seq, sent_at=now, data=data))
            if len(messages) == size:
                yield encode_frame(messages)
                messages = []
        if messages:
            yield encode_frame(messages)
