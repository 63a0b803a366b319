"""The same store and the same tasks on a cluster and behind Sentinel, also while a primary is killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from headway import transitions
from headway.errors import StoreUnavailableError
from headway.models import TaskProgress, TaskStatus
from headway.settings import Settings
from headway.stages import STAGE_DEFINITIONS
from headway.store import keys
from headway.store.leases import LEASE_S
from headway.store.previews import StoredPreview
from headway.store.reports import Report
from headway.store.survey import survey
from headway.store.tasks import TaskStore
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker
from headway.worker.reporter import Reporter
from headway.worker.task import Task
from tests import redis_servers
from tests.redis_servers import Server
from tests.reports import log_entries, preview, reports

TASKS = 60
WORKER = "worker-1"
FAILOVER_DEADLINE_S = 20.0
WaitUntil = Callable[..., Any]


@pytest.fixture(scope="module", params=["cluster", "sentinel"])
def url(
    request: pytest.FixtureRequest, cluster: redis_servers.Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Each deployment in turn, empty at first; no test harms it."""
    with ExitStack() as stack:
        found: redis_servers.Cluster | redis_servers.SentinelService = cluster
        if request.param == "sentinel":
            folder = tmp_path_factory.mktemp("sentinel")
            found = stack.enter_context(redis_servers.start_sentinel(folder, replicas=1))
        yield found.url


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[ProgressTracker]:
    """A tracker on the store of that address, which is empty."""
    async with ProgressTracker(TaskStore(Settings(redis_url=url))) as tracker:
        async with tracker.store.commands.client() as client:
            await client.flushall()
        yield tracker


