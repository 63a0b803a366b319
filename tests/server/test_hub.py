"""The hub: the newest state reaches everybody, in bounded memory, and nobody waits for the slowest."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sized
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis

from headway import transitions
from headway.errors import StoreError
from headway.models import TaskProgress, Timestamp
from headway.server.hub import FRAME_INTERVAL_S, Hub
from headway.settings import Settings
from headway.stages import parse_stages
from headway.store import keys
from headway.store.tasks import TaskStore


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


@pytest.fixture
def open_hub(settings: Settings) -> Callable[..., Any]:
    """``async with open_hub() as (hub, store)``; keyword arguments replace settings."""

    @asynccontextmanager
    async def open_(**changes: object) -> AsyncIterator[tuple[Hub, TaskStore]]:
        changed = replace(settings, **changes)
        hub_store, store = TaskStore(changed), TaskStore(changed)
        await store.connect()
        hub = Hub(hub_store)
        hub.start()
        try:
            yield hub, store
        finally:
            await asyncio.wait_for(hub.stop(), 5)
            await hub_store.close()
            await store.close()

    return open_


def state(task_id: str, seq: int) -> TaskProgress:
    task = transitions.create(task_id, "t", parse_stages({"run": 1.0}), now=Timestamp(1_000))
    return replace(task, seq=seq)


def sizes(value: object) -> dict[str, int]:
    """Count what every container of an object holds, those that are added to it later too."""
    return {name: len(held) for name, held in vars(value).items() if isinstance(held, Sized)}


async def test_a_viewer_that_stands_still_holds_one_pending_state_a_task_and_gets_the_newest(
    open_hub: Any, eventually: Any
) -> None:
    slow, quick = Screen(), Screen()
    async with open_hub() as (hub, store):
        await store.write([state("a", 1), state("b", 1)])
        connections = [hub.connect(screen.send) for screen in (slow, quick)]
        for connection in connections:
            connection.subscribe(["a", "b"], since={}, many=False)
        await eventually(lambda: slow.messages and len(quick.messages) == 2)
        slow.may_go_on.clear()
        await store.write([state("a", 2)])
        await eventually(lambda: slow.seqs("a")[-1] == 2)  # it now stands in its send
        most = 0
        for seq in range(3, 100):
            await store.write([state("a", seq), state("b", seq)])
            await eventually(lambda seq=seq: hub.newest("b").seq == seq)
            most = max(most, connections[0].pending_count)
        assert most == 2
        await eventually(lambda: quick.seqs("a")[-1] == quick.seqs("b")[-1] == 99)
        assert slow.seqs("a")[-1] == 2, "it was not sent anything while it stood still"
        slow.may_go_on.set()
        await eventually(lambda: slow.seqs("a")[-1] == slow.seqs("b")[-1] == 99)
        assert slow.seqs("a") == [1, 2, 99]


async def test_a_viewer_gets_a_frame_every_100_ms_at_most(open_hub: Any, eventually: Any) -> None:
    screen = Screen()
    async with open_hub() as (hub, store):
        await store.write([state("a", 1)])
        hub.connect(screen.send).subscribe(["a"], since={}, many=False)
        await eventually(lambda: screen.seqs("a"))
        for seq in range(2, 152):  # 100 Hz for 1.5 s
            await store.write([state("a", seq)])
            await asyncio.sleep(0.01)
        await eventually(lambda: screen.seqs("a")[-1] == 151)
    assert len(screen.times) >= 10, "it was sent all the time"
    for first in screen.times:
        assert sum(first <= sent < first + 1.0 for sent in screen.times) <= 11
    gaps = [later - earlier for earlier, later in zip(screen.times, screen.times[1:], strict=False)]
    assert min(gaps) > 0.9 * FRAME_INTERVAL_S


async def test_what_nobody_wants_any_more_is_forgotten(open_hub: Any, eventually: Any) -> None:
    screen = Screen()
    known, unknown = [f"known-{n}" for n in range(300)], [f"unknown-{n}" for n in range(50)]
    async with open_hub() as (hub, store):
        await store.write([state(task_id, 1) for task_id in known])
        connection = hub.connect(screen.send)
        before = sizes(hub), sizes(connection)
        for _ in range(2):
            screen.messages.clear()
            connection.subscribe(known + unknown, since={}, many=True)
            await eventually(lambda: len(screen.messages) == 350)
            assert (sizes(hub), sizes(connection)) != before
            connection.unsubscribe(known + unknown)
            await eventually(lambda: (sizes(hub), sizes(connection)) == before)
        connection.subscribe(known, since={}, many=True)
        hub.drop(connection)
        await eventually(
            lambda: not any(sizes(hub)[name] for name in ("_viewers", "_newest", "_connections"))
        )


async def test_leaving_while_the_tasks_are_read_leaves_nothing_behind(open_hub: Any, eventually: Any) -> None:
    screen = Screen()
    ids = [f"task-{n}" for n in range(200)]
    async with open_hub() as (hub, store):
        await store.write([state(task_id, 1) for task_id in [*ids, "last"]])
        connection = hub.connect(screen.send)
        connection.subscribe(ids, since={}, many=True)
        while sizes(hub)["_stale"]:  # as soon as nothing waits, the reading has begun
            await asyncio.sleep(0)
        connection.unsubscribe(ids)
        connection.subscribe(["last"], since={}, many=True)
        await eventually(lambda: screen.seqs("last"))
        assert [task_id for task_id in ids if hub.newest(task_id)] == []


async def test_a_task_that_is_gone_is_told_and_its_state_forgotten(
    open_hub: Any, redis: Redis, eventually: Any
) -> None:
    screen = Screen()
    async with open_hub() as (hub, store):
        await store.write([state("a", 1)])
        hub.connect(screen.send).subscribe(["a"], since={}, many=False)
        await eventually(lambda: screen.seqs("a"))
        redis.delete(keys.task("a"))
        redis.publish(keys.CHANGES, "a")
        await eventually(lambda: screen.messages[-1].get("code") == "unknown_task")
        assert hub.newest("a") is None


async def write_when_it_is_back(store: TaskStore, task: TaskProgress) -> None:
    for _ in range(100):
        with suppress(StoreError):
            await store.connect()
            await store.write([task])
            return
    pytest.fail("the server did not come back")


async def test_after_redis_was_killed_the_newest_state_arrives(
    open_hub: Any, eventually: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    screen = Screen()
    async with open_hub(data_dir=tmp_path_factory.mktemp("hw")) as (hub, store):
        await store.write([state("a", 1)])
        hub.connect(screen.send).subscribe(["a"], since={}, many=False)
        await eventually(lambda: screen.seqs("a"))
        for seq in (2, 3):
            with Redis.from_url(store.url) as client:
                os.kill(client.info()["process_id"], signal.SIGKILL)
            await write_when_it_is_back(store, state("a", seq))
            await eventually(lambda seq=seq: screen.seqs("a")[-1] == seq)
    assert screen.seqs("a") == [1, 2, 3]


async def test_a_hub_ends_at_whatever_instant_it_is_stopped(settings: Settings) -> None:
    for turns in range(60):
        store = TaskStore(settings)
        await store.connect()
        hub = Hub(store)
        hub.connect(Screen().send).subscribe(["a"], since={}, many=False)
        hub.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(hub.stop(), 5)
        await store.close()
    assert len(asyncio.all_tasks()) == 1
