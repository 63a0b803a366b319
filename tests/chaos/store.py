"""The store that faults happen to: the embedded Valkey, looked at from outside."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from headway.store import keys
from headway.store.embedded import EmbeddedServer
from tests.chaos.checker import State

TIMEOUT_S = 2.0
# It writes to the disk once a second.
UNWRITTEN_TIMEOUT_S = 1.5
UNWRITTEN_POLL_S = 0.001

_decode = msgspec.json.Decoder(State).decode


class Store:
    """The embedded Valkey, as a plain client sees it: no code of Headway's reads or repairs here.

    The client is the synchronous one, on threads: redis-py's asyncio client can swallow a cancellation.

    Parameters
    ----------
    folder
        Its data folder.

    Attributes
    ----------
    unwritten_kills
        How often it was killed when it had not written all that it had acknowledged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.unwritten_kills = 0
        self._server = EmbeddedServer(folder)
        self._client = Redis(
            unix_socket_path=str(self._server.socket_path),
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )

    async def start(self) -> None:
        """Start it, once; after a fault whoever needs it does."""
        await asyncio.to_thread(self._server.ensure)

    async def answers(self) -> bool:
        return await asyncio.to_thread(self._process_id) is not None

    async def kill(self) -> None:
        """End it at once, at any moment."""
        process_id = await asyncio.to_thread(self._process_id)
        if process_id is not None:
            _send(process_id, signal.SIGKILL)

    async def kill_unwritten(self) -> None:
        """End it at once, if possible in a moment when it holds back what it has acknowledged.

        While the disk is busy with what was written before, which is some milliseconds of each second, it has
        not even told the operating system.
        """
        await asyncio.to_thread(self._kill_unwritten)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Stop it for the length of the block, if it is there."""
        process_id = await asyncio.to_thread(self._process_id)
        try:
            if process_id is not None:
                _send(process_id, signal.SIGSTOP)
            yield
        finally:
            if process_id is not None:
                _send(process_id, signal.SIGCONT)

    async def cut(self, kind: str) -> None:
        """End all connections of a kind, ``"normal"`` or ``"pubsub"``."""
        with suppress(RedisError, OSError):
            await asyncio.to_thread(self._client.execute_command, "CLIENT", "KILL", "TYPE", kind)

    async def read(self, task_ids: Sequence[str]) -> dict[str, State] | None:
        """Read tasks, from the JSON that their workers wrote; ``None`` while it does not answer."""
        try:
            rows = await asyncio.to_thread(self._read, task_ids)
        except (RedisError, OSError):
            return None
        return {task_id: _decode(row) for task_id, row in zip(task_ids, rows, strict=True) if row is not None}

    async def release(self) -> None:
        """Give up the share in it; it ends when nobody else has one."""
        await asyncio.to_thread(self._server.release)

    def close(self) -> None:
        """Close the connections, and end every process that was started on the folder."""
        self._client.close()
        for process_id in processes_of(self.folder):
            _send(process_id, signal.SIGKILL)

    def _process_id(self) -> int | None:
        """Return its process; ``None`` while it does not answer."""
        try:
            return int(self._client.info("server")["process_id"])
        except (RedisError, OSError):
            return None

    def _kill_unwritten(self) -> None:
        deadline = time.monotonic() + UNWRITTEN_TIMEOUT_S
        try:
            process_id = int(self._client.info("server")["process_id"])
            while time.monotonic() < deadline:
                facts = self._client.info("persistence")
                if facts.get("aof_pending_bio_fsync") and facts.get("aof_buffer_length"):
                    self.unwritten_kills += 1
                    break
                time.sleep(UNWRITTEN_POLL_S)
        except (RedisError, OSError):
            return  # it ends, or pauses, for another reason
        _send(process_id, signal.SIGKILL)

    def _read(self, task_ids: Sequence[str]) -> list[bytes | None]:
        with self._client.pipeline(transaction=False) as pipeline:
            for task_id in task_ids:
                pipeline.hget(keys.task(task_id), "data")
            rows: list[bytes | None] = pipeline.execute()
        return rows


def _send(process_id: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process_id, number)


def processes_of(folder: Path) -> list[int]:
    """Find the processes that name a folder in their command line."""
    name, found = os.fsencode(folder), []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if name in (entry / "cmdline").read_bytes() and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found
