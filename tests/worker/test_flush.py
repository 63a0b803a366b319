"""Flush: what it has confirmed is in Redis for good, and what Redis could not take follows."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis

import headway
from headway.errors import StoreUnavailableError, TaskStateError
from headway.logs import LogPage
from headway.models import StageProgress, TaskProgress, TaskStatus
from headway.store import keys
from headway.store.embedded import EmbeddedServer
from headway.store.reports import MAX_WAITING_BYTES
from headway.worker.reporter import REPORTER
from headway.worker.task import Task
from tests.puppet import start_puppet
from tests.redis_servers import Server

WaitUntil = Callable[..., Any]
STAGES = {"load": 1.0, "run": 3.0, "save": 1.0}


@pytest.fixture(autouse=True)
def closed(redis: Redis) -> Iterator[None]:
    yield
    REPORTER.close()


@contextmanager
def away(redis: Redis) -> Iterator[None]:
    """Let Redis stand still for the length of a ``with`` block."""
    pid = int(redis.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def short_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headway.store.clients.TIMEOUT_S", 0.5)


def stored(redis: Redis, task_id: str = "a") -> TaskProgress:
    data: Any = redis.hget(keys.task(task_id), "data")
    return TaskProgress.from_json(data)


def logs(task_id: str = "a") -> LogPage:
    """All of a task's log as one page."""
    page = REPORTER.call(lambda tracker: tracker.read_logs(task_id))
    while page.cursor is not None:
        since, before = page.cursor, page.entries
        page = REPORTER.call(lambda tracker, since=since: tracker.read_logs(task_id, since=since))
        page = replace(page, entries=before + page.entries)
    return page


def stage(task: Task, stage_id: str) -> StageProgress:
    found = task.progress.stage(stage_id)
    assert found is not None
    return found


def test_what_was_reported_before_is_in_redis_when_flush_returns(redis: Redis) -> None:
    with headway.task("t", task_id="a", stages=STAGES) as task:
        for number in range(1, 21):
            task.update(number / 20, stage="run", message=f"step {number}")
            task.log(f"line {number}", step=number)
            task.checkpoint({"done": number})
            task.flush()
            assert stored(redis).stages[1].message == f"step {number}"
            assert stored(redis) == task.progress
            assert redis.xlen(keys.logs("a")) == number
            assert redis.hget(keys.task("a"), "checkpoint") == b'{"done":%d}' % number
    task.flush()
    assert stored(redis).status is TaskStatus.COMPLETED
    task.flush()  # with nothing new, and the task over


def test_a_log_entry_alone_is_news_and_so_is_a_checkpoint(redis: Redis) -> None:
    task = headway.task("t", task_id="a")
    task.flush()
    task.log("alone", level="WARNING", seed=7)
    task.flush()
    (entry,) = logs().entries
    assert (entry.level, entry.message, entry.metadata) == ("warning", "alone", {"seed": 7})
    assert abs(entry.timestamp - time.time()) < 10
    task.checkpoint({"x": 1})
    task.flush()
    assert redis.hget(keys.task("a"), "checkpoint") == b'{"x":1}'
    with pytest.raises(headway.UsageError, match="expected a level of debug"):
        task.log("x", level="loud")


def test_while_redis_stands_still_flush_raises_in_time_and_the_state_follows(
    redis: Redis, wait_until: WaitUntil
) -> None:
    task = headway.task("t", task_id="a", stages=STAGES)
    task.flush()
    with away(redis):
        task.update(0.5, stage="run")
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError, match=r"did not take task 'a' within 0\.3 s"):
            task.flush(0.3)
        assert 0.3 <= time.monotonic() - began < 0.8
    task.flush()
    assert stored(redis).stages[1].progress == 0.5


def test_with_nothing_new_flush_raises_the_same_while_redis_stands_still(
    redis: Redis, wait_until: WaitUntil, short_time_out: None
) -> None:
    task = headway.task("t", task_id="a", stages=STAGES)
    task.flush()
    with away(redis):
        wait_until(lambda: not REPORTER._link._is_connected)  # the lease could not be renewed
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            task.flush(4)
        assert time.monotonic() - began < 4.5
    task.flush()


def test_without_a_server_of_ones_own_flush_raises_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(tmp_path / "redis") as server:
        monkeypatch.setenv("HEADWAY_REDIS_URL", f"redis://{server.address}")
        task = headway.task("t", task_id="a")
        task.flush()
        server.kill()
        task.log("too late")
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            task.flush(0.3)
        assert time.monotonic() - began < 0.8
        REPORTER._tasks.clear()  # nothing to wait for at the close


