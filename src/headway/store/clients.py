"""From an address to a client: of one server, of the primary that Sentinel names, or of a cluster.

``redis://``, ``rediss://``, ``unix://``
    One server, as redis-py reads it.
``redis+sentinel://[user:password@]host:port,.../service[/database]``
    The primary of a service. The sentinels' own login is ``?sentinel_username=...&sentinel_password=...``.
``redis+cluster://[user:password@]host:port,...``
    A cluster; one of its nodes will do.

``rediss+sentinel://`` and ``rediss+cluster://`` are the same over TLS. Options follow after ``?`` as redis-py
names them. A client connects when it is used, and again after each loss. It waits no longer than the
time-outs here, and sends nothing twice: whoever holds it decides what is to be done again.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import unquote

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import AskError, ClusterDownError, RedisClusterException, RedisError, ResponseError

from headway.errors import UsageError

Client: TypeAlias = Redis | RedisCluster

#: What redis-py raises when a server is not reached, or refuses.
FAILURES = (RedisError, RedisClusterException, OSError)
# Of one server: long enough for a busy machine, short enough that nobody takes the silence for an answer.
TIMEOUT_S = 2.0
# What a call may take beyond that, because it may have to find its way first.
FINDING_S = 1.0
CALL_TIMEOUT_S = TIMEOUT_S + FINDING_S
# redis-py asks one sentinel after the other: two of three may stand still within the time of a call.
SENTINEL_TIMEOUT_S = 1.0
CLUSTER_PORT = 6_379
SENTINEL_PORT = 26_379
FORMS = (
    "redis://host:port, rediss://host:port, unix:///path, redis+cluster://host:port,host:port or "
    "redis+sentinel://host:port,host:port/service"
)


def open_client(url: str) -> Client:
    """Make the client of a Redis; it connects when it is used.

    Parameters
    ----------
    url
        Its address, as the head of this module tells.

    Raises
    ------
    UsageError
        When the address cannot be understood. The message holds no password.
    """
    try:
        client = _open(url)
    except UsageError:
        raise
    except (ValueError, TypeError, RedisError, RedisClusterException):
        pass  # what redis-py says may hold a part of a password: it is neither told nor chained
    else:
        return client
    raise _unclear(
        url, "check host, port and options, and write '/', '?', '#' and '@' in a password as %2F, ..."
    )


async def close(client: Client) -> None:
    """Close all connections; the next command opens new ones."""
    await client.aclose()
    if isinstance(client, RedisCluster):
        # After a failure it takes itself for closed, which it is not.
        for nodes in ("nodes_cache", "startup_nodes"):
            await client.nodes_manager.aclose(nodes)
    elif isinstance(client.connection_pool, SentinelConnectionPool):
        for sentinel in client.connection_pool.sentinel_manager.sentinels:
            await sentinel.aclose()


async def renew(client: Client) -> None:
    """Make sure that a server answers; a cluster is asked anew who serves what.

    Raises
    ------
    RedisError, RedisClusterException, OSError
        When none does.
    """
    async with asyncio.timeout(call_timeout_s(client)):
        if isinstance(client, RedisCluster):
            await _ask_anew(client)
        else:
            await client.ping()


def call_timeout_s(client: Client) -> float:
    """Return how long a call may take, which depends on the address."""
    pool = client if isinstance(client, RedisCluster) else client.connection_pool
    return float(pool.connection_kwargs["socket_timeout"]) + FINDING_S


def describe(url: str) -> str:
    """Return an address for people to read, without user, password and options."""
    scheme, separator, rest = url.partition("://")
    authority, path = _cut(rest, "/?#")
    if not separator or not re.fullmatch("[a-z+]+", scheme) or (authority and "@" in path):
        return "***"  # a password may hold characters that should have been written as %2F
    return f"{scheme}://{authority.rpartition('@')[2]}{_cut(path, '?#')[0]}"


@asynccontextmanager
async def subscribe(client: Client, channel: str) -> AsyncIterator[PubSub]:
    """Listen to a channel on a connection of its own; what is published from now on is heard.

    Parameters
    ----------
    client
        Where; each node of a cluster hears what is published on another.
    channel
        Its name.

    Raises
    ------
    RedisError, RedisClusterException, OSError
        When the server is not reached, or refuses.
    """
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(call_timeout_s(client)):
            server = client
            if isinstance(client, RedisCluster):
                await client.initialize()
                node = random.choice(client.get_primaries())  # noqa: S311 - spreads the listeners
                server = await stack.enter_async_context(_client_of(node))
            pubsub: PubSub = await stack.enter_async_context(server.pubsub())
            await pubsub.subscribe(channel)
            if await pubsub.get_message(timeout=TIMEOUT_S) is None:
                raise TimeoutError(f"no answer to the subscription of {channel!r}")
        pubsub.ignore_subscribe_messages = True
        yield pubsub


async def run_all(client: Client, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Run commands at once: one round trip to each server, to all servers at the same time.

    Parameters
    ----------
    client
        Where.
    commands
        The words of each, as ``("HGET", key, field)`` or ``("EVALSHA", name, 1, key, argument)``. All keys of
        one command share a hash tag. Commands on one key are run in their order.

    Returns
    -------
    list
        The answers in the order of the commands; in place of one that failed, its exception, be it the
        server's or that of a server that was not reached.
    """
    pipeline: Any = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    answers: list[Any] = []
    try:
        async with asyncio.timeout(call_timeout_s(client)):
            try:
                answers = await pipeline.execute(raise_on_error=False)
            except FAILURES as error:
                answers = [error] * len(commands)
            # Pipelines never do so by themselves.
            if isinstance(client, RedisCluster) and any(map(_is_lost, answers)):
                await _ask_anew(client)
    except FAILURES as error:
        return answers or [error] * len(commands)
    return answers


