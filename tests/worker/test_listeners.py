"""Listeners: the views of a process hear of its own tasks and of those of others."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis

from headway import transitions
from headway.errors import StoreUnavailableError
from headway.models import TaskProgress, TaskStatus
from headway.stages import STAGE_DEFINITIONS
from headway.store import keys
from headway.store.embedded import EmbeddedServer
from headway.store.previews import StoredPreview
from headway.store.reports import Report
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker
from headway.worker.reporter import Reporter
from headway.worker.task import Task

NewTask = Callable[..., Task]
Stored = Callable[[Task], TaskProgress | None]
WaitUntil = Callable[..., Any]


def test_listeners_hear_of_their_own_tasks_until_these_are_over(
    new_task: NewTask, reporter: Reporter, wait_until: WaitUntil
) -> None:
    mine, other = new_task(), new_task()
    heard: list[TaskProgress] = []
    reporter.listen(lambda states, _: heard.extend(states), [mine.task_id])
    mine.update(0.5)
    other.update(0.5)
    wait_until(lambda: heard and heard[-1].stages[2].progress == 0.5)
    mine.complete()
    wait_until(lambda: not reporter._listeners)
    assert heard[-1].status is TaskStatus.COMPLETED
    assert {state.task_id for state in heard} == {mine.task_id}


def test_a_listener_hears_of_the_tasks_of_other_processes(
    reporter: Reporter,
    start_python: Callable[..., subprocess.Popen[str]],
    redis: Redis,
    wait_until: WaitUntil,
) -> None:
    heard: list[TaskProgress] = []
    pictures: dict[str, StoredPreview] = {}
    reporter.listen(lambda states, previews: (heard.extend(states), pictures.update(previews)), ["far-1"])
    script = (
        "import headway; from PIL import Image\n"
        "with headway.task('far', task_id='far-1') as task:\n"
        "    task.update(0.5); task.preview(Image.new('RGB', (64, 64), 'red')); input()"
    )
    process = start_python(script)
    wait_until(lambda: heard and pictures)
    process.communicate("\n", timeout=30)
    wait_until(lambda: heard[-1].status is TaskStatus.COMPLETED)
    wait_until(lambda: not reporter._listeners)
    assert pictures["far-1"].data.startswith(b"\xff\xd8")


def test_a_listener_hears_that_the_worker_of_another_process_is_gone(
    reporter: Reporter, redis: Redis, wait_until: WaitUntil
) -> None:
    heard: list[TaskProgress] = []
    reporter.listen(lambda states, _: heard.extend(states), ["far-1"])
    task = transitions.create("far-1", "t", STAGE_DEFINITIONS["default"], now=Timestamp(time.time()))

    async def write(tracker: ProgressTracker) -> None:
        await tracker.store.leases.renew("somebody")
        redis.hset(keys.LEASES_EPOCH, "since", int(1_000 * time.time()) - 60_000)  # leases count by now
        await tracker.store.write([Report(task=replace(task, seq=1), run="r", worker="nobody")])

    reporter.call(write)
    wait_until(lambda: heard and heard[-1].status is TaskStatus.LOST)
    assert len(reporter._listeners) == 1, "it may come back"
    reporter.call(lambda tracker: tracker.finish_task("far-1"))
    wait_until(lambda: not reporter._listeners)
    assert heard[-1].status is TaskStatus.COMPLETED


def test_a_listener_hears_of_the_tasks_of_other_processes_again_when_redis_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    server = EmbeddedServer(tmp_path)
    monkeypatch.setenv("HEADWAY_REDIS_URL", server.url)  # where nobody listens yet
    monkeypatch.setattr("headway.worker.others.POLL_S", 0.001)
    reporter = Reporter()
    heard: list[TaskProgress] = []
    reporter.listen(lambda states, _: heard.extend(states), ["far-1"])
    for _ in range(20):
        with pytest.raises(StoreUnavailableError):
            reporter.call(lambda tracker: tracker.list_tasks())
    server.ensure()
    reporter.call(lambda tracker: tracker.create_task_progress("far-1", "t"))
    wait_until(lambda: heard)
    reporter.close()
    server.release()


def test_a_task_that_only_a_later_version_can_read_is_told_once_and_shown_when_it_can_be_read(
    reporter: Reporter,
    redis: Redis,
    wait_until: WaitUntil,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headway.worker.others.POLL_S", 0.01)
    heard: list[TaskProgress] = []
    redis.hset(keys.task("far-1"), mapping={"data": b'{"status":"dreaming"}', "seq": 1, "attempt": 1})
    reporter.listen(lambda states, _: heard.extend(states), ["far-1"])
    wait_until(lambda: caplog.records)
    redis.delete(keys.task("far-1"))
    reporter.call(lambda tracker: tracker.create_task_progress("far-1", "t"))
    wait_until(lambda: heard)
    (record,) = caplog.records
    assert "a task of another process cannot be shown" in record.getMessage()


def test_a_listener_that_fails_is_dropped_and_the_reporting_goes_on(
    new_task: NewTask,
    reporter: Reporter,
    stored: Stored,
    wait_until: WaitUntil,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(states: object, previews: object) -> None:
        raise RuntimeError("the comm is closed")

    task = new_task()
    reporter.listen(broken, [task.task_id])
    task.update(0.5)
    wait_until(lambda: not reporter._listeners)
    assert "the comm is closed" in caplog.text
    task.complete()
    wait_until(lambda: stored(task) == task.progress)
