"""The connection of one viewer: what it wants, what it has, and what is sent to it next.

It holds the ids that are to be sent, never a queue of states, so a viewer that is slow gets fewer states and
the newest one, in bounded memory.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from headway.errors import StoreError
from headway.server.messages import (
    MAX_IDS,
    ErrorMessage,
    Heartbeat,
    LogMessage,
    ProgressUpdate,
    Subscribe,
    encode_frame,
)
from headway.timestamps import Timestamp

if TYPE_CHECKING:
    from headway.server.hub import Hub

# A frame to one viewer every so often, at most.
FRAME_INTERVAL_S = 0.1
# A viewer that hears nothing for 4 s takes the line for dead; two of these may be late.
HEARTBEAT_S = 1.5
# 100 states of about 2 kB: a frame that a browser parses within a few milliseconds.
TASKS_PER_FRAME = 100
# Errors that wait for a viewer, but for those of tasks that it wants; older ones are dropped first.
MAX_ERRORS = 100

Send = Callable[[bytes], Awaitable[None]]


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
        self._send_frame = send
        self._spoke_at = time.monotonic()
        self._wanted: dict[str, int] = {}
        # Of the tasks whose logs are wanted: the id of the newest entry that was sent.
        self._logged: dict[str, int] = {}
        self._pending: dict[str, None] = {}
        self._missed: set[str] = set()
        # Of these the ones of which it is still to be told.
        self._unknown: dict[str, None] = {}
        # Tasks of which an older state was read than the viewer has.
        self._doubted: set[str] = set()
        self._errors: deque[ErrorMessage] = deque(maxlen=MAX_ERRORS)
        self._many = False
        self._is_unavailable = False
        self._wake = asyncio.Event()
        self._resources = hub.resources.view(self._wake.set)
        self._task = asyncio.create_task(self._pump())

    @property
    def pending_count(self) -> int:
        """How many tasks wait to be sent: at most one state each."""
        return len(self._pending)

    def subscribe(self, message: Subscribe) -> None:
        """Send what is newer than the viewer has of some tasks, and every change from now on."""
        self._many = self._many or message.many
        ids = message.task_ids
        if len(self._wanted.keys() | set(ids)) > MAX_IDS:
            self.tell(ErrorMessage(code="bad_message", message=f"expected at most {MAX_IDS} tasks in all"))
            return
        for task_id in ids:
            self._wanted[task_id] = message.since.get(task_id, -1)
            if message.logs:
                self._logged[task_id] = message.logs_since.get(task_id, 0)
            self._missed.discard(task_id)
        if message.resources:
            self._resources.want(ids, message.resources_since)
        self._spoke_at = 0.0  # a heartbeat answers where nothing is newer
        self._hub.want(self, ids)

    def unsubscribe(self, task_ids: Iterable[str]) -> None:
        """Send these tasks no more."""
        ids = list(task_ids)
        for task_id in ids:
            self._wanted.pop(task_id, None)
            self._logged.pop(task_id, None)
            self._pending.pop(task_id, None)
            self._missed.discard(task_id)
            self._unknown.pop(task_id, None)
            self._doubted.discard(task_id)
        self._resources.leave(ids)
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
            self._wanted[task_id] = -1  # whatever appears is news
            self._unknown[task_id] = None
            self._wake.set()

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
        self._resources.leave_all()
        self._hub.leave(self, list(self._wanted))
        self._wanted.clear()
        self._task.cancel()
        return self._task

    async def _pump(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._wake.wait()
            self._wake.clear()
            began = time.monotonic()
            pending, self._pending = list(self._pending), {}
            for frame in self._frames(pending):
                await self._send(frame)
            for task_id in pending:
                await self._send_logs(task_id)
            async for frame in self._resources.frames(many=self._many):
                await self._send(frame)
            if time.monotonic() - self._spoke_at >= HEARTBEAT_S:
                await self._send(encode_frame([self._heartbeat()]))
            await asyncio.sleep(max(0.0, FRAME_INTERVAL_S - (time.monotonic() - began)))

    async def _send(self, frame: bytes) -> None:
        await self._send_frame(frame)
        self._spoke_at = time.monotonic()

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(sent_at=Timestamp(time.time()), is_store_up=self._hub.is_store_up)

    async def _send_logs(self, task_id: str) -> None:
        """Send the log entries that the viewer has not got, a page a frame."""
        stored = self._hub.newest(task_id)
        while stored is not None and stored.log_id > self._logged.get(task_id, stored.log_id):
            try:
                page = await self._hub.read_logs(task_id, since=self._logged[task_id])
            except StoreError:
                self._pending[task_id] = None  # with the next frame, or heartbeat
                return
            if task_id not in self._logged:  # unsubscribed meanwhile
                return
            self._logged[task_id] = page.entries[-1].id if page.entries else stored.log_id
            if page.entries:
                message = LogMessage(
                    task_id=task_id, entries=page.entries, dropped=page.dropped, total=page.total
                )
                await self._send(encode_frame([message]))

    def _is_news(self, task_id: str, seq: int) -> bool:
        """Whether the viewer has not got this state; it hears first when its own is of a past that is gone.

        A lower number is that of a task that was lost with Redis' data and made anew, unless it was read just
        before the viewer came: it is read once more.
        """
        has = self._wanted.get(task_id, seq)
        if seq >= has:
            self._doubted.discard(task_id)
            return seq > has
        if task_id not in self._doubted:
            self._doubted.add(task_id)
            self._hub.want(self, [task_id])
            return False
        self._doubted.discard(task_id)
        self.miss(task_id)
        self._pending[task_id] = None
        return False

    def _frames(self, pending: Iterable[str]) -> Iterable[bytes]:
        """Make the frames of the tasks that waited; what comes meanwhile waits for the next round."""
        while self._errors:
            yield encode_frame([self._errors.popleft()])
        size = TASKS_PER_FRAME if self._many else 1
        unknown, self._unknown = list(self._unknown), {}
        for first in range(0, len(unknown), size):
            yield encode_frame([_unknown(task_id) for task_id in unknown[first : first + size]])
        messages: list[Any] = []
        for task_id in pending:
            stored = self._hub.newest(task_id)
            if stored is None or not self._is_news(task_id, stored.seq):
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


def _unknown(task_id: str) -> ErrorMessage:
    message = f"no task {task_id!r} is stored; it will be sent when it appears"
    return ErrorMessage(code="unknown_task", task_id=task_id, message=message)
