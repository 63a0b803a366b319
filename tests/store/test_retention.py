"""What is kept and what goes first: by number, by memory, by time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis

from headway import transitions
from headway.errors import UsageError
from headway.logs import LogLevel
from headway.models import TaskStatus
from headway.samples import ResourceSample, SeriesUpdate
from headway.settings import Settings
from headway.stages import parse_stages
from headway.store import keys
from headway.store import tasks as store_module
from headway.store.embedded import EmbeddedServer
from headway.store.reports import Report
from headway.store.tasks import TaskStore
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker
from tests.puppet import start_puppet
from tests.reports import log_entries, preview

OpenTracker = Callable[..., Any]
KEPT = 5


def report(task_id: str, *, made_at: float, is_over: bool = True, worker: str = "") -> Report:
    """A task with something under each of its keys."""
    task = transitions.create(task_id, "t", parse_stages({"run": 1.0}), now=Timestamp(made_at))
    task = transitions.start_stage(task, "run", now=Timestamp(made_at))
    if is_over:
        task = transitions.finish(task, TaskStatus.COMPLETED, now=Timestamp(made_at + 1))
    debug = log_entries(1, first=2, level=LogLevel.DEBUG)
    return Report(
        task=replace(task, seq=1),
        run=task_id,
        worker=worker,
        preview=preview(1, b"image"),
        entries=(*log_entries(1), *debug),
        checkpoint=b'{"done":1}',
    )


def left(redis: Redis, task_id: str) -> int:
    """How many of a task's keys are there."""
    return redis.exists(*keys.of_task(task_id))


class TestByNumber:
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store_module, "KEPT_TASKS", KEPT)

    async def test_the_oldest_go_with_everything_that_is_theirs(
        self, open_tracker: OpenTracker, redis: Redis
    ) -> None:
        async with open_tracker() as tracker:
            made = [report(f"task-{number}", made_at=1_000 + number) for number in range(8)]
            await tracker.store.write(made)
            assert [left(redis, one.task.task_id) for one in made] == [4] * 8
            await tracker.store.prune()
            assert [left(redis, one.task.task_id) for one in made] == [0] * 3 + [4] * 5
            tasks, _ = await tracker.list_tasks()
        assert [task.task_id for task in tasks] == [f"task-{number}" for number in reversed(range(3, 8))]
        assert redis.zcard(keys.INDEX) == KEPT

    async def test_what_a_worker_runs_stays_however_old_it_is(
        self, open_tracker: OpenTracker, redis: Redis
    ) -> None:
        async with open_tracker() as tracker:
            await tracker.store.leases.renew("w")
            old = [
                report(f"old-{number}", made_at=number, is_over=False, worker="w") for number in range(1, 9)
            ]
            new = [report(f"new-{number}", made_at=1_000 + number) for number in range(3)]
            await tracker.store.write([*old, *new])
            await tracker.store.prune()
        assert [left(redis, one.task.task_id) for one in [*old, *new]] == [4] * 8 + [0] * 3

    async def test_what_a_dead_worker_left_goes_in_its_turn(
        self, open_tracker: OpenTracker, redis: Redis
    ) -> None:
        async with open_tracker() as tracker:
            await tracker.store.leases.renew("alive")
            since: Any = redis.hget(keys.LEASES_EPOCH, "since")
            redis.hset(keys.LEASES_EPOCH, "since", int(since) - 60_000)  # leases have long counted
            dead = [report(f"dead-{n}", made_at=n, is_over=False, worker="dead") for n in range(1, 4)]
            done = [report(f"done-{n}", made_at=1_000 + n) for n in range(KEPT)]
            await tracker.store.write([*dead, *done])
            await tracker.store.prune()
        assert [left(redis, one.task.task_id) for one in [*dead, *done]] == [0] * 3 + [4] * KEPT

    async def test_each_task_that_is_added_makes_room(self, open_tracker: OpenTracker, redis: Redis) -> None:
        now = 1_000.0
        async with open_tracker(clock=lambda: now) as tracker:
            for number in range(3 * KEPT):
                now += 1
                await tracker.create_task_progress(f"task-{number}", "t")
                await tracker.finish_task(f"task-{number}")
                assert redis.zcard(keys.INDEX) <= KEPT + 1
        assert redis.exists(keys.task("task-0")) == 0

    def test_a_worker_makes_room_for_its_own_and_keeps_what_it_runs(self, redis: Redis) -> None:
        code = "from headway.store import tasks as store; store.KEPT_TASKS = 5"
        with start_puppet() as worker:
            worker.do(code)
            worker.do("first = headway.task('t', task_id='first').__enter__(); first.flush()")
            for number in range(3 * KEPT):
                worker.do(f"task = headway.task('t', task_id='task-{number}')")
                worker.do("task.complete(); task.flush()")
            worker.do("headway.tasks()")
            assert redis.zcard(keys.INDEX) <= KEPT + 1
            assert worker.do("first.update(0.5); first.flush()") is None
        assert redis.exists(keys.task("first"), keys.task("task-14"), keys.task("task-0")) == 2


