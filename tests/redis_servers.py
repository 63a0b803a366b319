"""Real servers on loopback for the tests: a Redis Cluster, and a primary that Sentinel watches.

The program is ``REDIS_SERVER`` of the environment, else ``redis-server`` on PATH, else the Valkey that
Headway carries. Everything lies in a folder that the caller gives. No server outlives the test process,
however that ends.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from headway.store.embedded import find_binary

HOST = "127.0.0.1"
SLOTS = 16_384
# A server's port, and that of its cluster bus, lie below the range that the kernel gives to clients.
PORTS = range(10_000, 22_000)
BUS_OFFSET = 10_000
# Small, so that a fail-over is quick; large enough for a busy machine with two cores.
NODE_TIMEOUT_MS = 1_500
DOWN_AFTER_MS = 1_000
FAILOVER_TIMEOUT_MS = 3_000
SENTINELS = 3
SERVICE = "headway-primary"
# A replica is a node of its cluster only once it has got something, be it a ping: by default after 10 s.
PERSISTENCE_AND_REPLICATION = ('save ""', "repl-diskless-sync-delay 0", "repl-ping-replica-period 1")
EPOCH = "cluster_current_epoch"
DEADLINE_S = 30.0
POLL_S = 0.02

# The shell keeps the server as long as its own input is open: the kernel closes that when the test process
# ends, however it ends.
KEEPER = 'exec 2>/dev/null; "$@" </dev/null >/dev/null & echo $!; read -r _; kill -9 $!; wait'


def program() -> str:
    """Return the program that the tests start."""
    return os.environ.get("REDIS_SERVER") or shutil.which("redis-server") or str(find_binary())


class Server:
    """One server on a free port of loopback; it runs until the end of the ``with`` block.

    Parameters
    ----------
    folder
        Where its configuration, its log and its data lie; made here.
    options
        Lines of its configuration beside those that all servers have.
    password
        What it is to ask for.
    is_sentinel
        Whether it is to be a sentinel.
    """

    def __init__(
        self, folder: Path, *options: str, password: str | None = None, is_sentinel: bool = False
    ) -> None:
        self.folder = folder
        self._password = password
        self._options = options
        self._is_sentinel = is_sentinel

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        for _ in range(10):
            self._start(_free_port())
            with ExitStack() as stack:
                stack.push(self)
                if self._has_started():
                    stack.pop_all()
                    return self
            # Somebody took the port in between.
        raise AssertionError(f"no server starts in {self.folder}: {self.log()}")

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.kill()

    def _start(self, port: int) -> None:
        lines = [
            f"port {port}",
            f"bind {HOST}",
            "protected-mode no",
            "daemonize no",
            f'dir "{self.folder}"',
            f'logfile "{self.folder}/server.log"',
            *([f'requirepass "{self._password}"'] if self._password else []),
            *self._options,
        ]
        (self.folder / "server.log").unlink(missing_ok=True)
        config = self.folder / "server.conf"
        config.write_text("\n".join(lines) + "\n")
        command = [program(), str(config), *(["--sentinel"] if self._is_sentinel else [])]
        self._keeper = subprocess.Popen(
            ["sh", "-c", KEEPER, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl+C is for the tests, which end the servers
        )
        assert self._keeper.stdout is not None
        self.port, self.pid = port, int(self._keeper.stdout.readline())
        self.client: Redis = Redis(
            host=HOST,
            port=port,
            password=self._password,
            socket_timeout=2,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )

    def _has_started(self) -> bool:
        wait_until(lambda: self.is_up() or "Failed listening" in self.log(), f"start in {self.folder}")
        return self.is_up()

    @property
    def address(self) -> str:
        """Where it listens: ``host:port``."""
        return f"{HOST}:{self.port}"

    def log(self) -> str:
        """Return the end of its log."""
        path = self.folder / "server.log"
        return path.read_text(errors="replace")[-2_000:] if path.exists() else ""

    def is_up(self) -> bool:
        """Whether it answers, and is ours."""
        with suppress(RedisError):
            return bool(self.client.info("server")["process_id"] == self.pid)
        return False

    def ask(self, *command: object) -> Any:
        """Send a command, its words apart, and return the answer as the server gave it."""
        return self.client.execute_command(*command)

    def kill(self) -> None:
        """Kill it as a crash does, and wait until it is gone."""
        self._keeper.communicate()  # closes the keeper's input

    def pause(self) -> None:
        """Let it stand still: it takes connections, and answers nobody."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        os.kill(self.pid, signal.SIGCONT)


