"""Addresses become clients; a cluster and Sentinel are followed wherever they go, within the time-outs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import MasterNotFoundError, SentinelManagedSSLConnection
from redis.crc import key_slot
from redis.exceptions import (
    ConnectionError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from headway.errors import UsageError
from headway.store import clients
from headway.store.clients import (
    CALL_TIMEOUT_S,
    FAILURES,
    FINDING_S,
    SENTINEL_TIMEOUT_S,
    TIMEOUT_S,
    Client,
    call_timeout_s,
    describe,
    load_script,
    open_client,
    run_all,
)
from headway.store.embedded import EmbeddedServer
from tests import redis_servers
from tests.redis_servers import Server

# What a call may take beyond its time-outs on a busy machine.
SLACK_S = 0.5
FAILOVER_DEADLINE_S = 20.0
SECRET = "s3cr3t"
# Writes both keys of a task, and tells where.
SCRIPT = """
redis.call('SET', KEYS[1], ARGV[1])
redis.call('APPEND', KEYS[2], ARGV[1])
redis.call('PUBLISH', 'heard', KEYS[1])
return KEYS[1] .. '=' .. ARGV[1]
"""


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Client]:
    client = open_client(url)
    try:
        yield client
    finally:
        await clients.close(client)


def pools(url: str) -> tuple[Any, list[Any]]:
    """Return the pool of the connections to the primary, and those to the sentinels."""
    pool: Any = open_client(url).connection_pool
    return pool, [sentinel.connection_pool for sentinel in pool.sentinel_manager.sentinels]


def task_keys(number: int) -> tuple[str, str]:
    return f"headway:{{{number}}}:task", f"headway:{{{number}}}:logs"


def evalsha(sha: str, number: int, value: str) -> tuple[Any, ...]:
    return ("EVALSHA", sha, 2, *task_keys(number), value)


async def hear(pubsub: Any) -> bytes:
    async with asyncio.timeout(FAILOVER_DEADLINE_S):
        while not (message := await pubsub.get_message(timeout=TIMEOUT_S)):
            pass
    assert message["type"] == "message"
    return bytes(message["data"])


async def works(call: Callable[[], Awaitable[Any]]) -> bool:
    try:
        answer = await call()
    except FAILURES:
        return False
    return not any(isinstance(one, Exception) for one in (answer if isinstance(answer, list) else [answer]))


async def until_it_works(call: Callable[[], Awaitable[Any]], *, at_most_s: float) -> None:
    """Call again until it works; no call may take longer than given."""
    deadline = time.monotonic() + FAILOVER_DEADLINE_S
    while True:
        began = time.monotonic()
        is_done = await works(call)
        assert time.monotonic() - began < at_most_s
        if is_done:
            return
        assert time.monotonic() < deadline, "it did not work again"
        await asyncio.sleep(0.02)


async def cancel_calls(client: Client) -> None:
    """Cancel calls at any point of theirs; whatever comes after them gets its own answers."""
    names = [f"key-{number}" for number in range(12)]
    for steps in range(100):
        call = asyncio.ensure_future(run_all(client, [("GET", name) for name in names]))
        for _ in range(steps % 50):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        if steps % 20 == 0:
            await clients.close(client)
        writes = [("SET", name, f"{name}-{steps}") for name in names]
        reads = [("GET", name) for name in names]
        answers = await run_all(client, [*writes, *reads])
        assert answers == [True] * 12 + [f"{name}-{steps}".encode() for name in names]


# Addresses


def test_an_address_of_one_server_is_read_as_redis_py_reads_it() -> None:
    client = open_client("rediss://user:p%40ss@host:1/2?client_name=me")
    facts = client.connection_pool.connection_kwargs
    assert (facts["host"], facts["port"], facts["db"], facts["client_name"]) == ("host", 1, 2, "me")
    assert (facts["username"], facts["password"]) == ("user", "p@ss")
    assert client.connection_pool.connection_class is SSLConnection
    assert open_client("unix:///a").connection_pool.connection_class is UnixDomainSocketConnection


def test_an_address_of_a_cluster_names_its_nodes() -> None:
    client = open_client("redis+cluster://user:p%2Fs%40s@a:7000,[::1]:7001,c?client_name=me")
    assert isinstance(client, RedisCluster)
    assert client.nodes_manager.startup_nodes.keys() == {"a:7000", "::1:7001", "c:6379"}
    assert client.connection_kwargs["username"] == "user"
    assert client.connection_kwargs["password"] == "p/s@s"
    assert client.connection_kwargs["client_name"] == "me"
    assert client.connection_kwargs["connection_class"] is Connection
    secure = open_client("rediss+cluster://a/0?ssl_cert_reqs=none")
    assert isinstance(secure, RedisCluster)
    assert secure.connection_kwargs["connection_class"] is SSLConnection
    assert secure.connection_kwargs["ssl_cert_reqs"] == "none"


def test_an_address_of_sentinel_names_the_sentinels_the_service_and_both_logins() -> None:
    pool, sentinels = pools(
        "redis+sentinel://user:pass@a:1,[::1],c:3/my%20service/4?sentinel_username=w&sentinel_password=x%2Fy"
    )
    assert pool.service_name == "my service"
    assert [pool.connection_kwargs[name] for name in ("db", "username", "password")] == [4, "user", "pass"]
    theirs = [sentinel.connection_kwargs for sentinel in sentinels]
    assert [(one["host"], one["port"]) for one in theirs] == [("a", 1), ("::1", 26379), ("c", 3)]
    assert [theirs[0][name] for name in ("db", "username", "password")] == [0, "w", "x/y"]


def test_sentinels_do_not_get_the_servers_login() -> None:
    _, (sentinel,) = pools("redis+sentinel://user:pass@a/service")
    assert (sentinel.connection_kwargs["username"], sentinel.connection_kwargs["password"]) == (None, None)


def test_sentinel_over_tls_is_tls_to_both() -> None:
    pool, (sentinel,) = pools("rediss+sentinel://a/service?ssl_cert_reqs=none")
    assert pool.connection_class is SentinelManagedSSLConnection
    assert sentinel.connection_class is SSLConnection
    assert sentinel.connection_kwargs["ssl_cert_reqs"] == "none"


@pytest.mark.parametrize("url", ["redis://a", "unix:///a", "redis+cluster://a", "redis+sentinel://a/service"])
def test_every_client_gives_up_soon_and_tries_once(url: str) -> None:
    client = open_client(url)
    assert call_timeout_s(client) == CALL_TIMEOUT_S
    if isinstance(client, RedisCluster):
        options, retry = client.connection_kwargs, client.retry
    else:
        options, retry = client.connection_pool.connection_kwargs, client.get_retry()
    assert options["socket_timeout"] == options["socket_connect_timeout"] == TIMEOUT_S
    assert retry is not None
    assert retry._retries == 0


def test_sentinels_are_asked_one_after_the_other_within_the_time_of_a_call() -> None:
    _, sentinels = pools("redis+sentinel://a,b/service")
    for sentinel in sentinels:
        assert sentinel.connection_kwargs["socket_timeout"] == SENTINEL_TIMEOUT_S
        assert sentinel.connection_kwargs["retry"]._retries == 0
    assert 3 * SENTINEL_TIMEOUT_S <= CALL_TIMEOUT_S


@pytest.mark.parametrize("url", ["redis://a", "redis+cluster://a", "redis+sentinel://a/service"])
def test_an_address_may_ask_for_more_patience(url: str) -> None:
    assert call_timeout_s(open_client(url + "?socket_timeout=10")) == 10 + FINDING_S


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("", "begin with one of these"),
        ("localhost:6379", "begin with one of these"),
        ("http://host", "begin with one of these"),
        ("redis://host?no_such_option=1", "check host, port and options"),
        ("redis://host:port", "check host, port and options"),
        ("redis+cluster://host:1,host:2x", "check host, port and options"),
        ("redis+cluster://[::1:1", "check host, port and options"),
        ("redis+cluster://host?no_such_option=1", "check host, port and options"),
        ("redis+cluster://", "give each server a host"),
        ("redis+cluster://a,,b", "give each server a host"),
        ("redis+cluster://:6379", "give each server a host"),
        ("redis+cluster://host/1", "only one"),
        ("redis+cluster://host?db=1", "only one"),
        ("redis+sentinel://host", "name the service"),
        ("redis+sentinel://host/service/first", "name the service"),
        ("redis+sentinel://host/service/0/1", "name the service"),
        ("redis+sentinel:///service", "give each server a host"),
        ("redis+sentinel://host/service?no_such_option=1", "check host, port and options"),
        ("redis+sentinel://host/service?sentinel_no_such_option=1", "check host, port and options"),
    ],
)
def test_an_address_that_is_not_understood_says_what_was_expected(url: str, advice: str) -> None:
    with pytest.raises(UsageError, match=r"expected the URL of a Redis server.*got.*" + advice):
        open_client(url)


@pytest.mark.parametrize(
    ("url", "described"),
    [
        ("redis://user:s3cr3t@host:1/2?password=s3cr3t", "redis://host:1/2"),
        ("redis://s3cr3t@host", "redis://host"),
        ("unix:///run/redis@1.sock?password=s3cr3t", "unix:///run/redis@1.sock"),
        ("unix://user:s3cr3t@/run/redis.sock", "unix:///run/redis.sock"),
        ("redis+cluster://:s3cr3t@[::1]:1,b:2", "redis+cluster://[::1]:1,b:2"),
        ("redis+sentinel://:s3cr3t@a,b/service/1?sentinel_password=s3cr3t", "redis+sentinel://a,b/service/1"),
        ("redis://:s3c/r3t@host", "***"),
        ("redis://:s3c?r3t@host", "***"),
        ("s3cr3t", "***"),
    ],
)
def test_an_address_is_described_without_its_secrets(url: str, described: str) -> None:
    assert describe(url) == described


@given(
    scheme=st.sampled_from(["redis", "unix", "redis+cluster", "redis+sentinel", "http"]),
    around=st.tuples(st.text(max_size=4), st.text(max_size=4)),
    is_quoted=st.booleans(),
    rest=st.sampled_from(["host:6379", "host:port", "a:1,b:2/service", "host/1?no_such_option=1", "[::1"]),
)
def test_no_message_holds_a_password_however_badly_it_was_written(
    scheme: str, around: tuple[str, str], is_quoted: bool, rest: str
) -> None:
    password = SECRET.join(around)
    url = f"{scheme}://user:{quote(password, safe='') if is_quoted else password}@{rest}"
    assert SECRET not in describe(url)
    said = ""
    try:
        open_client(url)
    except UsageError as error:
        said = f"{error!r} {error} {error.__cause__!r} {error.__context__!r}"
    assert SECRET not in said


# One server


async def test_commands_run_at_once_on_one_server_too(redis: Any, server: EmbeddedServer) -> None:
    redis.set("text", "x")
    async with opened(server.url) as client:
        commands = [("SET", "a", "1"), ("HGET", "text", "field"), ("EVALSHA", "0" * 40, 0), ("GET", "a")]
        done, wrong, unknown, value = await run_all(client, commands)
        assert (done, value) == (True, b"1")
        assert isinstance(wrong, ResponseError)
        assert isinstance(unknown, NoScriptError)
        assert await run_all(client, []) == []
        sha = await load_script(client, "return ARGV[1]")
        assert await run_all(client, [("EVALSHA", sha, 0, "said")]) == [b"said"]
        async with clients.subscribe(client, "channel") as pubsub:
            redis.publish("channel", "said")
            assert await hear(pubsub) == b"said"


async def test_a_server_that_is_not_there_is_the_error_of_every_command(tmp_path: Path) -> None:
    async with opened(f"unix://{tmp_path}/missing.sock") as client:
        answers = await run_all(client, [("GET", "a"), ("GET", "b")])
    assert [type(answer) for answer in answers] == [ConnectionError, ConnectionError]


# A cluster


@pytest.fixture
def empty_cluster(cluster: redis_servers.Cluster) -> redis_servers.Cluster:
    """The shared cluster, with no keys, and no scripts that a test has not loaded."""
    for node in cluster.nodes:
        node.ask("FLUSHALL")
        node.ask("SCRIPT", "FLUSH")
    return cluster


async def test_data_of_all_slots_are_written_and_read(empty_cluster: redis_servers.Cluster) -> None:
    async with opened(empty_cluster.url) as client:
        assert await client.ping() is True
        assert len(await client.execute_command("TIME")) == 2
        names = [f"key-{number}" for number in range(300)]
        assert await run_all(client, [("SET", name, name) for name in names]) == [True] * 300
        assert await run_all(client, [("GET", name) for name in names]) == [name.encode() for name in names]
        assert await client.zadd("index", {"a": 1.5, "b": 2.5}) == 2
        found: Any = await client.zrevrangebyscore("index", "+inf", "-inf", start=0, num=9, withscores=True)
        assert [tuple(entry) for entry in found] == [(b"b", 2.5), (b"a", 1.5)]
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await client.hget("index", "field")
    assert all(node.ask("DBSIZE") > 50 for node in empty_cluster.nodes)


async def test_a_script_runs_where_the_keys_of_its_hash_tag_are(empty_cluster: redis_servers.Cluster) -> None:
    async with opened(empty_cluster.url) as client:
        unknown = await run_all(client, [evalsha("0" * 40, number, "x") for number in range(100)])
        assert {type(answer) for answer in unknown} == {NoScriptError}
        sha = await load_script(client, SCRIPT)
        answers = await run_all(client, [evalsha(sha, number, f"v{number}") for number in range(100)])
        assert answers == [f"{task_keys(number)[0]}=v{number}".encode() for number in range(100)]
    assert len({key_slot(task_keys(number)[0].encode()) for number in range(100)}) > 90


async def test_a_server_that_does_not_know_a_script_says_so_in_its_commands_only(
    empty_cluster: redis_servers.Cluster,
) -> None:
    async with opened(empty_cluster.url) as client:
        sha = await load_script(client, SCRIPT)
        forgetful = empty_cluster.primary_of(task_keys(0)[0])
        forgetful.ask("SCRIPT", "FLUSH")
        answers = await run_all(client, [evalsha(sha, number, "x") for number in range(30)])
    for number, answer in enumerate(answers):
        is_there = empty_cluster.primary_of(task_keys(number)[0]) is forgetful
        assert isinstance(answer, NoScriptError) is is_there


async def test_commands_on_one_key_keep_their_order_and_errors_their_place(
    empty_cluster: redis_servers.Cluster,
) -> None:
    async with opened(empty_cluster.url) as client:
        commands = [("RPUSH", f"list-{number % 7}", number) for number in range(70)]
        answers = await run_all(client, [*commands, ("GET", "list-3"), ("LRANGE", "list-3", 0, -1)])
    assert answers[:70] == [1 + number // 7 for number in range(70)]
    assert isinstance(answers[70], ResponseError)
    assert answers[71] == [str(number).encode() for number in range(3, 70, 7)]


async def test_a_slot_that_moved_is_followed_in_the_same_call(empty_cluster: redis_servers.Cluster) -> None:
    key = "moving"
    old = empty_cluster.primary_of(key)
    new = next(node for node in empty_cluster.nodes if node is not old)
    async with opened(empty_cluster.url) as client:
        assert await client.set("other", "1")  # now it knows who serves what
        empty_cluster.move_slot(key, old, new)
        try:
            assert await run_all(client, [("SET", key, "1"), ("GET", "other"), ("GET", key)]) == [
                True,
                b"1",
                b"1",
            ]
            assert await client.get(key) == b"1"
            assert new.ask("GET", key) == "1"
            assert await client.delete(key) == 1
        finally:
            empty_cluster.move_slot(key, new, old)
        assert await client.set(key, "2")
    assert old.ask("GET", key) == "2"


async def test_a_slot_that_is_on_its_way_is_asked_for_at_both_ends(
    empty_cluster: redis_servers.Cluster,
) -> None:
    old = empty_cluster.primary_of("{tag}there")
    new = next(node for node in empty_cluster.nodes if node is not old)
    async with opened(empty_cluster.url) as client:
        assert await client.set("{tag}there", "1")
        with empty_cluster.migrating("{tag}", old, new):
            commands = [("SET", "{tag}new", "2"), ("GET", "{tag}there"), ("GET", "{tag}new")]
            assert await run_all(client, commands) == [True, b"1", b"2"]
            assert await client.delete("{tag}new") == 1


async def test_what_is_published_on_any_node_is_heard(empty_cluster: redis_servers.Cluster) -> None:
    async with opened(empty_cluster.url) as client:
        sha = await load_script(client, SCRIPT)
        for number in range(0, 90, 30):  # any node is listened to
            numbers = range(number, number + 30)
            awaited = {task_keys(number)[0].encode() for number in numbers}
            async with clients.subscribe(client, "heard") as pubsub:
                await run_all(client, [evalsha(sha, number, "x") for number in numbers])
                while awaited:
                    awaited.discard(await hear(pubsub))


async def test_one_node_that_is_up_is_enough_to_find_the_others(empty_cluster: redis_servers.Cluster) -> None:
    up = empty_cluster.nodes[1].address
    async with opened(f"redis+cluster://127.0.0.1:1,{up},127.0.0.1:2") as client:
        assert await run_all(client, [("SET", f"key-{number}", "x") for number in range(30)]) == [True] * 30
        async with clients.subscribe(client, "heard"):
            pass


async def test_a_client_that_was_closed_opens_again(empty_cluster: redis_servers.Cluster) -> None:
    async with opened(empty_cluster.url) as client:
        assert await client.set("key", "1")
        await clients.close(client)
        assert await client.get("key") == b"1"


async def test_a_call_to_a_cluster_that_is_cancelled_spoils_no_other(
    empty_cluster: redis_servers.Cluster,
) -> None:
    async with opened(empty_cluster.url) as client:
        await cancel_calls(client)


async def test_a_cluster_that_stands_still_is_an_error_in_time_and_works_again(
    empty_cluster: redis_servers.Cluster,
) -> None:
    url = empty_cluster.url
    async with opened(url) as client, opened(url) as another, opened(url) as third:
        assert await client.set("key", "1")
        assert await third.get("key") == b"1"
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: run_all(client, [("GET", "key")]),
            lambda: run_all(client, [("GET", "key")]),  # now it has to find its way first
            lambda: run_all(another, [("GET", f"key-{number}") for number in range(30)]),
            lambda: clients.renew(another),
            lambda: load_script(third, SCRIPT),
            lambda: clients.subscribe(another, "heard").__aenter__(),
        ]
        for node in empty_cluster.nodes:
            node.pause()
        try:
            for which in (calls[:1], calls[1:]):
                began = time.monotonic()
                assert await asyncio.gather(*map(works, which)) == [False] * len(which)
                assert time.monotonic() - began < CALL_TIMEOUT_S + SLACK_S
        finally:
            for node in empty_cluster.nodes:
                node.resume()
        await until_it_works(lambda: client.get("key"), at_most_s=CALL_TIMEOUT_S + SLACK_S)
    await asyncio.to_thread(empty_cluster.wait_until_ok)


async def test_a_server_that_is_in_no_cluster_is_an_error_that_says_so(tmp_path: Path) -> None:
    with Server(tmp_path / "alone") as alone:
        async with opened(f"redis+cluster://{alone.address}") as client:
            with pytest.raises(RedisClusterException, match="Cluster mode is not enabled"):
                await clients.renew(client)
            (answer,) = await run_all(client, [("GET", "key")])
            assert "Cluster mode is not enabled" in str(answer)


async def test_a_primary_that_is_killed_is_replaced_by_its_replica(tmp_path: Path) -> None:
    with redis_servers.start_cluster(tmp_path, replicas=1) as cluster:
        commands = [("SET", f"key-{number}", "x") for number in range(30)]
        killed = cluster.primary_of("key-0")
        lost = {command[1] for command in commands if cluster.primary_of(command[1]) is killed}
        async with opened(f"redis+cluster://{killed.address}") as client:
            assert await run_all(client, commands) == [True] * 30
            killed.kill()  # the only node that was named
            answers = await run_all(client, commands)
            for command, answer in zip(commands, answers, strict=True):
                assert command[1] not in lost or isinstance(answer, Exception)
            await until_it_works(lambda: run_all(client, commands), at_most_s=CALL_TIMEOUT_S + SLACK_S)
            assert await run_all(client, [("GET", name) for name in lost]) == [b"x"] * len(lost)
            async with clients.subscribe(client, "heard"):
                pass


async def test_a_cluster_whose_nodes_are_all_new_is_found_where_its_address_says(
    empty_cluster: redis_servers.Cluster,
) -> None:
    async with opened(empty_cluster.url) as client:
        assert isinstance(client, RedisCluster)
        await clients.renew(client)
        client.nodes_manager.startup_nodes = {"gone": ClusterNode("127.0.0.1", 1, retry=None)}
        await clients.renew(client)
        assert await run_all(client, [("SET", "key", "1"), ("GET", "key")]) == [True, b"1"]


# Sentinel


async def test_the_primary_that_sentinel_names_is_followed(tmp_path: Path) -> None:
    with redis_servers.start_sentinel(tmp_path) as service:
        async with opened(service.url) as client:
            await cancel_calls(client)
            assert await client.set("before", "1")
            assert await run_all(client, [("WAIT", 1, 1_000)]) != [0]
            async with clients.subscribe(client, "heard") as pubsub:
                killed = service.kill_primary()
                with pytest.raises((RedisError, OSError)):
                    while True:
                        await pubsub.get_message(timeout=TIMEOUT_S)
            await until_it_works(lambda: client.set("after", "2"), at_most_s=TIMEOUT_S + SLACK_S)
            new = await asyncio.to_thread(service.wait_for_failover, killed)
            assert await run_all(client, [("GET", "before"), ("GET", "after")]) == [b"1", b"2"]
            assert new.ask("GET", "after") == "2"
            async with clients.subscribe(client, "heard") as pubsub:
                new.ask("PUBLISH", "heard", "again")
                assert await hear(pubsub) == b"again"

        async with opened(service.url.replace(redis_servers.SERVICE, "unknown")) as client:
            with pytest.raises(MasterNotFoundError, match="'unknown'"):
                await client.get("after")

        for standing in service.sentinels[:2]:  # two of three stand still
            standing.pause()
        async with opened(service.url) as client:
            await clients.renew(client)
            assert await client.get("after") == b"2"
        service.sentinels[2].pause()
        async with opened(service.url) as client:
            began = time.monotonic()
            assert not await works(lambda: run_all(client, [("GET", "after")]))
            assert time.monotonic() - began < CALL_TIMEOUT_S + SLACK_S


async def test_sentinels_and_servers_have_logins_of_their_own(tmp_path: Path) -> None:
    with Server(tmp_path / "server", 'save ""', password="p@ss/word") as server:
        watch = [
            f"sentinel monitor service 127.0.0.1 {server.port} 1",
            "sentinel auth-pass service p@ss/word",
        ]
        with Server(tmp_path / "sentinel", *watch, password="watch:word", is_sentinel=True) as sentinel:
            login = f"?sentinel_password={quote('watch:word', safe='')}"
            url = f"redis+sentinel://:{quote('p@ss/word', safe='')}@{sentinel.address}/service"
            async with opened(url + login) as client:
                await until_it_works(lambda: client.set("key", "1"), at_most_s=TIMEOUT_S + SLACK_S)
            async with opened(url) as client:
                with pytest.raises(MasterNotFoundError, match="Authentication"):
                    await client.get("key")
