"""Estimates of waiting tasks, with a real Valkey and a real server."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis

from headway.estimates import Estimate, Figures, Span
from headway.learner import REFRESH_S
from headway.models import TaskProgress, TaskStatus
from headway.records import StageRecord, TaskHistory
from headway.server import forecasts as module
from headway.server.forecasts import MAX_WRITES, NOTABLE_S, OTHERS_S, Forecasts, has_moved
from headway.server.open_tasks import PAGE, OpenTasks
from headway.settings import Settings
from headway.store import keys, leases
from headway.store.tasks import TaskStore
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker

STAGES = {"queue": 0.5, "generation": 20.0, "post_processing": 2.0}
WEIGHTS = {"queue": 1.0, "generation": 8.0, "post_processing": 1.0}


def record(number: int, template: str = "t", *, begun_at: float = 1_000_000.0) -> TaskHistory:
    """A task of 22.5 s, give or take a little."""
    seconds = [(stage, s * (1.0 + 0.01 * (number % 5))) for stage, s in STAGES.items()]
    begin = begun_at + 100.0 * number
    return TaskHistory(
        task_id=f"past-{number}",
        template_id=template,
        submitted_at=Timestamp(begin),
        finished_at=Timestamp(begin + sum(s for _, s in seconds)),
        stages=tuple(StageRecord(id=stage, duration_s=s) for stage, s in seconds),
    )


async def learn(tracker: ProgressTracker, template: str = "t", count: int = 20) -> None:
    for number in range(count):
        await tracker.record_completion(record(number, template))


async def queue(tracker: ProgressTracker, *task_ids: str, template: str = "t") -> None:
    for task_id in task_ids:
        await tracker.create_task_progress(task_id, template, stages=WEIGHTS)


def stored(redis: Redis, task_id: str) -> TaskProgress:
    return TaskProgress.from_json(redis.hget(keys.task(task_id), "data"))


def eta(redis: Redis, task_id: str) -> Estimate | None:
    return stored(redis, task_id).eta


class TestServer:
    async def test_tasks_that_wait_are_estimated_in_their_order_and_viewers_hear_of_it(
        self, tracker: ProgressTracker, redis: Redis, open_viewer: Any, fetch: Any, eventually: Any
    ) -> None:
        await learn(tracker)
        await queue(tracker, "running", "a", "b", "c")
        await tracker.update_stage("running", "generation", progress=0.5)
        async with open_viewer() as viewer:
            await viewer.subscribe("c")
            heard = await viewer.hear()
            while heard["data"]["eta"] is None:
                heard = await viewer.hear()
        await eventually(lambda: all(eta(redis, task_id) for task_id in ("running", "a", "b", "c")))
        estimates = [eta(redis, task_id) for task_id in "abc"]
        assert [e.evidence.ahead for e in estimates] == [0, 1, 2]
        assert estimates[2].evidence.runs == 20
        waits = [e.wait.median for e in estimates]
        assert waits == sorted(waits)
        assert 15.0 < waits[2] - waits[1] < 30.0
        medians = [e.median for e in estimates]
        assert medians == sorted(medians)
        assert eta(redis, "running").wait is None
        answer = json.loads((await fetch("tasks/c/progress")).body)
        assert (answer["status"], answer["eta"]["evidence"]["ahead"]) == ("queued", 2)

    async def test_when_it_starts_the_wait_is_gone_and_the_others_move_up(
        self, tracker: ProgressTracker, redis: Redis, eventually: Any
    ) -> None:
        await learn(tracker)
        await queue(tracker, "a", "b")
        await eventually(lambda: eta(redis, "b") and eta(redis, "b").evidence.ahead == 1)
        await tracker.update_stage("a", "generation", progress=0.1)
        await eventually(lambda: eta(redis, "a").wait is None and eta(redis, "b").evidence.ahead == 0)
        await tracker.finish_task("a")
        assert eta(redis, "a") is None

    async def test_a_worker_that_takes_it_up_has_the_word(
        self, tracker: ProgressTracker, redis: Redis, eventually: Any
    ) -> None:
        await learn(tracker)
        await queue(tracker, "a", "b")
        await eventually(lambda: eta(redis, "a") and eta(redis, "b"))
        await tracker.store.leases.renew("worker")
        attached = await tracker.attach("a", run="r", worker="worker")
        # It is the worker's now: the next one's estimate is made anew, and this one's is not.
        await tracker.finish_task("b", TaskStatus.CANCELLED)
        await queue(tracker, "c")
        await eventually(lambda: eta(redis, "c"))
        assert (eta(redis, "a"), stored(redis, "a").seq) == (None, attached.task.seq)

    async def test_without_a_store_nothing_is_estimated_and_with_it_again(
        self, tracker: ProgressTracker, redis: Redis, eventually: Any
    ) -> None:
        await learn(tracker)
        await queue(tracker, "a")
        await eventually(lambda: eta(redis, "a"))
        os.kill(redis.info()["process_id"], signal.SIGKILL)
        for _ in range(100):  # the hub starts it again
            try:
                await queue(tracker, "b")
                break
            except Exception:
                await asyncio.sleep(0.1)
        url = tracker.store.url
        with Redis.from_url(url) as client:
            await eventually(lambda: eta(client, "b") and eta(client, "b").evidence.ahead == 1)

    async def test_stopping_the_server_ends_it(
        self, tracker: ProgressTracker, running_server: Any, redis: Redis, eventually: Any
    ) -> None:
        await learn(tracker)
        await queue(tracker, "a")
        await eventually(lambda: eta(redis, "a"))
        own = [task for task in asyncio.all_tasks() if "Forecasts._run" in repr(task)]
        assert len(own) == 1
        await running_server.extension_manager.stop_all_extensions()
        assert own[0].cancelled()


def test_a_server_that_starts_does_not_load_numpy() -> None:
    script = "import headway.server.app, sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.fixture
def open_forecasts(settings: Settings) -> Callable[..., Any]:
    """``async with open_forecasts() as (forecasts, tracker)``; they look when the test says so."""

    @asynccontextmanager
    async def open_(**changes: object) -> AsyncIterator[tuple[Forecasts, ProgressTracker]]:
        async with ProgressTracker(TaskStore(replace(settings, **changes))) as tracker:
            forecasts = Forecasts(tracker)
            yield forecasts, tracker
            await forecasts.stop()

    return open_


class TestLook:
    async def test_without_history_nothing_is_said(self, open_forecasts: Any, redis: Redis) -> None:
        async with open_forecasts() as (forecasts, tracker):
            await queue(tracker, "a", "b")
            assert await forecasts.look(time.time()) == 0
            assert eta(redis, "a") is None
            await learn(tracker)
            await queue(tracker, "c", template="other")
            await asyncio.sleep(REFRESH_S)
            assert await forecasts.look(time.time()) == 3, "the other borrows from templates like it"

    async def test_what_does_not_change_is_not_written_again(self, open_forecasts: Any, redis: Redis) -> None:
        async with open_forecasts() as (forecasts, tracker):
            await learn(tracker)
            await queue(tracker, "running", "a", "b")
            await tracker.store.leases.renew("worker")
            await tracker.attach("running", run="r", worker="worker")
            await tracker.update_stage("running", "generation", progress=0.1)
            assert await forecasts.look(time.time()) == 2
            seqs = [stored(redis, task_id).seq for task_id in "ab"]
            assert [await forecasts.look(time.time()) for _ in range(5)] == [0] * 5
            assert [stored(redis, task_id).seq for task_id in "ab"] == seqs

    async def test_a_task_whose_wait_nothing_is_known_of_has_no_estimate(
        self, open_forecasts: Any, redis: Redis
    ) -> None:
        async with open_forecasts() as (forecasts, tracker):
            await learn(tracker)
            await tracker.create_task_progress("a", "t", stages={"generation": 8.0, "post_processing": 1.0})
            assert await forecasts.look(time.time()) == 0

    async def test_two_servers_do_not_write_against_each_other(
        self, open_forecasts: Any, redis: Redis
    ) -> None:
        async with open_forecasts() as (one, tracker), open_forecasts() as (other, _):
            await learn(tracker)
            await queue(tracker, "a", "b", "c")
            now = time.time()
            assert await one.look(now) == 3
            # The other one has learned something else, and still leaves what was said as it is.
            for number in range(30):
                await tracker.record_completion(record(100 + number))
            assert [await other.look(now + second) for second in (0.1, 0.2)] == [0, 0]
            await tracker.finish_task("a", TaskStatus.CANCELLED)
            assert await other.look(now + 1.2) == 2
            assert await one.look(now + 1.3) == 0
            # One that finds what a server said that is gone says what is true.
            async with open_forecasts() as (third, _):
                await tracker.finish_task("b", TaskStatus.CANCELLED)
                assert await third.look(now + 2 * OTHERS_S) == 1
            assert eta(redis, "c").evidence.ahead == 0

    async def test_a_long_queue_is_written_in_parts_those_that_start_first_before_the_others(
        self, open_forecasts: Any, redis: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "BUDGET_S", 60.0)
        async with open_forecasts() as (forecasts, tracker):
            await learn(tracker)
            names = [f"task-{number:03}" for number in range(MAX_WRITES + 50)]
            await queue(tracker, *names)
            assert await forecasts.look(time.time()) == MAX_WRITES
            assert [name for name in names if eta(redis, name)] == names[:MAX_WRITES]
            assert await forecasts.look(time.time()) == 50

    async def test_with_little_time_each_has_its_turn(
        self, open_forecasts: Any, redis: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "FIRST", 5)
        monkeypatch.setattr(module, "BUDGET_S", 0.002)
        async with open_forecasts() as (forecasts, tracker):
            await learn(tracker)
            names = [f"task-{number:02}" for number in range(30)]
            await queue(tracker, *names)
            for _ in range(60):
                await forecasts.look(time.time())
                if all(eta(redis, name) for name in names):
                    break
            assert all(eta(redis, name) for name in names)

    async def test_a_task_that_nobody_takes_up_expires_all_the_same(
        self, open_forecasts: Any, redis: Redis
    ) -> None:
        async with open_forecasts(ttl_s=100) as (forecasts, tracker):
            await learn(tracker)
            await queue(tracker, "a")
            now = time.time()
            assert await forecasts.look(now + 50.0) == 1
            assert await forecasts.look(now + 101.0) == 0
            await queue(tracker, "b")
            await forecasts.look(now + 90.0)
            assert eta(redis, "b").evidence.ahead == 1, "it counts as long as it is stored"

    async def test_a_task_that_was_made_anew_is_told_anew(self, open_forecasts: Any, redis: Redis) -> None:
        async with open_forecasts() as (forecasts, tracker):
            await learn(tracker)
            await queue(tracker, "a", "b")
            await forecasts.look(time.time())
            redis.delete(keys.task("a"))
            await queue(tracker, "a")
            await forecasts.look(time.time())
            assert [eta(redis, task_id).evidence.ahead for task_id in "ab"] == [1, 0]

    async def test_a_later_attempt_that_is_nobodys_again_counts_what_was_worked(
        self, open_forecasts: Any, redis: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_forecasts() as (forecasts, tracker):
            await learn(tracker)
            await queue(tracker, "a")
            await tracker.update_stage("a", "generation", progress=0.5)
            await tracker.attach("a", run="r", worker="")
            assert await forecasts.look(time.time()) == 1
            assert eta(redis, "a").wait is None

    async def test_the_dead_do_not_keep_those_waiting_that_come_after_them(
        self, open_forecasts: Any, redis: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(leases, "LEASE_S", 0.5)
        async with open_forecasts() as (forecasts, tracker):
            await learn(tracker)
            await queue(tracker, "dead", "a")
            await tracker.store.leases.renew("worker")
            redis.hset(keys.LEASES_EPOCH, "since", int(1_000 * time.time()) - 60_000)
            await tracker.attach("dead", run="r", worker="worker")
            await tracker.update_stage("dead", "generation", progress=0.01)
            await forecasts.look(time.time())
            waited = eta(redis, "a").wait.median
            await asyncio.sleep(0.7)
            await forecasts.look(time.time())
            assert stored(redis, "dead").status is TaskStatus.LOST
            assert eta(redis, "a").wait.median < waited / 2

    async def test_a_defect_is_told_once_and_does_not_end_it(
        self,
        open_forecasts: Any,
        redis: Redis,
        eventually: Any,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        calls: list[float] = []

        def fail() -> Any:
            calls.append(time.monotonic())
            raise RuntimeError("broken")

        monkeypatch.setattr(module, "LOOK_S", 0.01)
        async with open_forecasts() as (forecasts, tracker):
            await learn(tracker)
            await queue(tracker, "a")
            with caplog.at_level(logging.WARNING), monkeypatch.context() as patch:
                patch.setattr(module, "_make_predictor", fail)
                forecasts.start()
                await eventually(lambda: len(calls) > 3)
            await eventually(lambda: eta(redis, "a"))
            await forecasts.stop()
        warnings = [entry.getMessage() for entry in caplog.records if entry.name == "headway"]
        assert warnings == ["headway: waiting tasks cannot be estimated: RuntimeError('broken')"]

    async def test_one_that_was_told_to_end_while_it_started_does_not_start(
        self, open_forecasts: Any
    ) -> None:
        async with open_forecasts() as (forecasts, _):
            running = len(asyncio.all_tasks())
            await forecasts.stop()
            forecasts.start()
            assert len(asyncio.all_tasks()) == running


class TestOpenTasks:
    async def test_nothing_is_kept_while_every_task_has_a_worker(self, open_forecasts: Any) -> None:
        async with open_forecasts() as (_, tracker):
            open_tasks = OpenTasks(tracker)
            await queue(tracker, "a")
            await tracker.store.leases.renew("worker")
            await tracker.attach("a", run="r", worker="worker")
            assert await open_tasks.look(time.time()) == {}
            await queue(tracker, "b")
            assert set(await open_tasks.look(time.time())) == {"a", "b"}, "the running one delays the other"
            await tracker.finish_task("b")
            assert await open_tasks.look(time.time()) == {"b": None}
            assert await open_tasks.look(time.time()) == {"a": None}
            assert open_tasks.followed == {}

    async def test_more_new_tasks_than_a_page_are_all_found(self, open_forecasts: Any) -> None:
        async with open_forecasts() as (_, tracker):
            open_tasks = OpenTasks(tracker)
            await queue(tracker, "first")
            await open_tasks.look(time.time())
            await queue(tracker, *(f"task-{number}" for number in range(PAGE + 20)))
            assert len(await open_tasks.look(time.time())) == PAGE + 20

    async def test_no_more_are_followed_than_its_bound_and_the_others_move_up(
        self, open_forecasts: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("headway.server.open_tasks.MAX_FOLLOWED", 3)
        async with open_forecasts() as (_, tracker):
            open_tasks = OpenTasks(tracker)
            await queue(tracker, "a", "b", "c", "d", "e")
            assert list(await open_tasks.look(time.time())) == ["a", "b", "c"]
            await tracker.finish_task("b")
            await open_tasks.look(time.time())
            assert list(await open_tasks.look(time.time())) == ["d"]
            assert set(open_tasks.followed) == {"a", "c", "d"}


def estimate(median: float, *, reach: float = 10.0, wait: float | None = None, ahead: int = 0) -> Estimate:
    return Estimate(
        low=Timestamp(median - reach),
        median=Timestamp(median),
        high=Timestamp(median + reach),
        basis="20 runs of this template",
        wait=None if wait is None else Span(low=wait, median=wait, high=wait),
        evidence=Figures(runs=20, ahead=ahead),
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, None, False),
        (None, estimate(1_100.0), True),
        (estimate(1_100.0), None, True),
        (estimate(1_100.0), estimate(1_100.0), False),
        (estimate(1_100.0), estimate(1_101.9), False),
        (estimate(1_100.0), estimate(1_103.0), True),
        (estimate(1_010.0), estimate(1_010.9 * NOTABLE_S), False),
        (estimate(1_100.0), estimate(1_100.0, reach=40.0), True),
        (estimate(1_100.0), replace(estimate(1_100.0), late=True), True),
        # Ten seconds later it starts in ten seconds less.
        (estimate(1_100.0, wait=60.0), estimate(1_100.0, wait=50.0), False),
        (estimate(1_100.0, wait=60.0), estimate(1_100.0, wait=60.0), True),
        (estimate(1_100.0, wait=60.0), estimate(1_100.0), True),
        (estimate(1_100.0, wait=60.0, ahead=3), estimate(1_100.0, wait=50.0, ahead=2), True),
        (estimate(1_100.0, wait=60.0, ahead=300), estimate(1_100.0, wait=50.0, ahead=299), False),
    ],
)
def test_viewers_hear_of_what_they_would_notice(
    old: Estimate | None, new: Estimate | None, expected: bool
) -> None:
    assert has_moved(old, 990.0, new, 1_000.0) is expected
