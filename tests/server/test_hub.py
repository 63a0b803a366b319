"""The hub: the newest state reaches everybody, in bounded memory, and nobody waits for the slowest."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sized
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis

from headway import transitions
from headway.errors import StoreError
from headway.models import TaskProgress
from headway.server.connection import FRAME_INTERVAL_S, HEARTBEAT_S, MAX_ERRORS
from headway.server.hub import Hub
from headway.server.messages import Subscribe
from headway.settings import Settings
from headway.stages import parse_stages
from headway.store import keys, leases
from headway.store.reports import Report
from headway.store.tasks import TaskStore
from headway.store.watches import WATCHED_S
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker
from tests.redis_servers import Server
from tests.reports import reports
from tests.server.conftest import Screen


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
        await store.write(reports(state("a", 1), state("b", 1)))
        connections = [hub.connect(screen.send) for screen in (slow, quick)]
        for connection in connections:
            connection.subscribe(Subscribe(task_ids=["a", "b"]))
        await eventually(lambda: slow.messages and len(quick.messages) == 2)
        slow.may_go_on.clear()
        await store.write(reports(state("a", 2)))
        await eventually(lambda: slow.seqs("a")[-1] == 2)  # it now stands in its send
        most = 0
        for seq in range(3, 100):
            await store.write(reports(state("a", seq), state("b", seq)))
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
        await store.write(reports(state("a", 1)))
        hub.connect(screen.send).subscribe(Subscribe(task_ids=["a"]))
        await eventually(lambda: screen.seqs("a"))
        for seq in range(2, 152):  # 100 Hz for 1.5 s
            await store.write(reports(state("a", seq)))
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
        await store.write(reports(*[state(task_id, 1) for task_id in known]))
        connection = hub.connect(screen.send)
        before = sizes(hub), sizes(connection)
        for _ in range(2):
            screen.messages.clear()
            connection.subscribe(Subscribe(task_ids=known + unknown, many=True))
            await eventually(lambda: len(screen.messages) == 350)
            assert (sizes(hub), sizes(connection)) != before
            connection.unsubscribe(known + unknown)
            await eventually(lambda: (sizes(hub), sizes(connection)) == before)
        connection.subscribe(Subscribe(task_ids=known, many=True))
        hub.drop(connection)
        await eventually(
            lambda: not any(sizes(hub)[name] for name in ("_viewers", "_newest", "_connections"))
        )


async def test_leaving_while_the_tasks_are_read_leaves_nothing_behind(open_hub: Any, eventually: Any) -> None:
    screen = Screen()
    ids = [f"task-{n}" for n in range(200)]
    async with open_hub() as (hub, store):
        await store.write(reports(*[state(task_id, 1) for task_id in [*ids, "last"]]))
        connection = hub.connect(screen.send)
        connection.subscribe(Subscribe(task_ids=ids, many=True))
        while sizes(hub)["_stale"]:  # as soon as nothing waits, the reading has begun
            await asyncio.sleep(0)
        connection.unsubscribe(ids)
        connection.subscribe(Subscribe(task_ids=["last"], many=True))
        await eventually(lambda: screen.seqs("last"))
        assert [task_id for task_id in ids if hub.newest(task_id)] == []


async def test_a_task_that_is_gone_is_told_and_its_state_forgotten(
    open_hub: Any, redis: Redis, eventually: Any
) -> None:
    screen = Screen()
    async with open_hub() as (hub, store):
        await store.write(reports(state("a", 1)))
        hub.connect(screen.send).subscribe(Subscribe(task_ids=["a"]))
        await eventually(lambda: screen.seqs("a"))
        redis.delete(keys.task("a"))
        redis.publish(keys.CHANGES, "a")
        await eventually(lambda: screen.messages[-1].get("code") == "unknown_task")
        assert hub.newest("a") is None


async def test_a_viewer_is_told_of_each_task_that_is_not_stored(open_hub: Any, eventually: Any) -> None:
    screen = Screen()
    ids = [f"gone-{n}" for n in range(2 * MAX_ERRORS + 50)]
    async with open_hub() as (hub, _):
        hub.connect(screen.send).subscribe(Subscribe(task_ids=ids, many=True))
        await eventually(lambda: len(screen.messages) >= len(ids))
    assert {m["task_id"] for m in screen.messages if m.get("code") == "unknown_task"} == set(ids)


async def write_when_it_is_back(store: TaskStore, task: TaskProgress) -> None:
    for _ in range(100):
        with suppress(StoreError):
            await store.connect()
            await store.write(reports(task))
            return
    pytest.fail("the server did not come back")


async def test_after_redis_was_killed_the_newest_state_arrives(
    open_hub: Any, eventually: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    screen = Screen()
    async with open_hub(data_dir=tmp_path_factory.mktemp("hw")) as (hub, store):
        await store.write(reports(state("a", 1)))
        hub.connect(screen.send).subscribe(Subscribe(task_ids=["a"]))
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
        hub = Hub(ProgressTracker(store))
        hub.connect(Screen().send).subscribe(Subscribe(task_ids=["a"]))
        hub.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(hub.stop(), 5)
        await store.close()
    assert len(asyncio.all_tasks()) == 1


class TestHeartbeats:
    async def test_a_viewer_hears_that_the_line_works_when_nothing_else_happens(
        self, open_hub: Any, eventually: Any
    ) -> None:
        screen = Screen()
        async with open_hub() as (hub, _):
            began = time.monotonic()
            hub.connect(screen.send)
            await eventually(lambda: screen.messages)
        assert screen.heartbeats() == [True]
        assert Timestamp.from_iso(screen.messages[0]["sent_at"]) == pytest.approx(time.time(), abs=10)
        assert HEARTBEAT_S <= screen.times[0] - began + 0.01 < HEARTBEAT_S + 1.0

    async def test_a_viewer_who_hears_news_hears_no_heartbeat(self, open_hub: Any, eventually: Any) -> None:
        screen = Screen()
        async with open_hub() as (hub, store):
            hub.connect(screen.send).subscribe(Subscribe(task_ids=["a"]))
            for seq in range(1, 9):
                await store.write(reports(state("a", seq)))
                await eventually(lambda seq=seq: screen.seqs("a") and screen.seqs("a")[-1] == seq)
                await asyncio.sleep(HEARTBEAT_S / 6)
        assert "heartbeat" not in {message["type"] for message in screen.messages}

    async def test_it_says_whether_redis_answers(
        self,
        open_hub: Any,
        eventually: Any,
        tmp_path_factory: pytest.TempPathFactory,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("headway.store.clients.TIMEOUT_S", 0.5)
        screen = Screen()
        with Server(tmp_path_factory.mktemp("hw") / "redis") as server:
            async with open_hub(redis_url=f"redis://{server.address}") as (hub, store):
                await store.write(reports(state("a", 1)))
                hub.connect(screen.send).subscribe(Subscribe(task_ids=["a"]))
                await eventually(lambda: screen.seqs("a"))
                server.pause()
                await eventually(lambda: screen.heartbeats()[-1:] == [False])
                server.resume()
                await eventually(lambda: screen.heartbeats()[-1:] == [True])
        assert screen.errors() == ["store_unavailable"]


class TestWithoutAHint:
    async def test_a_change_is_seen_all_the_same(self, open_hub: Any, redis: Redis, eventually: Any) -> None:
        screen = Screen()
        async with open_hub() as (hub, store):
            await store.write(reports(state("a", 1)))
            hub.connect(screen.send).subscribe(Subscribe(task_ids=["a", "b"]))
            # It listens by now, and has read all that it wanted to read when it began to.
            await eventually(lambda: redis.pubsub_numsub(keys.CHANGES)[0][1] == 1 and screen.errors())
            await store.write(reports(state("a", 2)))
            await eventually(lambda: screen.seqs("a")[-1:] == [2])
            for task in (state("a", 3), state("b", 1)):
                values = {"data": task.to_json(), "seq": task.seq, "attempt": 1, "status": task.status}
                redis.hset(keys.task(task.task_id), mapping=values)
            await eventually(lambda: screen.seqs("a")[-1] == 3 and screen.seqs("b") == [1], 1.5)

    async def test_a_worker_that_is_gone_is_noticed_and_announced_to_all(
        self, open_hub: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(leases, "LEASE_S", 0.8)
        screens = [Screen(), Screen()]
        async with open_hub() as (hub, store), open_hub() as (other, _), store.changes() as hints:
            for screen, one in zip(screens, (hub, other), strict=True):
                one.connect(screen.send).subscribe(Subscribe(task_ids=["a", "b"]))
            for _ in range(3):
                await store.leases.renew("alive")
                await store.leases.renew("dead")
                await asyncio.sleep(0.3)
            await store.write(
                [
                    Report(task=state("a", 1), run="r", worker="dead"),
                    Report(task=state("b", 1), run="s", worker="alive"),
                ]
            )

            async def live() -> None:
                while True:
                    await store.leases.renew("alive")
                    await asyncio.sleep(0.2)

            living = asyncio.create_task(live())
            await eventually(lambda: all(screen.seqs("a") == [1, 2] for screen in screens), 4)
            living.cancel()
            assert [await anext(hints) for _ in range(2)] == [["a", "b"], ["a"]]
            assert (hub.newest("a").status, hub.newest("b").status) == ("lost", "queued")
        for screen in screens:
            assert screen.messages[-1]["data"]["status"] == "lost"
            assert screen.seqs("b") == [1]

    async def test_after_a_sleep_of_the_machine_the_workers_come_back_first(
        self, open_hub: Any, eventually: Any, redis: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        screen, looks = Screen(), []

        class Clock:
            skipped_s = 0.0

            def time(self) -> float:
                self.skipped_s += 60.0
                looks.append(self.skipped_s)
                return time.time() + self.skipped_s

        async with open_hub() as (hub, store):
            await store.leases.renew("alive")
            redis.hset(keys.LEASES_EPOCH, "since", int(1_000 * time.time()) - 60_000)  # they count by now
            with monkeypatch.context() as patch:
                patch.setattr("headway.server.hub.time", Clock())
                await store.write([Report(task=state("a", 1), run="r", worker="dead")])
                hub.connect(screen.send).subscribe(Subscribe(task_ids=["a"]))
                await eventually(lambda: screen.seqs("a"))
                seen = len(looks)
                await eventually(lambda: len(looks) > seen + 4)
                assert screen.seqs("a") == [1]
            await eventually(lambda: screen.seqs("a") == [1, 2])

    async def test_a_hub_that_was_told_to_end_while_it_started_does_not_start(
        self, settings: Settings
    ) -> None:
        store = TaskStore(settings)
        hub = Hub(ProgressTracker(store))
        await hub.stop()
        hub.start()
        assert len(asyncio.all_tasks()) == 1
        await store.close()


async def test_workers_are_told_that_somebody_looks(
    tracker: Any, open_viewer: Any, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tracker.create_task_progress("a", "sdxl")
    await tracker.attach("a", run="r", worker="w1")
    async with open_viewer() as viewer:
        assert redis.exists(keys.watched("w1")) == 0
        await viewer.subscribe("a")
        for _ in range(500):
            if redis.exists(keys.watched("w1")):
                break
            await asyncio.sleep(0.02)
        assert 0 < redis.ttl(keys.watched("w1")) <= WATCHED_S
