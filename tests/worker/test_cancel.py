"""Cancelling: who asks, how the running code hears of it, and how the task ends."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

import headway
from headway import TaskCancelled, TaskNotFoundError
from headway.errors import TaskStateError
from headway.models import CancelRequest, TaskProgress, TaskStatus, encode_json
from headway.store import keys
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker
from headway.worker import cancels
from headway.worker.reporter import Reporter
from headway.worker.task import Task

NewTask = Callable[..., Task]
Stored = Callable[[Task], TaskProgress | None]
WaitUntil = Callable[..., Any]
OpenTracker = Callable[..., ProgressTracker]


def request(by: str = "maria") -> CancelRequest:
    return CancelRequest(by=by, at=Timestamp(time.time()))


def ask(open_tracker: OpenTracker, task_id: str, by: str = "maria") -> TaskStatus:
    """Ask as another process does: through Redis."""

    async def run() -> TaskStatus:
        async with open_tracker() as tracker:
            return await tracker.cancel(task_id, by=by)

    return asyncio.run(run())


def endless() -> Iterator[int]:
    number = 0
    while True:
        time.sleep(0.001)
        yield number
        number += 1


@pytest.mark.parametrize("items", [endless, lambda: range(10**9)], ids=["generator", "range"])
def test_a_loop_ends_at_its_next_item_when_another_process_asks(
    new_task: NewTask,
    stored: Stored,
    reporter: Reporter,
    open_tracker: OpenTracker,
    items: Callable[[], Any],
) -> None:
    task = new_task()
    cleaned = False
    with pytest.raises(TaskCancelled, match="was cancelled by maria") as raised, task:
        asking = threading.Thread(target=lambda: ask_once_stored(open_tracker, task.task_id))
        asking.start()
        try:
            for _ in task.track(items(), stage="generation"):
                pass
        finally:
            cleaned = True
    asking.join()
    assert cleaned
    assert (raised.value.task_id, raised.value.by) == (task.task_id, "maria")
    assert reporter.flush() == []
    found = stored(task)
    assert found is not None
    assert found.status is TaskStatus.CANCELLED
    assert found.error == "cancelled by maria"
    assert found.cancel_request is not None
    assert found.cancel_request.by == "maria"
    assert found.finished_at is not None
    assert 0 <= found.finished_at - found.cancel_request.at < 5


def ask_once_stored(open_tracker: OpenTracker, task_id: str) -> None:
    for _ in range(500):
        try:
            ask(open_tracker, task_id)
            return
        except TaskNotFoundError:
            time.sleep(0.01)


def test_it_is_raised_once_a_request_so_that_clean_up_can_report(new_task: NewTask) -> None:
    task = new_task()
    with pytest.raises(TaskCancelled), task:
        with task.stage("generation"):
            task.update(0.4)
        task._run.ask_to_stop(request())
        try:
            with task.stage("post_processing"):
                pytest.fail("the stage began")
        finally:
            task.log("saving what there is")
            with task.stage("post_processing"):
                task.update(1.0)
    assert task.progress.status is TaskStatus.CANCELLED
    assert task.progress.stages[3].status.value == "completed"


def test_a_stage_that_clean_up_follows_was_not_completed(new_task: NewTask) -> None:
    task = new_task()
    with pytest.raises(TaskCancelled), task:
        try:
            with task.stage("generation"):
                for number in task.track(range(100)):
                    if number == 40:
                        task._run.ask_to_stop(request())
        finally:
            with task.stage("post_processing"):
                pass
    generation = task.progress.stages[2]
    assert (generation.status.value, generation.error) == ("failed", "cancelled")
    assert generation.progress == pytest.approx(0.4)


@pytest.mark.parametrize(
    "step",
    [
        lambda task: task.check_cancelled(),
        lambda task: task.update(0.5),
        lambda task: task.preview(None),
        lambda task: next(task.track([1, 2])),
        lambda task: task.stage("post_processing").__enter__(),
    ],
    ids=["check_cancelled", "update", "preview", "track", "stage"],
)
def test_every_step_raises_it(new_task: NewTask, step: Callable[[Task], object]) -> None:
    task = new_task()
    with pytest.raises(TaskCancelled), task:
        task.update(0.1)
        task._run.ask_to_stop(request())
        task.log("not a step")
        task.checkpoint({"done": 3})
        step(task)
        pytest.fail("it went on")


def test_code_that_catches_every_failure_of_an_item_stops_all_the_same(new_task: NewTask) -> None:
    task, seen = new_task(), []
    with pytest.raises(TaskCancelled), task:
        for number in task.track(range(1_000)):
            try:
                seen.append(number)
                if number == 5:
                    task._run.ask_to_stop(request())
                    task.check_cancelled()
            except Exception:
                pytest.fail("it is no Exception")
    assert seen == [0, 1, 2, 3, 4, 5]


def test_a_loop_stops_although_the_first_raise_was_swallowed(new_task: NewTask) -> None:
    task = new_task()
    with pytest.raises(TaskCancelled), task:
        for number in task.track(iter(range(1_000))):
            if number == 5:
                task._run.ask_to_stop(request())
                with pytest.raises(TaskCancelled):
                    task.check_cancelled()
            assert number <= 5
    assert task.progress.stages[2].done == 5


def test_an_outer_loop_stops_although_the_inner_ones_raise_was_swallowed(new_task: NewTask) -> None:
    task, reached = new_task(), []
    with pytest.raises(TaskCancelled), task:
        for outer in task.track(range(10)):
            try:
                for inner in task.track(range(10)):
                    reached.append((outer, inner))
                    if (outer, inner) == (2, 3):
                        task._run.ask_to_stop(request())
            except TaskCancelled:
                assert reached[-1] == (2, 3)
    assert reached[-1] == (2, 3)
    assert task.progress.status is TaskStatus.CANCELLED


@pytest.mark.parametrize("loops", [2, 4])
def test_loops_beside_each_other_all_stop(new_task: NewTask, loops: int) -> None:
    task, ends = new_task(), []

    def work() -> None:
        try:
            for _ in task.track(endless()):
                time.sleep(0.001)
        except TaskCancelled as error:
            ends.append(error)

    with task:
        threads = [threading.Thread(target=work, daemon=True) for _ in range(loops)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        task._run.ask_to_stop(request())
        for thread in threads:
            thread.join(5.0)
    assert len(ends) == loops
    found = task.progress
    assert (found.status, found.error) == (TaskStatus.CANCELLED, "cancelled by maria")


async def test_loops_of_one_event_loop_all_stop(new_task: NewTask) -> None:
    task = new_task()

    async def work() -> None:
        for _ in task.track(range(100_000)):
            await asyncio.sleep(0.001)

    with task:
        works = [asyncio.create_task(work()) for _ in range(3)]
        await asyncio.sleep(0.1)
        task._run.ask_to_stop(request())
        ends = await asyncio.gather(*works, return_exceptions=True)
    assert [type(end) for end in ends] == [TaskCancelled] * 3
    assert task.progress.status is TaskStatus.CANCELLED


def test_a_loop_whose_stage_is_over_stops_too(new_task: NewTask) -> None:
    task = new_task()
    with pytest.raises(TaskCancelled), task:
        for number in task.track(range(1_000), stage="model_loading"):
            if number == 5:
                task.update(0.1, stage="generation")
            if number == 10:
                task._run.ask_to_stop(request())
            assert number <= 10


def test_a_task_that_has_not_begun_never_does(new_task: NewTask) -> None:
    task = new_task()
    task._run.ask_to_stop(request())
    assert task.progress.status is TaskStatus.CANCELLED
    with pytest.raises(TaskCancelled), task:
        pytest.fail("it began")
    with pytest.raises(TaskStateError):
        task.update(0.5)


def test_a_task_without_a_block_ends_where_it_is_raised(new_task: NewTask) -> None:
    task = new_task()
    with pytest.raises(TaskCancelled):
        for number in task.track(range(10)):
            if number == 2:
                task._run.ask_to_stop(request())
    assert task.progress.status is TaskStatus.CANCELLED


def test_work_that_was_done_before_it_could_stop_is_completed(new_task: NewTask) -> None:
    with new_task() as task:
        task.update(1.0)
        task._run.ask_to_stop(request())
    assert task.progress.status is TaskStatus.COMPLETED
    assert task.progress.cancel_request is not None


def test_who_asks_twice_is_heard_twice(new_task: NewTask) -> None:
    task = new_task()
    with task:
        task.update(0.1)
        for by in ("maria", "jo"):
            task._run.ask_to_stop(request(by))
            with pytest.raises(TaskCancelled, match=by):
                task.check_cancelled()
        task.check_cancelled()
    assert task.progress.status is TaskStatus.CANCELLED, "it was caught, and cut short all the same"


def test_who_catches_it_and_is_done_all_the_same_says_so(new_task: NewTask) -> None:
    with new_task() as task:
        task._run.ask_to_stop(request())
        with pytest.raises(TaskCancelled):
            task.check_cancelled()
        task.complete()
    assert task.progress.status is TaskStatus.COMPLETED


def test_a_task_that_is_over_is_asked_in_vain(new_task: NewTask) -> None:
    with new_task() as task:
        pass
    task._run.ask_to_stop(request())
    assert task.progress.cancel_request is None


def test_the_error_travels_between_processes_and_fits_a_line() -> None:
    error = pickle.loads(pickle.dumps(TaskCancelled("portrait-1", "maria")))
    assert (error.task_id, error.by) == ("portrait-1", "maria")
    assert error._render_traceback_() == ["TaskCancelled: task 'portrait-1' was cancelled by maria"]


def test_what_was_asked_while_redis_was_away_is_heard_when_it_is_back(
    new_task: NewTask, reporter: Reporter, open_tracker: OpenTracker, redis: Redis, wait_until: WaitUntil
) -> None:
    task = new_task()
    task.update(0.1)
    assert reporter.flush() == []
    wait_until(lambda: dict(redis.pubsub_numsub(keys.CANCELS)).get(keys.CANCELS.encode()) == 1)
    # As a request does that is stored while the hint is lost.
    asked = request()
    redis.hset(keys.task(task.task_id), "cancel", encode_json(asked))
    redis.client_kill_filter(_type="pubsub")
    wait_until(lambda: task.progress.cancel_request == asked)


def test_a_worker_that_was_cancelled_while_it_was_called_lost_hears_of_it(
    new_task: NewTask, reporter: Reporter, redis: Redis, stored: Stored, wait_until: WaitUntil
) -> None:
    task = new_task()
    asked = request()
    with pytest.raises(TaskCancelled), task:
        task.update(0.1)
        assert reporter.flush() == []
        # As `ProgressTracker.cancel` stores it, and nobody announces it.
        script = """
            redis.call('HINCRBY', KEYS[1], 'seq', 5)
            redis.call('HSET', KEYS[1], 'status', 'cancelled', 'cancel', ARGV[1])
            redis.call('HDEL', KEYS[1], 'worker')"""
        redis.eval(script, 1, keys.task(task.task_id), encode_json(asked))
        task.update(0.2)
        wait_until(lambda: task.progress.cancel_request == asked)
        task.check_cancelled()
    assert reporter.flush() == []
    found = stored(task)
    assert found is not None
    assert (found.status, found.error) == (TaskStatus.CANCELLED, "cancelled by maria")


def test_the_next_attempt_is_not_asked_any_more(open_tracker: OpenTracker, redis: Redis) -> None:
    async def run() -> TaskProgress:
        async with open_tracker() as tracker:
            await tracker.create_task_progress("a", "sdxl")
            await tracker.update_stage("a", "execution", progress=0.1)
            await tracker.cancel("a", by="maria")
            attached = await tracker.attach("a", run="new", worker="w")
            return attached.task

    task = asyncio.run(run())
    assert (task.attempt, task.cancel_request, task.status) == (2, None, TaskStatus.IN_PROGRESS)
    assert redis.hget(keys.task("a"), "cancel") is None


class TestTracker:
    def test_a_task_that_nobody_runs_is_cancelled_at_once(self, open_tracker: OpenTracker) -> None:
        async def run() -> None:
            async with open_tracker() as tracker:
                await tracker.create_task_progress("a", "sdxl")
                assert await tracker.cancel("a", by="  maria\n ") is TaskStatus.CANCELLED
                task = await tracker.get_progress("a")
                assert (task.status, task.error) == (TaskStatus.CANCELLED, "cancelled by maria")
                assert task.cancel_request is not None
                assert await tracker.cancel("a", by="jo") is TaskStatus.CANCELLED
                assert (await tracker.get_progress("a")).cancel_request == task.cancel_request
                assert len(await tracker.read_history(["sdxl"])) == 1

        asyncio.run(run())

    def test_what_cannot_be_cancelled_says_why(self, open_tracker: OpenTracker) -> None:
        async def run() -> None:
            async with open_tracker() as tracker:
                with pytest.raises(TaskNotFoundError):
                    await tracker.cancel("missing", by="maria")
                await tracker.create_task_progress("a", "sdxl")
                await tracker.finish_task("a")
                with pytest.raises(TaskStateError, match="'a' is completed"):
                    await tracker.cancel("a", by="maria")

        asyncio.run(run())

    def test_a_task_whose_worker_is_gone_is_cancelled_for_it(
        self, open_tracker: OpenTracker, server: Any
    ) -> None:
        async def run() -> None:
            async with open_tracker() as tracker:
                await tracker.create_task_progress("a", "sdxl")
                await tracker.store.leases.trust()
                await tracker.attach("a", run="r", worker="dead")
                assert await tracker.cancel("a", by="maria") is TaskStatus.CANCELLED

        asyncio.run(run())


class TestApi:
    def test_a_task_of_this_process_is_asked_without_redis(self, redis: Redis) -> None:
        task = headway.task("portrait", category="image_generation", show=False)
        with pytest.raises(TaskCancelled, match="by me"), task:
            for number in task.track(range(10)):
                if number == 3:
                    headway.cancel(task, by="me")
        assert task.progress.status is TaskStatus.CANCELLED

    def test_several_are_asked_although_one_is_missing(self, redis: Redis) -> None:
        task = headway.task("portrait", show=False)
        with pytest.raises(TaskNotFoundError):
            headway.cancel(["missing", task.task_id])
        assert task.progress.status is TaskStatus.CANCELLED
        assert (task.progress.error or "").startswith("cancelled by ")

    def test_a_user_without_a_name_has_a_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def nameless() -> str:
            raise OSError("no such user")

        monkeypatch.setattr("getpass.getuser", nameless)
        task = headway.task("portrait", show=False)
        headway.cancel(task)
        assert (task.progress.error or "").startswith("cancelled by user ")


def test_the_follower_comes_back_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[float] = []

    async def connect() -> ProgressTracker:
        tries.append(time.monotonic())
        raise headway.errors.StoreUnavailableError("away")  # type: ignore[attr-defined]

    async def run() -> None:
        added = asyncio.Event()
        added.set()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await cancels.follow_cancels({}, is_added=added, connect=connect, lost=lambda: None)

    asyncio.run(run())
    assert 2 <= len(tries) <= 4