async def load_script(client: Client, text: str) -> str:
    """Load a script, on a cluster into all primaries, and return its name for ``EVALSHA``.

    A server that is started anew, and a replica that takes over, does not know it: ``EVALSHA`` answers with
    `redis.exceptions.NoScriptError` there.

    Raises
    ------
    RedisError, RedisClusterException, OSError
        When a server is not reached.
    """
    async with asyncio.timeout(call_timeout_s(client)):
        return str(await client.script_load(text))


def _open(url: str) -> Client:
    scheme = url.partition("://")[0]
    if scheme in ("redis", "rediss", "unix"):
        return _checked(Redis.from_url(url, **_time_outs()))
    if scheme in ("redis+cluster", "rediss+cluster"):
        return _open_cluster(url)
    if scheme in ("redis+sentinel", "rediss+sentinel"):
        return _open_sentinel(url)
    raise _unclear(url, "begin with one of these")


def _open_cluster(url: str) -> RedisCluster:
    servers, path, options = _read(url, CLUSTER_PORT)
    if path not in ([], ["0"]) or options.get("db"):
        raise _unclear(url, "leave the database out: a cluster has only one")
    nodes = [ClusterNode(host, port) for host, port in servers]
    client = RedisCluster(startup_nodes=nodes, **(_time_outs() | options))
    _checked(_client_of(next(iter(client.nodes_manager.startup_nodes.values()))))
    return client


def _open_sentinel(url: str) -> Redis:
    servers, path, options = _read(url, SENTINEL_PORT)
    match path:
        case [service]:
            database = 0
        case [service, number] if number.isdecimal():
            database = int(number)
        case _:
            raise _unclear(url, "name the service that the sentinels watch, then the database if it is not 0")
    own = {name: value for name, value in options.items() if not name.startswith("sentinel_")}
    login = {name.removeprefix("sentinel_"): value for name, value in options.items() if name not in own}
    shared = {name: value for name, value in own.items() if name not in ("username", "password", "db")}
    theirs = _time_outs(SENTINEL_TIMEOUT_S) | shared | login
    sentinel = Sentinel(servers, sentinel_kwargs=theirs)  # type: ignore[no-untyped-call]
    _checked(sentinel.sentinels[0])
    client: Redis = sentinel.master_for(service, **(_time_outs() | {"db": database} | own))
    return _checked(client)


def _read(url: str, default_port: int) -> tuple[list[tuple[str, int]], list[str], dict[str, Any]]:
    """Return the servers of an address, the parts of its path, and what connections are made with."""
    scheme, _, rest = url.partition("://")
    authority, path = _cut(rest, "/?#")
    login, at, hosts = authority.rpartition("@")
    path, query = _cut(path, "?#")
    servers: list[tuple[str, int]] = []
    for host in hosts.split(","):
        options: dict[str, Any] = {**parse_url(f"{scheme.partition('+')[0]}://{login}{at}{host}{query}")}
        if "host" not in options:
            raise _unclear(url, "give each server a host")
        servers.append((options.pop("host"), options.pop("port", default_port)))
    options["ssl"] = options.pop("connection_class", None) is SSLConnection
    return servers, [unquote(part) for part in path.split("/") if part], options


def _time_outs(timeout_s: float | None = None) -> dict[str, Any]:
    """Return time-outs, and that nothing is tried again: redis-py by itself would, for seconds."""
    wait_s = timeout_s or TIMEOUT_S
    return {"socket_timeout": wait_s, "socket_connect_timeout": wait_s, "retry": Retry(NoBackoff(), 0)}


def _checked(client: Redis) -> Redis:
    """Make a connection, and do not open it: only then does redis-py look at what it was given."""
    pool: Any = client.connection_pool
    pool.make_connection()
    return client


async def _ask_anew(client: RedisCluster) -> None:
    """Ask a cluster who serves what, at nodes that served before or that the address names."""
    manager = client.nodes_manager
    named = {node.name: node for node in getattr(client, "startup_nodes", ())}  # not before redis-py 8
    manager.startup_nodes = named | manager.startup_nodes
    await client.initialize()
    await manager.initialize()


def _is_lost(answer: object) -> bool:
    """Whether an answer is of a node that was not reached, or that serves the key no more."""
    return isinstance(answer, Exception) and (
        not isinstance(answer, ResponseError) or isinstance(answer, (AskError, ClusterDownError))
    )


def _client_of(node: ClusterNode) -> Redis:
    options = node.connection_kwargs | {"retry": Retry(NoBackoff(), 0)}
    return Redis.from_pool(ConnectionPool(connection_class=node.connection_class, **options))


def _cut(text: str, separators: str) -> tuple[str, str]:
    """Cut a text before the first of some characters."""
    head = re.split(f"[{separators}]", text, maxsplit=1)[0]
    return head, text[len(head) :]


def _unclear(url: str, advice: str) -> UsageError:
    return UsageError(f"expected the URL of a Redis server ({FORMS}), got {describe(url)!r}; {advice}")