class TestByMemory:
    @pytest.fixture
    def small(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
        server = EmbeddedServer(tmp_path_factory.mktemp("hw"), max_memory="3mb")
        server.ensure()
        yield server
        server.release()

    async def fill(self, store: TaskStore, *, rounds: int = 40, running: Report | None = None) -> list[str]:
        """Write more than the memory holds, ten tasks of 16 kB at a time; give the ids, oldest first."""
        ids = []
        for number in range(rounds):
            made = [report(f"done-{number}-{one}", made_at=number) for one in range(10)]
            await store.write(
                [replace(one, task=replace(one.task, params={"x": "y" * 16_000})) for one in made]
            )
            ids += [one.task.task_id for one in made]
            if running is not None:
                task = replace(running.task, seq=running.task.seq + 1 + number)
                assert await store.write([Report(task=task, run=running.run, worker=running.worker)]) == {}
            await asyncio.sleep(0.002)  # so that the times at which they expire differ
        return ids

    async def test_the_oldest_that_are_over_go_and_the_server_goes_on_taking_writes(
        self, small: EmbeddedServer
    ) -> None:
        async with ProgressTracker(TaskStore(Settings(data_dir=small.folder))) as tracker:
            await tracker.store.leases.renew("w")
            running = report("running", made_at=1, is_over=False, worker="w")
            await tracker.store.write([running])
            ids = await self.fill(tracker.store, running=running)
            with Redis.from_url(small.url) as client:
                assert client.info("stats")["evicted_keys"] > 0
                assert client.info("memory")["used_memory"] < 4 * 1_048_576
                there = [bool(client.exists(keys.task(task_id))) for task_id in ids]
                assert client.exists(keys.INDEX, keys.LEASES, keys.LEASES_EPOCH) == 3
                assert left(client, "running") == 4
            kept = there.count(True)
            assert 20 < kept < 300
            assert all(there[-kept // 2 :]), "none of the newest went"
            assert not any(there[: -2 * kept]), "all of the oldest went"
            tasks, _ = await tracker.list_tasks(limit=10)
            assert {task.task_id for task in tasks} == set(ids[-10:])

    async def test_a_task_that_runs_and_has_nothing_to_report_stays_with_its_checkpoint(
        self, small: EmbeddedServer
    ) -> None:
        with start_puppet(HEADWAY_DATA_DIR=str(small.folder)) as worker:
            worker.do("task = headway.task('t', task_id='quiet').__enter__()")
            worker.do("task.log('compiling'); task.checkpoint({'done': 1}); task.flush()")
            async with ProgressTracker(TaskStore(Settings(data_dir=small.folder))) as tracker:
                await self.fill(tracker.store)
                with Redis.from_url(small.url) as client:
                    assert client.info("stats")["evicted_keys"] > 0
                    assert client.hget(keys.task("quiet"), "checkpoint") == b'{"done":1}'
                    assert client.xlen(keys.logs("quiet")) == 1
                assert await tracker.read_checkpoint("quiet") == {"done": 1}


async def test_all_that_is_a_tasks_expires_together(
    settings: Settings, redis: Redis, eventually: Any
) -> None:
    async with ProgressTracker(TaskStore(replace(settings, ttl_s=100))) as tracker:
        await tracker.store.write([report("a", made_at=1_000, is_over=False)])
        samples = SeriesUpdate(0.0, (ResourceSample(at=Timestamp(1_000), rss_bytes=1),))
        await tracker.store.samples.write([("a", "a", samples)])
        assert {redis.ttl(key) for key in keys.of_task("a")} <= {99, 100}
        for key in keys.of_task("a"):
            redis.expire(key, 5)
        task = replace(report("a", made_at=1_000).task, seq=2)
        await tracker.store.write([Report(task=task, run="a")])
        assert {redis.ttl(key) for key in keys.of_task("a")} <= {99, 100}, "also what was not written"
        tracker.store.ttl_s = 1
        await tracker.store.write([Report(task=replace(task, seq=3), run="a")])
        await eventually(lambda: left(redis, "a") == 0, 3)


class TestHowOftenTheDiskIsWritten:
    @pytest.mark.parametrize(
        ("text", "expected"), [(None, "always"), ("", "always"), ("everysec", "everysec"), ("no", "no")]
    )
    async def test_the_embedded_server_does_as_the_environment_says(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path_factory: pytest.TempPathFactory,
        text: str | None,
        expected: str,
    ) -> None:
        monkeypatch.setenv("HEADWAY_DATA_DIR", str(tmp_path_factory.mktemp("hw")))
        if text is not None:
            monkeypatch.setenv("HEADWAY_APPENDFSYNC", text)
        settings = Settings.from_environment()
        assert settings.append_fsync == expected
        async with ProgressTracker() as tracker:
            with Redis.from_url(tracker.store.url) as client:
                assert client.config_get("append*") == {
                    "appendonly": "yes",
                    "appendfsync": expected,
                    "appendfilename": "appendonly.aof",
                    "appenddirname": "appendonlydir",
                }

    @pytest.mark.parametrize("text", ["sometimes", "Always", "1"])
    def test_anything_else_is_refused(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setenv("HEADWAY_APPENDFSYNC", text)
        with pytest.raises(
            UsageError, match=f"HEADWAY_APPENDFSYNC to be one of always, everysec, no, got '{text}'"
        ):
            Settings.from_environment()

    async def test_what_was_acknowledged_is_persisted_also_with_a_slow_disk_policy(
        self, open_tracker: OpenTracker
    ) -> None:
        async with open_tracker() as tracker:
            await tracker.store.write([report("a", made_at=1_000)])
            await asyncio.wait_for(tracker.store.persist(), 5)

    async def test_a_server_of_ones_own_has_its_own_policy(self, server: EmbeddedServer) -> None:
        store = TaskStore(Settings(redis_url=server.url))
        await store.persist()
        await store.close()
