"""What is stored, and how much memory it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from headway.store import keys
from headway.store.tasks import TaskStore

# Keys that are looked at in one round trip; and in all: of more, the first ones stand for the rest.
KEYS_AT_ONCE = 500
MAX_KEYS = 100_000


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of one kind.

    Parameters
    ----------
    count
        How many there are.
    size_bytes
        The memory that they take, as the server reckons it.
    """

    count: int = 0
    size_bytes: int = 0


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a Redis of Headway's.

    Parameters
    ----------
    server
        The server's name and version.
    mode
        ``"standalone"``, ``"sentinel"`` or ``"cluster"``.
    uptime_s
        Seconds since it was started.
    used_bytes, max_bytes
        The memory that all of its data take, and may take; 0 for no limit.
    eviction
        What leaves when the memory is full, as the server names it.
    append_only
        Whether it keeps an append-only file.
    kinds
        Headway's keys, by kind.
    statuses
        The tasks, by status.
    workers
        How many processes have a lease.
    is_whole
        Whether all keys were looked at: at most 100,000 are.
    """

    server: str
    mode: str
    uptime_s: int
    used_bytes: int
    max_bytes: int
    eviction: str
    append_only: bool
    kinds: dict[str, Kind]
    statuses: dict[str, int]
    workers: int
    is_whole: bool


async def survey(store: TaskStore) -> Survey:
    """Look at everything that is stored.

    Raises
    ------
    StoreUnavailableError
        When Redis does not answer.
    """
    async with store.commands.client() as client:
        facts = _of_one_node(await client.info())
    workers = await store.leases.count()
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    async for names in _pages(store):
        found = await store.commands.run([("MEMORY", "USAGE", name) for name in names])
        for name, size in zip(names, found, strict=True):
            counts[kind_of(name)] += 1
            sizes[kind_of(name)] += int(size or 0)
        tasks = [name for name in names if kind_of(name) == "tasks"]
        for status in await store.commands.run([("HGET", name, "status") for name in tasks]):
            statuses[(status or b"unknown").decode()] += 1
        if counts.total() >= MAX_KEYS:
            break
    return Survey(
        server=_server(facts),
        mode="sentinel"
        if "+sentinel://" in store.url
        else str(facts.get("server_mode") or facts.get("redis_mode", "unknown")),
        uptime_s=int(facts.get("uptime_in_seconds", 0)),
        used_bytes=int(facts.get("used_memory", 0)),
        max_bytes=int(facts.get("maxmemory", 0)),
        eviction=str(facts.get("maxmemory_policy", "unknown")),
        append_only=bool(int(facts.get("aof_enabled", 0))),
        kinds={kind: Kind(count=counts[kind], size_bytes=sizes[kind]) for kind in sorted(counts)},
        statuses=dict(statuses),
        workers=workers,
        is_whole=counts.total() < MAX_KEYS,
    )


def kind_of(name: str) -> str:
    """Say what a key holds: "tasks", "previews", "logs", or "lists" for what is of no single task."""
    if not name.startswith(f"{keys.PREFIX}:{{") or name.startswith(keys.LEASES):
        return "lists"
    _, _, rest = name.partition("}:")
    return {"task": "tasks"}.get(rest, rest.partition(":")[0])


async def _pages(store: TaskStore) -> AsyncIterator[list[str]]:
    async with store.commands.client() as client:
        names = client.scan_iter(match=f"{keys.PREFIX}:*", count=KEYS_AT_ONCE)
    page: list[str] | None = None
    while page is None or len(page) == KEYS_AT_ONCE:
        page = []
        async with store.commands.client():
            async for name in names:
                page.append(name.decode())
                if len(page) == KEYS_AT_ONCE:
                    break
        if page:
            yield page


def _of_one_node(facts: dict[str, Any]) -> dict[str, Any]:
    """Take what one node says; a cluster's client gives what each of them does."""
    values = list(facts.values())
    return values[0] if values and all(isinstance(value, dict) for value in values) else facts


def _server(facts: dict[str, Any]) -> str:
    if "valkey_version" in facts:
        return f"Valkey {facts['valkey_version']}"
    return f"Redis {facts.get('redis_version', 'unknown')}"
