"""A real Jupyter server with the extension, on the session's Valkey."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

# Not through pytest_plugins: its autouse fixtures make a server after every test of the whole suite.
from pytest_jupyter.jupyter_server import *  # noqa: F403
from tornado.httpclient import HTTPResponse
from tornado.websocket import WebSocketClientConnection

from headway.server.hub import Hub
from headway.settings import Settings
from headway.store.tasks import TaskStore
from headway.tracker import ProgressTracker

KERNEL_VARIABLES = ("HEADWAY_DATA_DIR", "HEADWAY_REDIS_URL", "HEADWAY_TTL_S", "HEADWAY_SERVER")
ANSWER_TIMEOUT_S = 10.0


@pytest.fixture(autouse=True)
def kernel_environment(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """Take back after each test what the extension puts into the environment for kernels."""
    for name in KERNEL_VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HEADWAY_DATA_DIR", str(data_dir))


@pytest.fixture
def jp_server_config(settings: Settings) -> dict[str, Any]:
    return {"ServerApp": {"jpserver_extensions": {"headway": True}}}


@pytest.fixture
def running_server(jp_serverapp: Any, jp_asyncio_loop: asyncio.AbstractEventLoop) -> Any:
    """The Jupyter server with its extensions started, which pytest-jupyter leaves to the test."""
    jp_asyncio_loop.run_until_complete(jp_serverapp.extension_manager.start_all_extensions())
    return jp_serverapp


@pytest.fixture
def tracker(running_server: Any) -> ProgressTracker:
    """The extension's own tracker."""
    return running_server.web_app.settings["headway_tracker"]


@pytest.fixture
def fetch(running_server: Any, jp_fetch: Any) -> Callable[..., Any]:
    """Fetch a path under ``headway/`` and give the answer whatever its status is."""

    async def fetch_(path: str, **options: Any) -> HTTPResponse:
        if options.get("method") == "POST":
            options.setdefault("body", "")
        return await jp_fetch("headway", *path.split("/"), raise_error=False, **options)

    return fetch_


class Viewer:
    """A WebSocket that speaks the protocol."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket = socket

    async def say(self, message: object) -> None:
        text = message if isinstance(message, (str, bytes)) else json.dumps(message)
        await self.socket.write_message(text, binary=isinstance(text, bytes))

    async def subscribe(self, *task_ids: str, **options: Any) -> None:
        await self.say({"type": "subscribe", "task_ids": task_ids, **options})

    async def hear_any(self) -> Any:
        """Give what the next frame says."""
        frame = await asyncio.wait_for(self.socket.read_message(), ANSWER_TIMEOUT_S)
        assert frame is not None, f"the server closed the socket: {self.socket.close_code}"
        return json.loads(frame)

    async def hear(self) -> Any:
        """Give what the next frame says that is no heartbeat."""
        while True:
            message = await self.hear_any()
            if not isinstance(message, dict) or message["type"] != "heartbeat":
                return message

    async def hear_error(self) -> str:
        message = await self.hear()
        assert message["type"] == "error", message
        return message["code"]

    async def hear_seq(self) -> tuple[str, int]:
        message = await self.hear()
        assert message["type"] == "progress.update", message
        assert message["data"]["seq"] == message["seq"]
        return message["task_id"], message["seq"]


@pytest.fixture
def open_viewer(running_server: Any, jp_ws_fetch: Any) -> Callable[[], Any]:
    """``async with open_viewer() as viewer``."""

    @asynccontextmanager
    async def open_(**options: Any) -> AsyncIterator[Viewer]:
        socket = await jp_ws_fetch("headway", "ws", "progress", **options)
        yield Viewer(socket)
        socket.close()

    return open_


class Screen:
    """A viewer that remembers what it was sent, and when; it can be made to stand still."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.messages: list[dict[str, Any]] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def send(self, frame: bytes) -> None:
        self.times.append(time.monotonic())
        message = json.loads(frame)
        self.messages += message if isinstance(message, list) else [message]
        await self.may_go_on.wait()

    def seqs(self, task_id: str) -> list[int]:
        return [
            message["seq"]
            for message in self.messages
            if message.get("task_id") == task_id
            if "seq" in message
        ]

    def heartbeats(self) -> list[bool]:
        """What the heartbeats said of Redis."""
        return [message["is_store_up"] for message in self.messages if message["type"] == "heartbeat"]

    def errors(self) -> list[str]:
        return [message["code"] for message in self.messages if message["type"] == "error"]

    def logged(self, task_id: str) -> list[int]:
        """The ids of all log entries of a task, in the order in which they came."""
        return [
            entry["id"]
            for message in self.messages
            if message["type"] == "log" and message["task_id"] == task_id
            for entry in message["entries"]
        ]


@pytest.fixture
def open_hub(settings: Settings) -> Callable[..., Any]:
    """``async with open_hub() as (hub, store)``; keyword arguments replace settings."""

    @asynccontextmanager
    async def open_(**changes: object) -> AsyncIterator[tuple[Hub, TaskStore]]:
        changed = replace(settings, **changes)
        hub_store, store = TaskStore(changed), TaskStore(changed)
        await store.connect()
        hub = Hub(ProgressTracker(hub_store))
        hub.start()
        try:
            yield hub, store
        finally:
            await asyncio.wait_for(hub.stop(), 5)
            await hub_store.close()
            await store.close()

    return open_