def test_what_flush_confirmed_survives_the_death_of_the_server_and_of_the_worker(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("hw")
    server = EmbeddedServer(folder)
    server.ensure()
    with start_puppet(HEADWAY_DATA_DIR=str(folder)) as worker:
        worker.do(f"task = headway.task('t', task_id='a', stages={STAGES}).__enter__()")
        for number in range(1, 6):
            worker.do(f"task.update({number / 10}, stage='run', message='round {number}')")
            worker.do(f"for i in range(100): task.log('x' * 500, round={number})")
            worker.do(f"task.checkpoint({{'round': {number}}}); task.flush()")
            worker.pause()  # it cannot send anything again
            with Redis.from_url(server.url) as client:
                os.kill(int(client.info("server")["process_id"]), signal.SIGKILL)
            server.ensure()
            with Redis.from_url(server.url) as client:
                found = stored(client).stage("run")
                assert found is not None
                assert (found.progress, found.message) == (number / 10, f"round {number}")
                assert client.xlen(keys.logs("a")) == 100 * number
                assert client.hget(keys.task("a"), "checkpoint") == b'{"round":%d}' % number
                assert client.zscore(keys.INDEX, "a") is not None
            worker.resume()
        worker.kill()
    server.release()


def test_what_happens_while_redis_is_away_arrives_with_its_times(redis: Redis) -> None:
    tasks = {task_id: headway.task("t", task_id=task_id, stages=STAGES) for task_id in ("a", "b", "c")}
    for task in tasks.values():
        task.flush()
    with away(redis):
        began = time.time()
        with tasks["a"] as task:
            for stage_id in STAGES:
                with task.stage(stage_id):
                    time.sleep(0.15)  # a stage of that duration; the reporter looks at each of them
            task.checkpoint({"of": "a"})
        with pytest.raises(ValueError, match="bad seed"), tasks["b"] as task, task.stage("load"):
            task.checkpoint({"of": "b"})
            raise ValueError("bad seed")
        tasks["c"].update(0.5, stage="run")
        ended = time.time()
    for task in tasks.values():
        task.flush()
    done, failed, running = (stored(redis, task_id) for task_id in tasks)
    assert [task.progress for task in tasks.values()] == [done, failed, running]
    assert (done.status, failed.status, running.status) == ("completed", "failed", "in_progress")
    times = [time for stage in done.stages for time in (stage.started_at or 0, stage.finished_at or 0)]
    assert times == sorted(times)
    assert began <= times[0] < times[-1] <= (done.finished_at or 0) <= ended
    assert all((stage.duration or 0) >= 0.15 for stage in done.stages)
    assert (failed.error, failed.stages[0].error) == ("ValueError: bad seed", "ValueError: bad seed")
    assert began <= (failed.finished_at or 0) <= ended
    assert redis.hget(keys.task("a"), "checkpoint") == b'{"of":"a"}'
    assert redis.hget(keys.task("b"), "checkpoint") == b'{"of":"b"}'


def test_what_was_on_its_way_when_redis_died_is_sent_again_with_what_came_after_it(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    server = EmbeddedServer(tmp_path_factory.mktemp("hw"))
    monkeypatch.setenv("HEADWAY_DATA_DIR", str(server.folder))
    task = headway.task("t", task_id="a")
    task.flush()
    with Redis.from_url(server.url) as client:
        pid = int(client.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    task.checkpoint({"done": 1})
    for message in ("on its way", "after it"):
        task.log(message)
        wait_until(lambda: not task._run.outbox.has_news)  # taken by the reporter
    os.kill(pid, signal.SIGKILL)  # what it had not read yet is gone with it
    task.flush()
    assert [entry.message for entry in logs().entries] == ["on its way", "after it"]
    with Redis.from_url(server.url) as client:
        assert client.hget(keys.task("a"), "checkpoint") == b'{"done":1}'
    REPORTER.close()


def say_much(task: Task) -> list[str]:
    """Log 4,500 lines, a third of them of level debug; give what is kept of them before another one."""
    for number in range(4_500):
        task.log(f"line {number}", level="debug" if number % 3 == 0 else "info")
    others = [number for number in range(4_500) if number % 3]
    return [f"line {number}" for number in sorted([*others[-1_799:], *range(0, 4_500, 3)[-200:]])]


def test_the_log_entries_that_wait_are_bounded_and_what_was_dropped_is_counted(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    server = EmbeddedServer(tmp_path_factory.mktemp("hw"))
    monkeypatch.setenv("HEADWAY_REDIS_URL", server.url)  # where nobody listens yet
    task = headway.task("t", task_id="a")
    said = say_much(task)
    assert len(task._run.outbox._entries) <= 2_500
    wait_until(lambda: not task._run.outbox.has_news)  # the reporter has taken them, and cannot deliver
    task.log("the last one")
    with pytest.raises(StoreUnavailableError):
        task.flush(0.3)
    assert len(task._run.outbox._entries) == 0
    server.ensure()
    task.flush()
    page = logs()
    assert [entry.message for entry in page.entries] == [*said, "the last one"]
    assert (page.dropped, page.total) == (4_501 - 2_000, 4_501)
    REPORTER.close()
    server.release()


def test_the_bytes_of_what_waits_are_bounded_too_and_what_was_dropped_is_counted(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    server = EmbeddedServer(tmp_path_factory.mktemp("hw"))
    monkeypatch.setenv("HEADWAY_REDIS_URL", server.url)  # where nobody listens yet
    task = headway.task("t", task_id="a")
    outbox = task._run.outbox
    for number in range(1_000):
        task.log(f"{number} ".ljust(4_000, "x"), level="debug" if number % 2 else "info", y="z" * 16_000)
        assert sum(len(text) + len(values) for _, text, values, _ in list(outbox._said)) < 600_000
        assert sum(len(entry.data) for entry in list(outbox._entries)) <= MAX_WAITING_BYTES
    wait_until(lambda: not outbox.has_news)  # the reporter has taken them, and cannot deliver
    task.log("the last one")
    with pytest.raises(StoreUnavailableError):
        task.flush(0.3)
    server.ensure()
    task.flush()
    page = logs()
    numbers = [int(entry.message.split()[0]) for entry in page.entries[:-1]]
    assert page.entries[-1].message == "the last one"
    assert 80 < len(numbers) < 100, "two megabytes of twenty kilobytes each"
    debug = [number for number in numbers if number % 2]
    others = [number for number in numbers if number % 2 == 0]
    assert debug == list(range(1_001 - 2 * len(debug), 1_000, 2)), "the newest"
    assert others == list(range(1_000 - 2 * len(others), 1_000, 2))
    assert len(debug) < 11, "a tenth"
    assert (page.dropped, page.total) == (1_001 - len(page.entries), 1_001)
    REPORTER.close()
    server.release()


def test_each_entry_is_kept_or_counted_when_redis_took_more_than_it_could_say(
    redis: Redis, short_time_out: None
) -> None:
    task = headway.task("t", task_id="a")
    task.flush()
    with away(redis):
        say_much(task)
        with pytest.raises(StoreUnavailableError):
            task.flush(0.3)
        task.log("the last one")
        with pytest.raises(StoreUnavailableError):
            task.flush(2.0)  # longer than the time-out: it is sent again with what is new
    task.flush()
    page = logs()
    messages = [entry.message for entry in page.entries]
    assert len(messages) == len(set(messages))
    assert messages[-1] == "the last one"
    assert len(messages) + page.dropped == page.total == 4_501


def test_a_child_of_a_fork_cannot_flush_its_parents_task(redis: Redis) -> None:
    with start_puppet() as parent:
        parent.do("task = headway.task('t', task_id='a'); task.flush()")
        parent.do("from headway.errors import TaskStateError")
        parent.do("def child():\n  try: task.flush()\n  except TaskStateError: os._exit(7)\n  os._exit(1)")
        parent.do("pid = os.fork() or child()")
        assert parent.do("os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])") == 7
        parent.do("task.update(0.5); task.flush()")


def test_what_is_said_after_the_end_is_stored_or_refused_and_never_swallowed(
    redis: Redis, wait_until: WaitUntil
) -> None:
    task = headway.task("t", task_id="a")
    task.complete()
    wait_until(lambda: REPORTER.find("a") is None)
    try:
        task.log("saved to cat.png")
        task.checkpoint({"done": True})
    except TaskStateError:
        return
    task.flush(1)
    assert [entry.message for entry in logs().entries] == ["saved to cat.png"]
