"""Leases: who is alive, who is gone, when nobody can tell, and what becomes of the tasks of who is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis

from headway import transitions
from headway.models import TaskProgress, TaskStatus
from headway.settings import Settings
from headway.stages import parse_stages
from headway.store import keys, leases
from headway.store.embedded import EmbeddedServer
from headway.store.reports import Report
from headway.store.tasks import TaskStore
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker

OpenTracker = Callable[..., Any]
LEASE_S = 0.4


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_S", LEASE_S)


def running(task_id: str = "a", *, seq: int = 7) -> TaskProgress:
    task = transitions.create(task_id, "t", parse_stages({"load": 1.0, "run": 3.0}), now=Timestamp(1_000))
    task = transitions.start_stage(task, "run", now=Timestamp(1_001))
    task = transitions.update_stage(task, "run", now=Timestamp(1_002), progress=0.4, message="step 4")
    return replace(task, seq=seq)


async def until_gone(store: TaskStore, worker: str = "w") -> None:
    async with asyncio.timeout(10 * LEASE_S):
        while not await store.leases.gone([worker]):
            await asyncio.sleep(0.005)


@pytest.fixture
def leases_count(redis: Redis) -> None:
    """Let this Redis have served leases for long enough: who has none is gone."""
    since = int(1_000 * time.time()) - 60_000
    redis.hset(keys.LEASES_EPOCH, mapping={"run_id": redis.info("server")["run_id"], "since": since})


@pytest.mark.usefixtures("leases_count")
async def test_a_lease_lasts_until_it_is_not_renewed(open_tracker: OpenTracker) -> None:
    async with open_tracker() as tracker:
        held = tracker.store.leases
        assert await held.renew("w") is True, "it had none"
        for _ in range(6):
            await asyncio.sleep(LEASE_S / 4)
            assert await held.renew("w") is False
            assert await held.gone(["w", "dead", "never there"]) == {"dead", "never there"}
        await until_gone(tracker.store)
        assert await held.renew("w") is True, "it lapsed"
        assert await held.gone([]) == set()


@pytest.mark.usefixtures("leases_count")
async def test_who_leaves_is_gone_at_once(open_tracker: OpenTracker) -> None:
    async with open_tracker() as tracker:
        await tracker.store.leases.renew("w")
        await tracker.store.leases.release("w")
        await tracker.store.leases.release("never there")
        assert await tracker.store.leases.gone(["w"]) == {"w"}


async def test_the_leases_of_who_is_long_gone_are_not_kept(open_tracker: OpenTracker, redis: Redis) -> None:
    async with open_tracker() as tracker:
        for number in range(50):
            await tracker.store.leases.renew(f"w{number}")
        await until_gone(tracker.store, "w49")
        await tracker.store.leases.renew("w")
    assert redis.zcard(keys.LEASES) == 1


async def test_after_a_flush_leases_count_only_once_everybody_had_the_time_to_come_back(
    open_tracker: OpenTracker, redis: Redis
) -> None:
    async with open_tracker() as tracker:
        redis.flushall()
        asked_at = time.monotonic()
        assert await tracker.store.leases.gone(["w"]) == set()
        await until_gone(tracker.store)
        assert time.monotonic() - asked_at >= LEASE_S - 0.01


async def test_after_a_restart_likewise_although_the_old_leases_are_there(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("hw")
    server = EmbeddedServer(folder)
    async with ProgressTracker(TaskStore(Settings(data_dir=folder))) as tracker:
        store = tracker.store
        await until_gone(store)
        await store.persist()
        with Redis.from_url(server.url) as client:
            os.kill(int(client.info("server")["process_id"]), signal.SIGKILL)
        await store.connect()
        with Redis.from_url(server.url) as client:
            assert client.hget(keys.LEASES_EPOCH, "run_id") != client.info("server")["run_id"].encode()
        assert await store.leases.gone(["w"]) == set()
        await until_gone(store)


@pytest.mark.usefixtures("leases_count")
async def test_whoever_reads_a_task_of_a_worker_that_is_gone_reads_that_it_is_lost(
    open_tracker: OpenTracker, redis: Redis
) -> None:
    async with open_tracker(clock=lambda: 2_000.0) as tracker:
        await tracker.store.write([Report(task=running(), run="r", worker="w")])
        found = await tracker.get_progress("a")
        assert found == replace(running(), status=TaskStatus.LOST, seq=8, lost_at=Timestamp(2_000))
        assert (await tracker.get_stored("a")).worker == ""
    assert redis.hmget(keys.task("a"), "status", "worker", "run", "seq") == [b"lost", None, b"r", b"8"]


@pytest.mark.usefixtures("leases_count")
async def test_however_many_look_the_loss_is_stored_once_and_announced(open_tracker: OpenTracker) -> None:
    async with open_tracker() as one, open_tracker() as two:
        await one.store.write([Report(task=running(), run="r", worker="w")])
        async with one.store.changes() as hints:
            looks = [tracker.get_progress("a") for tracker in (one, two) for _ in range(10)]
            found = await asyncio.gather(*looks)
            assert await asyncio.wait_for(anext(hints), 5) == ["a"]
        assert {task.seq for task in found} == {8}
        assert len({task.lost_at for task in found}) == 1
        assert (await two.list_tasks(status=TaskStatus.LOST))[0][0].seq == 8
        assert (await two.get_progress("a")).seq == 8


@pytest.mark.usefixtures("leases_count")
async def test_a_task_that_ended_while_somebody_looked_is_not_lost(open_tracker: OpenTracker) -> None:
    async with open_tracker() as tracker:
        await tracker.store.write([Report(task=running(), run="r", worker="w")])
        looked_at = await tracker.store.read(["a"])
        over = transitions.finish(running(seq=8), TaskStatus.COMPLETED, now=Timestamp(1_003))
        await tracker.store.write([Report(task=over, run="r", worker="w")])
        assert (await tracker.lose(looked_at))["a"].data == over.to_json()
        assert await tracker.get_progress("a") == over


@pytest.mark.usefixtures("leases_count")
async def test_what_is_over_or_nobodys_is_never_lost(open_tracker: OpenTracker) -> None:
    async with open_tracker() as tracker:
        for status in ("completed", "failed", "cancelled"):
            over = transitions.finish(running(status), TaskStatus(status), now=Timestamp(1_003))
            await tracker.store.write([Report(task=over, run="r", worker="w")])
        await tracker.create_task_progress("nobodys", "t", category="image_generation")
        await tracker.update_stage("nobodys", "generation", progress=0.5)
        tasks, _ = await tracker.list_tasks()
        assert sorted(task.status.value for task in tasks) == [
            "cancelled",
            "completed",
            "failed",
            "in_progress",
        ]
        assert (await tracker.list_tasks(status=TaskStatus.LOST))[0] == []


@pytest.mark.usefixtures("leases_count")
async def test_a_state_that_only_a_later_version_can_read_is_left_alone(
    open_tracker: OpenTracker, redis: Redis
) -> None:
    async with open_tracker() as tracker:
        await tracker.store.write([Report(task=running(), run="r", worker="w")])
        redis.hset(keys.task("a"), "data", b'{"task_id":"a","status":"dreaming"}')
        assert (await tracker.get_stored("a")).seq == 7


@pytest.mark.usefixtures("leases_count")
async def test_when_it_was_lost_is_when_it_changed(open_tracker: OpenTracker) -> None:
    async with open_tracker(clock=lambda: 2_000.0) as tracker:
        await tracker.store.write([Report(task=running(), run="r", worker="w")])
        found, _ = await tracker.list_tasks(since=1_500)
        assert [(task.updated_at, task.lost_at) for task in found] == [(1_002, 2_000)]
        assert (await tracker.list_tasks(since=2_001))[0] == []


@pytest.mark.usefixtures("leases_count")
class TestALostTaskThatIsHeardOf:
    async def test_is_in_progress_when_a_stage_of_it_changes(self, open_tracker: OpenTracker) -> None:
        async with open_tracker() as tracker:
            await tracker.store.write([Report(task=running(), run="r", worker="w")])
            assert (await tracker.get_progress("a")).status is TaskStatus.LOST
            task = await tracker.update_stage("a", "run", progress=0.6)
            assert (task.status, task.lost_at, task.seq) == (TaskStatus.IN_PROGRESS, None, 9)
            assert await tracker.get_progress("a") == task, "nobody's lease keeps it now"

    async def test_is_lost_no_more_when_it_is_ended(self, open_tracker: OpenTracker) -> None:
        clock = 2_000.0
        async with open_tracker(clock=lambda: clock) as tracker:
            await tracker.store.write([Report(task=running(), run="r", worker="w")])
            assert (await tracker.get_progress("a")).status is TaskStatus.LOST
            clock = 3_000.0
            task = await tracker.finish_task("a", "cancelled")
            assert task.status is TaskStatus.CANCELLED
            found, _ = await tracker.list_tasks(since=2_500)
            assert [summary.task_id for summary in found] == ["a"], "it changed at 3,000"
            assert task.lost_at is None

    async def test_is_lost_no_more_when_its_stages_are_all_over(self, open_tracker: OpenTracker) -> None:
        async with open_tracker() as tracker:
            await tracker.store.write([Report(task=running(), run="r", worker="w")])
            assert (await tracker.get_progress("a")).status is TaskStatus.LOST
            await tracker.update_stage("a", "load", "skipped")
            task = await tracker.update_stage("a", "run", "completed")
            assert (task.status, task.lost_at) == (TaskStatus.COMPLETED, None)

    async def test_is_in_progress_when_its_own_run_goes_on(self, open_tracker: OpenTracker) -> None:
        async with open_tracker() as tracker:
            await tracker.store.write([Report(task=running(), run="r", worker="w")])
            assert (await tracker.get_progress("a")).status is TaskStatus.LOST
            assert await tracker.store.leases.renew("w") is True
            refusal = (await tracker.store.write([Report(task=running(seq=8), run="r", worker="w")]))["a"]
            assert (refusal.seq, refusal.is_same_run) == (8, True)
            assert await tracker.store.write([Report(task=running(seq=9), run="r", worker="w")]) == {}
            assert await tracker.get_progress("a") == running(seq=9)
