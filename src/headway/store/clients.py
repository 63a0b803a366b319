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

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from headway.errors import UsageError
from headway.store.cluster import Cluster
from headway.store.discovery import Address, SentinelPool, Sentinels, client_at

Client: TypeAlias = Redis | Cluster

# Of one server: long enough for a busy machine, short enough that nobody takes the silence for an answer.
TIMEOUT_S = 2.0
# Of a call to a cluster in all, which may have to find its way first.
CALL_TIMEOUT_S = 3.0
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
        _check(client)
    except UsageError:
        raise
    except (ValueError, TypeError, RedisError):
        pass  # what redis-py says may hold a part of a password: it is neither told nor chained
    else:
        return client
    raise _unclear(
        url, "check host, port and options, and write '/', '?', '#' and '@' in a password as %2F, ..."
    )


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
    RedisError, OSError
        When the server is not reached, or refuses.
    """
    server = await client.listener() if isinstance(client, Cluster) else client
    async with server.pubsub() as pubsub:
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
    if isinstance(client, Cluster):
        return await client.run_all(commands)
    pipeline: Any = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    try:
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
    except (RedisError, OSError) as error:
        return [error] * len(commands)
    return answers


async def load_script(client: Client, text: str) -> str:
    """Load a script, on a cluster into all primaries that are up, and return its name for ``EVALSHA``.

    A server that is started anew, and a replica that takes over, does not know it: ``EVALSHA`` answers with
    `redis.exceptions.NoScriptError` there.

    Raises
    ------
    RedisError, OSError
        When no server is reached.
    """
    return str(await client.script_load(text))


class _Address(NamedTuple):
    """An address of several servers.

    Parameters
    ----------
    servers
        Where they are.
    path
        The parts of what follows after the servers.
    options
        What connections are made with, as redis-py names it.
    """

    servers: list[Address]
    path: list[str]
    options: dict[str, Any]


def _open(url: str) -> Client:
    scheme = url.partition("://")[0]
    if scheme in ("redis", "rediss", "unix"):
        return Redis.from_url(url, **_time_outs())
    if scheme in ("redis+cluster", "rediss+cluster"):
        return _open_cluster(url)
    if scheme in ("redis+sentinel", "rediss+sentinel"):
        return _open_sentinel(url)
    raise _unclear(url, "begin with one of these")


def _open_cluster(url: str) -> Cluster:
    address = _read(url, CLUSTER_PORT)
    if address.path not in ([], ["0"]) or address.options.get("db"):
        raise _unclear(url, "leave the database out: a cluster has only one")
    return Cluster(address.servers, _time_outs() | address.options, timeout_s=CALL_TIMEOUT_S)


def _open_sentinel(url: str) -> Redis:
    address = _read(url, SENTINEL_PORT)
    match address.path:
        case [service]:
            database = 0
        case [service, number] if number.isdecimal():
            database = int(number)
        case _:
            raise _unclear(url, "name the service that the sentinels watch, then the database if it is not 0")
    own = {name: value for name, value in address.options.items() if not name.startswith("sentinel_")}
    login = {
        name.removeprefix("sentinel_"): value for name, value in address.options.items() if name not in own
    }
    shared = {name: value for name, value in own.items() if name not in ("username", "password")}
    sentinels = Sentinels(address.servers, _time_outs() | shared | login, timeout_s=TIMEOUT_S)
    _check(client_at(address.servers[0], sentinels.options))
    is_tls = own.pop("connection_class", None) is SSLConnection
    options = _time_outs() | {"db": database, "ssl": is_tls} | own
    return Redis.from_pool(SentinelPool(service, sentinels, **options))  # type: ignore[no-untyped-call]


def _read(url: str, default_port: int) -> _Address:
    scheme, _, rest = url.partition("://")
    authority, path = _cut(rest, "/?#")
    login, at, hosts = authority.rpartition("@")
    path, query = _cut(path, "?#")
    servers: list[Address] = []
    for host in hosts.split(","):
        options: dict[str, Any] = {**parse_url(f"{scheme.partition('+')[0]}://{login}{at}{host}{query}")}
        if "host" not in options:
            raise _unclear(url, "give each server a host")
        servers.append((options.pop("host"), options.pop("port", default_port)))
    return _Address(servers, [unquote(part) for part in path.split("/") if part], options)


def _time_outs() -> dict[str, Any]:
    """Return time-outs, and that nothing is tried again: redis-py by itself would, for seconds."""
    return {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
    }


def _check(client: Client) -> None:
    """Make a connection, and do not open it: only then does redis-py look at what it was given."""
    one = client_at(next(iter(client.named)), client.options) if isinstance(client, Cluster) else client
    pool: Any = one.connection_pool
    pool.make_connection()


def _cut(text: str, separators: str) -> tuple[str, str]:
    """Cut a text before the first of some characters."""
    head = re.split(f"[{separators}]", text, maxsplit=1)[0]
    return head, text[len(head) :]


def _unclear(url: str, advice: str) -> UsageError:
    return UsageError(f"expected the URL of a Redis server ({FORMS}), got {describe(url)!r}; {advice}")
