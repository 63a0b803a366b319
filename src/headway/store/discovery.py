"""Who serves: several servers are asked at once, and the first good answer counts.

redis-py asks one after the other and waits for each one's time-out: a cluster whose five nodes stood still
took it ten seconds (seen with 8.1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.sentinel import MasterNotFoundError, SentinelConnectionPool
from redis.exceptions import RedisError

#: Host and port.
Address = tuple[str, int]
Answer = TypeVar("Answer")


def client_at(address: Address, options: Mapping[str, Any]) -> Redis:
    """Make a client of one server; it connects when it is used.

    Parameters
    ----------
    address
        Where the server is.
    options
        What its connections are made with, as redis-py names it.
    """
    host, port = address
    return Redis.from_pool(ConnectionPool(host=host, port=port, **options))


async def first_answer(questions: Sequence[Coroutine[Any, Any, Answer]]) -> Answer:
    """Wait for the first answer that is no error, and cancel the other questions.

    Parameters
    ----------
    questions
        At least one.

    Raises
    ------
    RedisError, OSError
        Where all failed: what the last one did.
    """
    asked = [asyncio.ensure_future(question) for question in questions]
    failed: Exception | None = None
    try:
        for answer in asyncio.as_completed(asked):
            try:
                return await answer
            except (RedisError, OSError) as error:
                failed = error
    finally:
        for question in asked:
            question.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    assert failed is not None, "nobody was asked"
    raise failed


class Sentinels:
    """The sentinels of a service, as redis-py's `SentinelConnectionPool` asks them.

    Parameters
    ----------
    addresses
        Where they are.
    options
        What the connections to them are made with.
    timeout_s
        How long they may take to answer, all together.
    """

    def __init__(self, addresses: Sequence[Address], options: Mapping[str, Any], *, timeout_s: float) -> None:
        self.addresses = addresses
        self.options = options
        self.timeout_s = timeout_s
        self._clients = [client_at(address, options) for address in addresses]

    async def discover_master(self, service: str) -> Address:
        """Ask where the primary is; redis-py does so before it opens a connection.

        Raises
        ------
        MasterNotFoundError
            When no sentinel answers, or none that does knows of a primary that is up.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                return await first_answer([_ask(sentinel, service) for sentinel in self._clients])
        except (RedisError, OSError) as error:
            raise MasterNotFoundError(
                f"no sentinel names a primary of {service!r} that is up: {type(error).__name__}: {error}"
            ) from error

    async def aclose(self) -> None:
        """Close the connections to them."""
        await asyncio.gather(*(sentinel.aclose() for sentinel in self._clients), return_exceptions=True)


class SentinelPool(SentinelConnectionPool):
    """Connections to a service's primary, which closes those to its sentinels too."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Close all connections, or only those that are not in use, as redis-py does on a fail-over."""
        await super().disconnect(inuse_connections)
        if inuse_connections:
            await self.sentinel_manager.aclose()


async def _ask(sentinel: Any, service: str) -> Address:
    # In words of its own, so that redis-py gives the answer as it is: its `sentinel_master` fails in 6.4.
    answer = await sentinel.execute_command("SENTINEL", "MASTER", service)
    pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
    facts = {name.decode(): value.decode() for name, value in pairs}
    if {"s_down", "o_down"} & set(facts["flags"].split(",")):
        raise MasterNotFoundError(f"the primary at {facts['ip']}:{facts['port']} is down")
    return facts["ip"], int(facts["port"])
