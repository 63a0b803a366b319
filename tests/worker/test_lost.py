"""Workers that die, stand still or leave: their tasks are lost, in time, and only then."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from redis import Redis

import headway
from headway.errors import StoreError
from headway.models import TaskProgress, TaskStatus
from headway.settings import Settings
from headway.store import keys
from headway.store.embedded import EmbeddedServer
from headway.store.leases import LEASE_S
from headway.store.tasks import TaskStore
from headway.tracker import ProgressTracker
from headway.worker.reporter import REPORTER
from tests.puppet import Puppet, start_puppet

STAGES = {"load": 1.0, "run": 3.0}
LOST_WITHIN_S = 5.0
LOOK_S = 0.05
# Redis was flushed: half a second to the next renewal, a tenth to the next look, and a busy machine.
RE_CREATED_WITHIN_S = 1.5


class Watch:
    """What trackers saw of some tasks: each state once, and when."""

    def __init__(self, trackers: Sequence[ProgressTracker], task_ids: Iterable[str]) -> None:
        self._trackers = trackers
        self.seen: dict[str, list[tuple[float, TaskProgress]]] = {task_id: [] for task_id in task_ids}

    async def look(self) -> None:
        """Let all trackers look at the same instant."""
        reads = [tracker.read(self.seen) for tracker in self._trackers]
        for answer in await asyncio.gather(*reads, return_exceptions=True):
            if isinstance(answer, StoreError):
                with suppress(StoreError):
                    await self._trackers[0].store.connect()
                continue
            assert isinstance(answer, dict), answer
            for task_id, stored in answer.items():
                states = self.seen[task_id]
                if not states or stored.seq > states[-1][1].seq:
                    states.append((time.monotonic(), TaskProgress.from_json(stored.data)))

    async def until(self, condition: Callable[[], Any], deadline_s: float) -> None:
        deadline = time.monotonic() + deadline_s
        while not condition() and time.monotonic() < deadline:
            await self.look()
            await asyncio.sleep(LOOK_S)

    def states(self, task_id: str) -> list[TaskProgress]:
        return [state for _, state in self.seen[task_id]]

    def is_lost(self, *task_ids: str) -> bool:
        return all(self.states(task_id)[-1].status is TaskStatus.LOST for task_id in task_ids)

    def when(self, task_id: str, status: TaskStatus, *, after: float) -> float:
        """When a task was first seen so, in seconds after an instant."""
        found = [at for at, state in self.seen[task_id] if at > after and state.status is status]
        assert found, f"{task_id} never was {status}: {self.states(task_id)}"
        return found[0] - after


@asynccontextmanager
async def two_trackers(settings: Settings) -> AsyncIterator[list[ProgressTracker]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(ProgressTracker(TaskStore(settings))) for _ in range(2)]


def begin(puppet: Puppet, task_id: str, progress: float, message: str) -> None:
    puppet.do(f"task = headway.task('t', task_id={task_id!r}, stages={STAGES}).__enter__()")
    puppet.do(f"task.update({progress}, stage='run', message={message!r}); task.flush()")


class Aftermath:
    """What became of the tasks of a worker that was killed, one that stood still, and one that left.

    Attributes
    ----------
    killed_at, resumed_at, left_at
        When it happened.
    unseen
        What the first look saw of a task of the killed worker, some time after its death.
    listed
        What `headway.tasks` said were lost, when all was over.
    """

    killed_at: float
    resumed_at: float
    left_at: float
    unseen: TaskProgress
    listed: set[str]
    watch: Watch

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        with ExitStack() as stack:
            killed, paused, leaver = [stack.enter_context(start_puppet()) for _ in range(3)]
            begin(killed, "unseen", 0.2, "step 2")
            begin(killed, "killed", 0.4, "step 4")
            begin(paused, "paused", 0.0, "compiling")
            begin(leaver, "left", 0.6, "step 6")
            killed.do("while task.progress.eta is None: task.update(message='step 4') or time.sleep(0.05)")
            killed.do("task.flush()")
            asyncio.run(self._happen(killed, paused, leaver))
            self.listed = {task.task_id for task in headway.tasks(status="lost")}
            REPORTER.close()

    async def _happen(self, killed: Puppet, paused: Puppet, leaver: Puppet) -> None:
        async with two_trackers(self._settings) as trackers:
            await trackers[0].create_task_progress("nobodys", "t", stages=STAGES)
            await trackers[0].update_stage("nobodys", "run", progress=0.5)
            self.watch = watch = Watch(trackers, ["killed", "paused", "left", "nobodys"])
            await watch.look()
            killed.kill()
            paused.pause()
            self.killed_at = time.monotonic()
            await watch.until(lambda: watch.is_lost("killed", "paused"), 2 * LOST_WITHIN_S)
            self.unseen = await trackers[1].get_progress("unseen")
            paused.resume()
            self.resumed_at = time.monotonic()
            await watch.until(lambda: not watch.is_lost("paused"), LOST_WITHIN_S)
            leaver.leave()
            self.left_at = time.monotonic()
            await watch.until(lambda: watch.is_lost("left"), LOST_WITHIN_S)
            assert leaver.errors() == paused.errors() == ""


@pytest.fixture(scope="module")
def aftermath(server: EmbeddedServer) -> Aftermath:
    server.ensure()
    with Redis.from_url(server.url) as client:
        client.flushall()
    return Aftermath(Settings(data_dir=server.folder))


def test_the_task_of_a_killed_worker_is_lost_in_time(aftermath: Aftermath) -> None:
    took = aftermath.watch.when("killed", TaskStatus.LOST, after=aftermath.killed_at)
    assert took < LOST_WITHIN_S


def test_it_keeps_the_last_stage_and_message_and_has_no_estimate(aftermath: Aftermath) -> None:
    *_, before, lost = aftermath.watch.states("killed")
    assert before.eta is not None
    assert lost.lost_at is not None
    assert (lost.eta, lost.finished_at) == (None, None)
    assert (lost.stages, lost.current_stage, lost.overall_progress) == (
        before.stages,
        before.current_stage,
        before.overall_progress,
    )
    assert lost.stages[1].message == "step 4"
    assert lost.updated_at == before.updated_at < lost.lost_at


def test_of_all_who_look_one_stores_the_loss(aftermath: Aftermath) -> None:
    *_, before, lost = aftermath.watch.states("killed")
    assert before.status is TaskStatus.IN_PROGRESS
    assert lost.seq == before.seq + 1


def test_a_task_that_nobody_looked_at_is_lost_at_the_first_look(aftermath: Aftermath) -> None:
    assert (aftermath.unseen.status, aftermath.unseen.stages[1].message) == (TaskStatus.LOST, "step 2")


def test_a_worker_that_stands_still_is_lost_and_comes_back_without_a_word_of_its_code(
    aftermath: Aftermath,
) -> None:
    assert aftermath.watch.when("paused", TaskStatus.LOST, after=aftermath.killed_at) < LOST_WITHIN_S
    assert aftermath.watch.when("paused", TaskStatus.IN_PROGRESS, after=aftermath.resumed_at) < 2.0
    before, lost, back = aftermath.watch.states("paused")[-3:]
    assert (lost.status, back.status, back.lost_at) == (TaskStatus.LOST, TaskStatus.IN_PROGRESS, None)
    assert (back.stages, back.attempt) == (before.stages, 1)


def test_a_worker_that_ends_with_a_task_left_open_is_lost_at_once(aftermath: Aftermath) -> None:
    assert aftermath.watch.when("left", TaskStatus.LOST, after=aftermath.left_at) < 0.5
    assert not aftermath.watch.is_lost("paused"), "and nobody else is"


def test_a_task_that_no_worker_runs_is_never_lost(aftermath: Aftermath) -> None:
    assert [state.status for state in aftermath.watch.states("nobodys")] == [TaskStatus.IN_PROGRESS]


def test_the_list_of_what_is_lost_has_them_all(aftermath: Aftermath) -> None:
    assert aftermath.listed == {"killed", "unseen", "left"}


def kill_server(server: EmbeddedServer) -> None:
    with Redis.from_url(server.url) as client:
        os.kill(int(client.info("server")["process_id"]), signal.SIGKILL)


@pytest.fixture
def quiet_and_busy() -> Iterator[Callable[..., Puppet]]:
    """Workers with two tasks each: one that reports nothing any more, and one that always has news."""
    with ExitStack() as stack:

        def start(**variables: str) -> Puppet:
            puppet = stack.enter_context(start_puppet(**variables))
            begin(puppet, "quiet", 0.0, "compiling")
            begin(puppet, "busy", 0.0, "step 0")
            puppet.begin("for i in range(600): task.update(i / 600, message=f'step {i}') or time.sleep(0.05)")
            return puppet

        yield start


async def test_after_a_restart_and_a_flush_of_redis_no_task_is_lost_and_all_are_there_again(
    tmp_path_factory: pytest.TempPathFactory,
    redis: Redis,
    settings: Settings,
    quiet_and_busy: Callable[..., Puppet],
) -> None:
    folder = tmp_path_factory.mktemp("hw")
    quiet_and_busy(HEADWAY_DATA_DIR=str(folder))
    quiet_and_busy()
    async with (
        two_trackers(Settings(data_dir=folder)) as restarted,
        two_trackers(settings) as flushed,
    ):
        after_restart, after_flush = (Watch(trackers, ["quiet", "busy"]) for trackers in (restarted, flushed))
        await asyncio.gather(after_restart.look(), after_flush.look())
        kill_server(EmbeddedServer(folder))
        redis.flushall()
        happened_at = time.monotonic()

        async def is_re_created() -> float:
            while redis.exists(keys.task("quiet"), keys.task("busy")) < 2:
                assert time.monotonic() < happened_at + LOST_WITHIN_S
                await asyncio.sleep(LOOK_S)
            return time.monotonic() - happened_at

        _, _, took = await asyncio.gather(
            after_restart.until(lambda: False, LEASE_S + 1.0),
            after_flush.until(lambda: False, LEASE_S + 1.0),
            is_re_created(),
        )
        assert took < RE_CREATED_WITHIN_S
        assert redis.ttl(keys.task("quiet")) > 0
        tasks, _ = await flushed[0].list_tasks()
        assert {task.task_id for task in tasks} == {"quiet", "busy"}
        for watch in (after_restart, after_flush):
            for task_id in ("quiet", "busy"):
                assert {state.status for state in watch.states(task_id)} == {TaskStatus.IN_PROGRESS}
            assert time.monotonic() - watch.seen["busy"][-1][0] < 1.0, "its news arrive"
            assert watch.states("quiet")[-1].stages[1].message == "compiling"