@contextmanager
def reporting(url: str) -> Iterator[Reporter]:
    """A reporter that finds its Redis as a user's process does, through the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADWAY_REDIS_URL", url)
        reporter = Reporter()
        try:
            yield reporter
        finally:
            reporter.close()


def state(number: int, *, seq: int = 1) -> TaskProgress:
    stages = STAGE_DEFINITIONS["image_generation"]
    task = transitions.create(f"task-{number}", "sdxl", stages, now=Timestamp(1_000.0 + number))
    return replace(task, seq=seq)


def begin(reporter: Reporter, task_id: str) -> Task:
    stages = STAGE_DEFINITIONS["image_generation"]
    task = transitions.create(task_id, "sdxl", stages, now=Timestamp(time.time()))
    return Task(task, reporter=reporter)


def stored_in(server: Server, task_id: str) -> TaskProgress:
    """What one server itself holds of a task."""
    data = server.client.hget(keys.task(task_id), "data")
    assert isinstance(data, str)
    return TaskProgress.from_json(data.encode())


async def test_many_reports_are_written_and_read_back(url: str) -> None:
    async with opened(url) as tracker:
        store = tracker.store
        written = [
            Report(
                task=state(number),
                run="run",
                worker=WORKER,
                checkpoint=b'{"step":%d}' % number,
                entries=log_entries(3),
                preview=preview(1, b"jpeg-%d" % number),
            )
            for number in range(TASKS)
        ]
        assert await store.write(written) == {}
        ids = [report.task.task_id for report in written]
        found = await store.read([*ids, "unknown"])
        assert [found[task_id].data for task_id in ids] == [report.task.to_json() for report in written]
        assert await store.read_seqs([*ids, "unknown"]) == dict.fromkeys(ids, 1) | {"unknown": 0}
        assert await store.read_checkpoint(ids[7]) == b'{"step":7}'
        assert await store.read_preview(ids[7], 1) == StoredPreview(data=b"jpeg-7")
        assert [facts.number for facts in await store.list_previews(ids[7])] == [1]
        assert [entry.id for entry in (await store.read_logs(ids[7])).entries] == [1, 2, 3]
        refused = await store.write(reports(*(state(number) for number in range(3))))
        assert refused.keys() == set(ids[:3])


async def test_tasks_are_listed_in_pages_and_pruned(url: str) -> None:
    async with opened(url) as tracker:
        await tracker.store.write(reports(*(state(number) for number in range(25))))
        listed: list[str] = []
        cursor: str | None = None
        while True:
            page, cursor = await tracker.list_tasks(limit=10, cursor=cursor)
            listed += [summary.task_id for summary in page]
            if cursor is None:
                break
        assert listed == [f"task-{number}" for number in reversed(range(25))]
        await tracker.store.commands.run([("DEL", *keys.of_task(f"task-{number}")) for number in range(25)])
        async with asyncio.timeout(FAILOVER_DEADLINE_S):
            while await tracker.store.list_page(before=None, limit=1):
                await tracker.store.prune()


async def test_who_listens_hears_of_changes(url: str) -> None:
    async with opened(url) as tracker, tracker.store.changes() as hints:
        await tracker.store.write(reports(state(1), state(2)))
        async with asyncio.timeout(FAILOVER_DEADLINE_S):
            assert await anext(hints) == ["task-1", "task-2"]


async def test_a_task_whose_worker_is_gone_is_lost_and_taken_up_again(url: str) -> None:
    async with opened(url) as tracker:
        store = tracker.store
        assert await store.leases.renew(WORKER) is True
        assert await store.leases.renew(WORKER) is False
        task = transitions.begin(state(1), now=Timestamp(1_002.0))
        await store.write([Report(task=task, run="run", worker=WORKER, checkpoint=b'{"step":5}')])
        assert (await tracker.get_progress("task-1")).status is TaskStatus.IN_PROGRESS
        await store.leases.release(WORKER)
        deadline = time.monotonic() + LEASE_S + 2
        while (await tracker.get_progress("task-1")).status is not TaskStatus.LOST:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        await store.leases.renew("worker-2")
        attached = await tracker.attach("task-1", run="another", worker="worker-2")
        assert attached.checkpoint == {"step": 5}
        assert attached.task.attempt == 2


async def test_what_is_stored_is_surveyed(url: str) -> None:
    async with opened(url) as tracker:
        await tracker.store.write(
            [Report(task=state(number), entries=log_entries(1)) for number in range(TASKS)]
        )
        await tracker.store.leases.renew(WORKER)
        found = await survey(tracker.store)
    assert found.mode == ("cluster" if "+cluster" in url else "sentinel")
    assert (found.kinds["tasks"].count, found.kinds["logs"].count) == (TASKS, TASKS)
    assert found.kinds["tasks"].size_bytes > 0
    assert (found.statuses, found.workers) == ({"queued": TASKS}, 1)


def test_a_process_reports_a_task_there(url: str) -> None:
    with reporting(url) as reporter:
        with begin(reporter, "reported") as task:
            task.log("loading")
            task.update(0.5)
            task.checkpoint({"step": 5})
            task.flush()
        assert reporter.flush() == []
        found = reporter.call(lambda tracker: tracker.get_progress("reported"))
        assert found.status is TaskStatus.COMPLETED
        logs = reporter.call(lambda tracker: tracker.store.read_logs("reported"))
        assert [entry.message for entry in logs.entries] == ["loading"]
        assert reporter.call(lambda tracker: tracker.store.read_checkpoint("reported")) is not None


def test_the_keys_of_a_task_are_in_one_slot(cluster: redis_servers.Cluster) -> None:
    ask = cluster.nodes[0].ask
    slots = [{ask("CLUSTER", "KEYSLOT", name) for name in keys.of_task(f"task-{n}")} for n in range(TASKS)]
    assert all(len(found) == 1 for found in slots)
    assert len(set.union(*slots)) > 1
    assert ask("CLUSTER", "KEYSLOT", keys.LEASES) == ask("CLUSTER", "KEYSLOT", keys.LEASES_EPOCH)


def test_a_task_outlives_the_primary_that_sentinel_watches(tmp_path: Path, wait_until: WaitUntil) -> None:
    with redis_servers.start_sentinel(tmp_path, replicas=1) as service, reporting(service.url) as reporter:
        with begin(reporter, "a") as task:
            task.update(0.2)
            assert reporter.flush() == []
            killed = service.kill_primary()
            task.update(0.6)
            new = service.wait_for_failover(killed)
            wait_until(lambda: task._run.is_delivered)
            assert stored_in(new, "a") == task.progress
        assert reporter.flush() == []
        assert stored_in(new, "a").status is TaskStatus.COMPLETED


def test_a_task_outlives_the_primary_of_its_slot(tmp_path: Path, wait_until: WaitUntil) -> None:
    with redis_servers.start_cluster(tmp_path, replicas=1) as cluster, reporting(cluster.url) as reporter:
        with begin(reporter, "a") as task:
            task.update(0.2)
            assert reporter.flush() == []
            killed = cluster.primary_of(keys.task("a"))
            killed.kill()
            task.update(0.6)
            wait_until(lambda: task._run.is_delivered)
        assert reporter.flush() == []
        new = cluster.primary_of(keys.task("a"))
        assert new is not killed
        assert stored_in(new, "a") == task.progress
        assert task.progress.status is TaskStatus.COMPLETED


async def test_reading_comes_back_by_itself_after_a_fail_over(tmp_path: Path) -> None:
    """Without another `TaskStore.connect`: not all who read call it."""
    with redis_servers.start_cluster(tmp_path, replicas=1) as cluster:
        async with opened(cluster.url) as tracker:
            await tracker.store.write([Report(task=state(1), checkpoint=b"{}")])
            cluster.primary_of(keys.task("task-1")).kill()
            for read in (
                lambda: tracker.store.read(["task-1"]),
                lambda: tracker.store.read_checkpoint("task-1"),
            ):
                deadline = time.monotonic() + FAILOVER_DEADLINE_S
                while True:
                    try:
                        assert await read()
                        break
                    except StoreUnavailableError:
                        assert time.monotonic() < deadline
                        await asyncio.sleep(0.05)
