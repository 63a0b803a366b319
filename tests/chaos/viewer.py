"""A viewer: a WebSocket client that comes back by itself and says what it has."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress

import msgspec
from tornado.httpclient import HTTPError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from headway.cancellation import cancel
from tests.chaos.checker import Checker, LogLine, State

FIRST_RETRY_S = 0.05
MAX_RETRY_S = 0.3
CONNECT_TIMEOUT_S = 2.0
# Without a message for so long, with heartbeats every 1.5 s, the connection is taken for dead.
SILENCE_S = 5.0
# Little room between a viewer that does not read and the server, so that the server notices.
RECEIVE_BYTES = 32_768
MAX_FRAME_BYTES = 32 * 1024 * 1024


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Any message of the server."""

    type: str
    task_id: str | None = None
    seq: int | None = None
    data: State | None = None
    entries: tuple[LogLine, ...] = ()
    dropped: int = 0
    code: str | None = None
    message: str | None = None


_decode = msgspec.json.Decoder(list[Message] | Message).decode
_encode = msgspec.json.encode


class Viewer:
    """Watches tasks, some of them with their logs, and tells the checker what comes.

    Attributes
    ----------
    wanted
        The tasks that it watches, and whether their logs too.
    """

    def __init__(self, name: str, checker: Checker, *, url: str, headers: dict[str, str]) -> None:
        self.name = name
        self.wanted: dict[str, bool] = {}
        self.counts: Counter[str] = Counter()
        self._checker = checker
        self._request = HTTPRequest(
            f"ws{url.removeprefix('http')}headway/ws/progress",
            headers=headers,
            connect_timeout=CONNECT_TIMEOUT_S,
            request_timeout=CONNECT_TIMEOUT_S,
        )
        self._socket: WebSocketClientConnection | None = None
        self._is_leaving = False
        self._abandoned: list[WebSocketClientConnection] = []
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._task = asyncio.create_task(self._run())

    @property
    def is_connected(self) -> bool:
        return self._socket is not None

    async def watch(self, task_id: str, *, logs: bool) -> None:
        """Watch a further task."""
        if task_id not in self.wanted:
            self.wanted[task_id] = logs
            await self._subscribe([task_id])

    async def leave(self, task_ids: Collection[str]) -> None:
        """Watch some tasks no more."""
        for task_id in task_ids:
            self.wanted.pop(task_id, None)
        if task_ids:
            await self._say({"type": "unsubscribe", "task_ids": list(task_ids)})

    def drop(self) -> None:
        """Cut the connection, without a farewell."""
        if self._socket is not None:
            _reset(self._socket)

    def silence(self) -> None:
        """Read nothing any more, and leave the connection open."""
        self._may_read.clear()

    def abandon(self) -> None:
        """Connect anew, and leave the old connection open, unread, as a network does that has moved on."""
        self._is_leaving = True

    def listen(self) -> None:
        """Read again, and cut the connections that were left open."""
        self._may_read.set()
        abandoned, self._abandoned = self._abandoned, []
        for connection in abandoned:
            _reset(connection)
            connection.close()

    async def close(self) -> None:
        self.listen()
        await cancel([self._task])

    async def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            try:
                await self._converse()
                retry_s = FIRST_RETRY_S
            except (OSError, HTTPError, StreamClosedError, TimeoutError):
                await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))
                retry_s = min(MAX_RETRY_S, 2 * retry_s)

    async def _converse(self) -> None:
        """Connect, ask for what is missing, and read until the connection ends."""
        connection = await websocket_connect(self._request, max_message_size=MAX_FRAME_BYTES)
        try:
            stream = connection.protocol.stream
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            self._socket = connection
            self.counts["connections"] += 1
            await self._subscribe(self.wanted)
            while True:
                await self._may_read.wait()
                async with asyncio.timeout(SILENCE_S):
                    frame = await connection.read_message()
                if frame is None:
                    self.counts[f"closed {connection.close_code}"] += 1
                    return
                if self._is_leaving:  # and what has just come never came
                    self._abandoned.append(connection)
                    return
                self._receive(frame)
        finally:
            self._socket, self._is_leaving = None, False
            if connection not in self._abandoned:
                connection.close()

    async def _subscribe(self, task_ids: Collection[str]) -> None:
        for logs in (False, True):
            some = [task_id for task_id in task_ids if self.wanted[task_id] is logs]
            if not some:
                continue
            sights = {task_id: self._checker.sight(self.name, task_id) for task_id in some}
            since = {i: sight.state.seq for i, sight in sights.items() if sight.state is not None}
            message = {"type": "subscribe", "task_ids": some, "since": since, "many": True}
            if logs:
                logs_since = {i: sight.log_id for i, sight in sights.items() if sight.log_id}
                message |= {"logs": True, "logs_since": logs_since}
            await self._say(message)

    async def _say(self, message: object) -> None:
        if self._socket is not None:
            with suppress(WebSocketClosedError, StreamClosedError):
                await self._socket.write_message(_encode(message).decode())

    def _receive(self, frame: str | bytes) -> None:
        now, messages = time.monotonic(), _decode(frame)
        for message in messages if isinstance(messages, list) else [messages]:
            self.counts[message.type] += 1
            task_id = message.task_id or ""
            if message.type == "error":
                self.counts[f"error {message.code}"] += 1
                if message.code == "bad_message":
                    self._checker.blame("traceback", task_id, f"{self.name} is told: {message.message}")
            elif task_id not in self.wanted:
                continue  # it was left while this was on its way
            elif message.type == "progress.update" and message.data is not None:
                self._checker.see(self.name, message.data, at=now)
            elif message.type == "log":
                self._checker.hear_logs(self.name, task_id, message.entries, dropped=message.dropped)


def _reset(connection: WebSocketClientConnection) -> None:
    """Close a connection so that its socket says RST and nothing else."""
    stream = connection.protocol.stream if connection.protocol else None
    if stream is not None and stream.socket is not None:
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.close()
