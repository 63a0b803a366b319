"""Without a Jupyter server: what short-lived readers find out, and what a worker brings back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis import Redis

from headway.logs import LogLevel
from headway.store import keys
from headway.worker.reporter import Reporter
from headway.worker.task import Task

NewTask = Callable[..., Task]
WORKER = """
import time, headway
task = headway.task("t", task_id="a").__enter__()
task.update(0.5, message="halfway")
task.flush()
print("ready", flush=True)
time.sleep(60)
"""
READER = """
import headway
(task,) = headway.tasks()
print(task.status)
"""


def test_a_killed_worker_is_lost_for_readers_that_start_and_stop_the_server_themselves(
    start_python: Callable[..., Any], tmp_path_factory: Any
) -> None:
    folder = str(tmp_path_factory.mktemp("hw"))
    worker = start_python(WORKER, HEADWAY_DATA_DIR=folder)
    assert worker.stdout.readline() == "ready\n"
    worker.kill()
    killed_at = time.monotonic()
    found = []
    while "lost" not in found and time.monotonic() - killed_at < 15:
        reader = start_python(READER, HEADWAY_DATA_DIR=folder)
        found.append(reader.communicate(timeout=20)[0].strip())
    assert found[-1] == "lost", found
    assert set(found[:-1]) <= {"in_progress"}
    # A reader takes a second or so to start; the lease has ended after 3.5 s.
    assert len(found) >= 2


def test_what_an_emptied_redis_has_lost_comes_back_with_its_checkpoint(
    new_task: NewTask, reporter: Reporter, redis: Redis, wait_until: Any
) -> None:
    with new_task() as task:
        task.update(0.5)
        task.checkpoint({"done": 7})
        task.flush()
        redis.flushall()
        wait_until(lambda: redis.hget(keys.task(task.task_id), "checkpoint") == b'{"done":7}', 3)


def test_a_backlog_that_is_too_much_for_one_call_arrives_in_parts(
    new_task: NewTask, reporter: Reporter, redis: Redis, monkeypatch: Any
) -> None:
    monkeypatch.setattr("headway.worker.sender.SLICE_BYTES", 10_000)
    tasks = [new_task() for _ in range(20)]
    for task in tasks:
        for _ in range(50):
            task.log("x" * 1_000, level=LogLevel.DEBUG)
    for task in tasks:
        task.flush()
    assert {redis.xlen(keys.debug_logs(task.task_id)) for task in tasks} == {50}


def test_what_is_said_while_the_end_is_delivered_is_stored_too(
    new_task: NewTask, reporter: Reporter, redis: Redis
) -> None:
    for _ in range(20):
        task = new_task()
        task.complete()
        task.log("saved")
        task.flush()
        assert redis.xlen(keys.logs(task.task_id)) == 1


def test_the_address_of_no_server_is_the_callers_mistake(
    start_python: Callable[..., Any], tmp_path: Path
) -> None:
    script = "import headway; headway.task('t')"
    done = start_python(script, HEADWAY_REDIS_URL="localhost:6379")
    _, errors = done.communicate(timeout=20)
    assert "UsageError: expected HEADWAY_REDIS_URL to begin with one of redis://" in errors
