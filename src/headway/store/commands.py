"""Commands and scripts on whatever Redis there is: one server, Sentinel's primary, or a cluster.

Redis away, slow or refusing is one error here, `StoreUnavailableError`, raised within the client's time-outs.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from headway.errors import StoreUnavailableError
from headway.store import clients

#: Keys and arguments of one call of a script.
Call = tuple[Sequence[str], Sequence[Any]]


class Script:
    """A Lua script of this folder, by its file's name."""

    def __init__(self, name: str) -> None:
        self.text = (files("headway.store") / name).read_text()
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def command(self, call: Call) -> tuple[Any, ...]:
        """Return the command that makes a call."""
        names, arguments = call
        return ("EVALSHA", self.sha, len(names), *names, *arguments)


class Commands:
    """The way to one Redis; it connects by itself, again after each loss.

    Parameters
    ----------
    url
        As `headway.store.clients.open_client` reads it.
    """

    def __init__(self, url: str) -> None:
        self._client = clients.open_client(url)

    async def connect(self) -> None:
        """Make sure that a server answers; a cluster is asked anew who serves what.

        Raises
        ------
        StoreUnavailableError
            When none does.
        """
        with unavailable():
            await clients.renew(self._client)

    async def close(self) -> None:
        """Close the connections."""
        await clients.close(self._client)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Any]:
        """Lend redis-py's client for single commands; the block may take as long as one call.

        Raises
        ------
        StoreUnavailableError
            When Redis does not answer in time, or refuses.
        """
        with unavailable():
            async with asyncio.timeout(clients.call_timeout_s(self._client)):
                yield self._client

    async def run(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run some commands, each on keys of one slot, in one round trip a server, in this order there.

        Raises
        ------
        StoreUnavailableError
            When one of them fails; the others may have been run.
        """
        with unavailable():
            return _checked(await clients.run_all(self._client, commands))

    async def call(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """Call a script several times, as `run` does; a server that does not know it yet is told."""
        with unavailable():
            results = await clients.run_all(self._client, [script.command(call) for call in calls])
            unknown = [i for i, result in enumerate(results) if isinstance(result, NoScriptError)]
            if unknown:
                await clients.load_script(self._client, script.text)
                again = await clients.run_all(self._client, [script.command(calls[i]) for i in unknown])
                for i, result in zip(unknown, again, strict=True):
                    results[i] = result
            return _checked(results)

    @asynccontextmanager
    async def hints(self, channel: str) -> AsyncIterator[AsyncIterator[list[str]]]:
        """Listen to a channel of names that are separated by spaces.

        A hint can be lost with the connection, so re-read what matters after each start.

        Raises
        ------
        StoreUnavailableError
            Here or from the iteration, when Redis does not answer or the connection is lost.
        """
        async with self._subscribe(channel) as pubsub:
            yield _hints(pubsub)

    @asynccontextmanager
    async def _subscribe(self, channel: str) -> AsyncIterator[Any]:
        with unavailable():
            subscription = clients.subscribe(self._client, channel)
            pubsub = await subscription.__aenter__()
        try:
            yield pubsub
        finally:
            with unavailable():
                await subscription.__aexit__(None, None, None)


async def _hints(pubsub: Any) -> AsyncIterator[list[str]]:
    is_asked = False
    while True:
        with unavailable():
            message = await pubsub.get_message(timeout=clients.TIMEOUT_S)
            if message is None and is_asked:
                raise TimeoutError("no answer to a ping")  # a lost connection can look like a quiet one
            is_asked = message is None
            if is_asked:
                await pubsub.ping()
        if message is not None and message["type"] == "message":
            yield message["data"].decode(errors="replace").split()


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn what redis-py raises into the one error of the store."""
    try:
        yield
    except clients.FAILURES as error:
        raise _told(error) from error


def _checked(results: list[Any]) -> list[Any]:
    for result in results:
        if isinstance(result, Exception):  # whatever it is: redis-py's pipelines catch their own faults too
            raise _told(result) from result
    return results


def _told(error: Exception) -> StoreUnavailableError:
    return StoreUnavailableError(f"Redis does not answer: {type(error).__name__}: {error}")