class Cluster:
    """A Redis Cluster whose first servers were made primaries, with the slots in equal parts."""

    def __init__(self, nodes: list[Server]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """Its address as Headway reads it, with all nodes."""
        return "redis+cluster://" + ",".join(node.address for node in self.nodes)

    def port_of(self, slot: int, asked: Server) -> int:
        """Return the port of a slot's primary, as one of the nodes sees it."""
        rows = asked.ask("CLUSTER", "SLOTS")
        return next(int(primary[1]) for first, last, primary, *_ in rows if first <= slot <= last)

    def primary_of(self, key: str) -> Server:
        """Return the server that serves a key."""
        asked = next(node for node in self.nodes if node.is_up())
        port = self.port_of(asked.ask("CLUSTER", "KEYSLOT", key), asked)
        return next(node for node in self.nodes if node.port == port)

    def wait_until_ok(self) -> None:
        """Wait until every node that is up serves all slots."""
        wait_until(
            lambda: all(_cluster_info(node)["cluster_state"] == "ok" for node in self.nodes if node.is_up()),
            "cluster_state:ok",
        )

    def move_slot(self, key: str, old: Server, new: Server) -> None:
        """Give the slot of a key, in which there are none, from one primary to another."""
        slot = new.ask("CLUSTER", "KEYSLOT", key)
        name = new.ask("CLUSTER", "MYID")
        # The new owner's claim is of a newer epoch only if the slot was on its way to it. All others hear of
        # it, and of the epoch, before there is another.
        with self.migrating(key, old, new):
            for node in (new, old):
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", name)
        wait_until(lambda: {self.port_of(slot, node) for node in self.nodes} == {new.port}, "a common view")
        wait_until(lambda: len({_cluster_info(node)[EPOCH] for node in self.nodes}) == 1, "a common epoch")

    @contextmanager
    def migrating(self, key: str, old: Server, new: Server) -> Iterator[None]:
        """Leave the slot of a key on its way from one primary to another."""
        slot = new.ask("CLUSTER", "KEYSLOT", key)
        new.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", old.ask("CLUSTER", "MYID"))
        old.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", new.ask("CLUSTER", "MYID"))
        try:
            yield
        finally:
            for node in (old, new):
                node.ask("CLUSTER", "SETSLOT", slot, "STABLE")


@contextmanager
def start_cluster(folder: Path, *, primaries: int = 3, replicas: int = 0) -> Iterator[Cluster]:
    """Run a cluster until the end of the ``with`` block.

    Parameters
    ----------
    folder
        Where the servers' folders are made.
    primaries
        How many primaries there are.
    replicas
        How many replicas each of them has.
    """
    options = [
        *PERSISTENCE_AND_REPLICATION,
        "cluster-enabled yes",
        f"cluster-node-timeout {NODE_TIMEOUT_MS}",
        "cluster-replica-validity-factor 0",
    ]
    with ExitStack() as stack:
        count = primaries * (1 + replicas)
        nodes = _start_all(stack, [Server(folder / f"node-{number}", *options) for number in range(count)])
        cluster = Cluster(nodes)
        for number, node in enumerate(nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < primaries:
                first, end = (SLOTS * edge // primaries for edge in (number, number + 1))
                node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            if number:
                node.ask("CLUSTER", "MEET", HOST, nodes[0].port)
        wait_until(
            lambda: {_cluster_info(node)["cluster_known_nodes"] for node in nodes} == {str(count)}, "meeting"
        )
        for number, node in enumerate(nodes[primaries:]):
            node.ask("CLUSTER", "REPLICATE", nodes[number % primaries].ask("CLUSTER", "MYID"))
        wait_until(lambda: all(_is_linked(node) for node in nodes[primaries:]), "replication")
        cluster.wait_until_ok()
        wait_until(
            lambda: all(
                _count(node.ask("CLUSTER", "SLOTS")) == (SLOTS, primaries * replicas) for node in nodes
            ),
            "a common view",
        )
        yield cluster


class SentinelService:
    """A primary and its replicas, and the sentinels that watch them."""

    def __init__(self, servers: list[Server], sentinels: list[Server]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        """Its address as Headway reads it."""
        return f"redis+sentinel://{','.join(node.address for node in self.sentinels)}/{SERVICE}"

    @property
    def primary(self) -> Server:
        """The server that the first sentinel which is up takes for the primary."""
        sentinel = next(node for node in self.sentinels if node.is_up())
        _, port = sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(server for server in self.servers if server.port == int(port))

    def kill_primary(self) -> Server:
        """Kill the primary as a crash does, and return it."""
        killed = self.primary
        killed.kill()
        return killed

    def wait_for_failover(self, old: Server) -> Server:
        """Wait until another server than the old one is the primary and takes writes; return it."""

        def new() -> Server | None:
            found = self.primary
            return found if found is not old and found.client.role()[0] == "master" else None

        found: Server = wait_until(new, "a new primary")
        return found


@contextmanager
def start_sentinel(folder: Path, *, replicas: int = 2) -> Iterator[SentinelService]:
    """Run a primary, its replicas and three sentinels until the end of the ``with`` block."""
    options = [*PERSISTENCE_AND_REPLICATION]
    with ExitStack() as stack:
        (primary,) = _start_all(stack, [Server(folder / "primary", *options)])
        options.append(f"replicaof {HOST} {primary.port}")
        others = _start_all(stack, [Server(folder / f"replica-{n}", *options) for n in range(replicas)])
        # Before the sentinels start: they look for replicas at their first word, and then every 10 s.
        wait_until(lambda: primary.client.info("replication")["connected_slaves"] == replicas, "replicas")
        wait_until(lambda: all(_is_linked(server) for server in others), "replication")
        watch = [
            f"sentinel monitor {SERVICE} {HOST} {primary.port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} {FAILOVER_TIMEOUT_MS}",
            f"sentinel parallel-syncs {SERVICE} {replicas}",
        ]
        sentinels = _start_all(
            stack, [Server(folder / f"sentinel-{n}", *watch, is_sentinel=True) for n in range(SENTINELS)]
        )

        def agree() -> bool:
            for sentinel in sentinels:
                flat = sentinel.ask("SENTINEL", "MASTER", SERVICE)
                facts = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
                if (int(facts["num-other-sentinels"]), int(facts["num-slaves"])) != (SENTINELS - 1, replicas):
                    return False
            return True

        wait_until(agree, "sentinels that know of each other")
        yield SentinelService([primary, *others], sentinels)


def wait_until(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Wait for a condition, and return what it gave at last; a server that fails meanwhile is asked again."""
    deadline = time.monotonic() + deadline_s
    while True:
        with suppress(RedisError):
            if found := condition():
                return found
        assert time.monotonic() < deadline, f"waited {deadline_s} s in vain for: {what}"
        time.sleep(POLL_S)


def _start_all(stack: ExitStack, servers: list[Server]) -> list[Server]:
    """Start servers beside each other; those that were started are ended by the stack."""
    with ThreadPoolExecutor(len(servers) or 1) as pool:
        starts = [pool.submit(server.__enter__) for server in servers]
    for server, start in zip(servers, starts, strict=True):
        if start.exception() is None:
            stack.push(server)
    return [start.result() for start in starts]


def _free_port() -> int:
    while True:
        port = random.choice(PORTS)
        if not any(_is_taken(number) for number in (port, port + BUS_OFFSET)):
            return port


def _is_taken(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return True
    return False


def _cluster_info(node: Server) -> dict[str, str]:
    lines = str(node.ask("CLUSTER", "INFO")).splitlines()
    return dict(line.split(":", 1) for line in lines if line)


def _is_linked(replica: Server) -> bool:
    return replica.client.info("replication").get("master_link_status") == "up"


def _count(rows: Any) -> tuple[int, int]:
    """Count the slots that are served, and the replicas."""
    return sum(last - first + 1 for first, last, *_ in rows), sum(len(owners) - 1 for _, _, *owners in rows)
