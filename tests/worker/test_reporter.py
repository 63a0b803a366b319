"""The reporter: what it sends, what it survives, and what it never does to the user's code."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from headway import transitions
from headway.errors import StoreUnavailableError
from headway.models import TaskProgress, TaskStatus
from headway.records import TaskHistory, history_of
from headway.stages import STAGE_DEFINITIONS
from headway.store import keys
from headway.store.embedded import EmbeddedServer
from headway.store.reports import Report
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker
from headway.worker.reporter import Reporter
from headway.worker.task import Task

NewTask = Callable[..., Task]
Stored = Callable[[Task], TaskProgress | None]
WaitUntil = Callable[..., Any]


def test_a_task_is_stored_as_it_goes_and_as_it_ends(
    new_task: NewTask, stored: Stored, reporter: Reporter, wait_until: WaitUntil
) -> None:
    with new_task() as task:
        task.update(0.5)
        wait_until(lambda: (found := stored(task)) and found.stages[2].progress == 0.5)
    assert reporter.flush() == []
    found = stored(task)
    assert found == task.progress
    assert found is not None
    assert found.status is TaskStatus.COMPLETED


def test_it_looks_around_only_while_there_are_tasks_or_listeners(
    new_task: NewTask, reporter: Reporter, wait_until: WaitUntil
) -> None:
    def is_active() -> bool:
        followers = reporter._followers
        return followers is not None and followers._is_active.is_set()

    with new_task() as task:
        wait_until(is_active)
        task.update(0.5)
    assert reporter.flush() == []
    wait_until(lambda: not is_active())
    reporter.listen(lambda states, previews: None, ["elsewhere"])
    wait_until(is_active)
    reporter._listeners.forget({"elsewhere"})
    wait_until(lambda: not is_active())


def test_a_defect_in_the_samples_does_not_let_the_process_seem_alive(
    new_task: NewTask,
    reporter: Reporter,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = reporter.worker
    with new_task() as task:
        task.update(0.5)
        assert reporter.flush() == []
        assert redis.zscore(keys.LEASES, worker) is not None

        def fail(limit: int | None = None) -> Any:
            raise RuntimeError("a defect")

        monkeypatch.setattr(reporter.resources, "news", fail)
        reporter.close()
    assert redis.zscore(keys.LEASES, worker) is None
    assert "some resource samples cannot be stored" in caplog.text


def test_a_thousand_updates_become_few_writes(new_task: NewTask, stored: Stored, reporter: Reporter) -> None:
    began = time.monotonic()
    with new_task() as task:
        for step in range(1_000):
            task.update(step / 1_000)
            time.sleep(0.0005)
    elapsed = time.monotonic() - began
    reporter.flush()
    found = stored(task)
    assert found is not None
    first = int(1_000 * found.created_at)
    assert found.seq - first <= elapsed / 0.1 + 4, "one each 100 ms, the first, and the last"


def test_a_finished_task_is_forgotten_once_it_is_stored(
    new_task: NewTask, reporter: Reporter, wait_until: WaitUntil
) -> None:
    tasks = [new_task() for _ in range(50)]
    assert all(reporter.find(task.task_id) is task._run for task in tasks)
    for task in tasks:
        task.complete()
    wait_until(lambda: not any(reporter.find(task.task_id) for task in tasks))
    sender = reporter._sender
    assert sender is not None
    wait_until(lambda: sender.is_idle)


def test_an_id_that_was_used_before_becomes_the_next_attempt(
    new_task: NewTask, stored: Stored, reporter: Reporter
) -> None:
    first = new_task(task_id="again")
    first.complete()
    reporter.flush()
    second = new_task(task_id="again")
    second.update(0.5)
    reporter.flush()
    found = stored(second)
    assert found is not None
    assert (found.attempt, found.status) == (2, TaskStatus.IN_PROGRESS)
    assert found.seq > first.progress.seq


def test_a_quiet_task_is_written_again_before_it_expires(
    new_task: NewTask, redis: Redis, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setenv("HEADWAY_TTL_S", "2")
    task = new_task()
    key = keys.task(task.task_id)
    wait_until(lambda: redis.exists(key))
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        assert redis.exists(key), "it expired"
        time.sleep(0.05)
    task.complete()
    wait_until(lambda: not redis.exists(key), 5)


def test_redis_away_costs_the_job_nothing_and_is_said_once(
    server: EmbeddedServer,
    new_task: NewTask,
    stored: Stored,
    reporter: Reporter,
    wait_until: WaitUntil,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Redis.from_url(server.url) as client:
        pid = int(client.info("server")["process_id"])
    task = new_task()
    reporter.flush()
    os.kill(pid, signal.SIGSTOP)
    try:
        with caplog.at_level(logging.WARNING, "headway"):
            began = time.monotonic()
            for step in task.track(range(20_000), stage="generation"):
                if step % 100 == 0:
                    task.update(message=f"step {step}")
            assert time.monotonic() - began < 1.0
            task.complete()
            wait_until(lambda: caplog.records)
            time.sleep(0.5)
            assert len(caplog.records) == 1
            assert "the task goes on" in caplog.records[0].getMessage()
            assert reporter.flush(0.2) == [task.task_id]
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: stored(task) == task.progress)


def test_a_server_that_died_is_started_again_and_the_newest_state_arrives(
    server: EmbeddedServer, new_task: NewTask, stored: Stored, reporter: Reporter, wait_until: WaitUntil
) -> None:
    task = new_task()
    task.update(0.25)
    reporter.flush()
    with Redis.from_url(server.url) as client:
        os.kill(int(client.info("server")["process_id"]), signal.SIGKILL)
    task.update(0.5)

    def arrived() -> bool:
        try:
            found = stored(task)
        except RedisConnectionError:
            return False
        return found is not None and found.stages[2].progress == 0.5

    wait_until(arrived)


SCRIPT = """
import os, sys, headway
with headway.task("script", task_id=sys.argv[1]) as task:
    for step in task.track(range(100)):
        pass
"""


def test_a_short_script_delivers_at_exit(
    start_python: Callable[..., subprocess.Popen[str]], redis: Redis
) -> None:
    process = start_python(SCRIPT, "short-1")
    assert process.communicate(timeout=30) == ("", "")
    data = redis.hget(keys.task("short-1"), "data")
    assert isinstance(data, bytes)
    assert TaskProgress.from_json(data).status is TaskStatus.COMPLETED


def test_without_redis_a_script_ends_in_time_and_says_what_it_could_not_deliver(
    start_python: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    began = time.monotonic()
    process = start_python(SCRIPT, "lost-1", HEADWAY_REDIS_URL=f"unix://{tmp_path}/none.sock")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert time.monotonic() - began < 12
    assert errors.count("progress cannot be stored at present") == 1
    assert "the last state of 1 task(s) could not be stored: ['lost-1']" in errors


FORK = """
import os, sys, time, headway
with headway.task("parent", task_id="parent-1") as task:
    task.update(0.25)
    child = os.fork()
    if child == 0:
        task.update(0.75)
        with headway.task("child", task_id="child-1") as own:
            own.update(0.5)
        sys.exit(0)
    _, status = os.waitpid(child, 0)
    print("child", status)
    task.update(0.5)
"""


def test_a_fork_reports_its_own_tasks_and_leaves_its_parents_alone(
    start_python: Callable[..., subprocess.Popen[str]], redis: Redis
) -> None:
    process = start_python(FORK)
    out, errors = process.communicate(timeout=30)
    assert out == "child 0\n"
    assert errors.count("belongs to the process that made it") == 1
    states = {}
    for task_id in ("parent-1", "child-1"):
        data = redis.hget(keys.task(task_id), "data")
        assert isinstance(data, bytes)
        states[task_id] = TaskProgress.from_json(data)
    assert states["child-1"].status is TaskStatus.COMPLETED
    assert states["parent-1"].status is TaskStatus.COMPLETED
    assert states["parent-1"].attempt == 1


POOL = """
import multiprocessing, sys, headway

def job(number):
    with headway.task("pool", task_id=f"pool-{number}") as task:
        for step in task.track(range(10)):
            pass
    return number

if __name__ == "__main__":
    with headway.task("first", task_id="first-1") as task:
        task.update(0.5)
        with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
            print(sum(pool.map(job, range(6))))
            pool.close()
            pool.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_workers_of_a_pool_deliver_when_they_end(
    start_python: Callable[..., subprocess.Popen[str]], redis: Redis, method: str, tmp_path: Path
) -> None:
    script = tmp_path / "pool_job.py"  # spawn imports it
    script.write_text(POOL)
    run = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    process = start_python(POOL, method) if method == "fork" else start_python(run, script, method)
    out, errors = process.communicate(timeout=50)
    assert (out, errors) == ("15\n", "")
    for number in range(6):
        data = redis.hget(keys.task(f"pool-{number}"), "data")
        assert isinstance(data, bytes)
        assert TaskProgress.from_json(data).status is TaskStatus.COMPLETED


def test_call_runs_on_the_tracker_and_sees_this_processs_writes(
    new_task: NewTask, reporter: Reporter
) -> None:
    task = new_task()
    task.update(0.375)
    found = reporter.call(lambda tracker: tracker.get_progress(task.task_id))
    assert found.stages[2].progress == 0.375


def test_call_raises_what_the_store_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_REDIS_URL", f"unix://{tmp_path}/none.sock")
    reporter = Reporter()
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        reporter.call(lambda tracker: tracker.list_tasks())
    reporter.close()


def test_a_call_that_takes_too_long_is_given_up(reporter: Reporter) -> None:
    cancelled = threading.Event()

    async def hang(tracker: ProgressTracker) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(StoreUnavailableError, match=r"did not answer within 0\.1 s"):
        reporter.call(hang, timeout_s=0.1)
    assert cancelled.wait(5)


def test_an_idle_process_does_not_wake_up(
    new_task: NewTask, reporter: Reporter, wait_until: WaitUntil
) -> None:
    new_task().complete()
    wait_until(lambda: not reporter._tasks)
    thread = reporter._thread
    assert isinstance(thread, threading.Thread)
    switches = Path(f"/proc/self/task/{thread.native_id}/status")
    if not switches.exists():
        pytest.skip("no /proc on this system")

    def wakeups() -> int:
        line = next(line for line in switches.read_text().splitlines() if line.startswith("voluntary"))
        return int(line.split()[1])

    time.sleep(0.3)
    before = wakeups()
    time.sleep(1.0)
    assert wakeups() - before <= 6, "it polls for listeners twice a second, and nothing else"


def test_a_task_that_another_wrote_to_is_numbered_after_it(
    new_task: NewTask, reporter: Reporter, stored: Stored
) -> None:
    task = new_task()
    task.update(0.25)
    reporter.flush()
    written = reporter.call(
        lambda tracker: tracker.update_stage(task.task_id, "generation", message="from afar")
    )
    task.update(0.5)
    assert reporter.flush() == []
    found = stored(task)
    assert found is not None
    assert (found.seq > written.seq, found.stages[2].progress, found.attempt) == (True, 0.5, 1)


def test_a_task_that_a_newer_attempt_took_up_goes_quiet(
    new_task: NewTask,
    reporter: Reporter,
    stored: Stored,
    caplog: pytest.LogCaptureFixture,
    wait_until: WaitUntil,
) -> None:
    task = new_task()
    reporter.flush()
    newer = replace(task.progress, attempt=2, seq=task.progress.seq + 100)
    reporter.call(lambda tracker: tracker.store.write([Report(task=newer, run="another")]))
    task.update(0.5)
    wait_until(lambda: reporter.find(task.task_id) is None)
    assert "was taken up by another run of the same id" in caplog.text
    task.update(0.75)
    assert stored(task) == newer


def test_tasks_that_can_never_be_delivered_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setenv("HEADWAY_REDIS_URL", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr("headway.worker.reporter.MAX_UNDELIVERED", 20)
    reporter = Reporter()
    tasks = [
        Task(
            transitions.create(f"t-{number}", "t", STAGE_DEFINITIONS["default"], now=Timestamp(time.time())),
            reporter=reporter,
        )
        for number in range(50)
    ]
    for task in tasks:
        task.complete()
    wait_until(lambda: len(reporter._tasks) == 20)
    assert reporter.find("t-49") is tasks[49]._run
    assert reporter.find("t-0") is None
    reporter.flush(0.1)
    reporter._tasks.clear()  # nothing to wait for at the close
    reporter.close()


def test_a_second_run_of_an_id_in_one_process_is_never_lost(
    new_task: NewTask, reporter: Reporter, stored: Stored
) -> None:
    for number in range(20):
        first = new_task(task_id=f"twice-{number}")
        first.complete()
        second = new_task(task_id=f"twice-{number}")
        second.update(0.5)
        second.complete()
        assert reporter.flush() == []
        found = stored(second)
        assert found is not None
        assert (found.stages[2].status, found.created_at) == ("completed", second.progress.created_at)


def test_a_loop_belongs_to_the_declared_main_stage_though_loading_takes_longer(
    new_task: NewTask, reporter: Reporter, wait_until: WaitUntil
) -> None:
    reporter.forecasts.load()
    reporter.forecasts.learn([_slowly_loaded(number) for number in range(5)])
    task = new_task()
    wait_until(lambda: task.progress.stages[1].weight > task.progress.stages[2].weight)
    assert [*task.track(range(3))] == [0, 1, 2]
    task.complete()
    statuses = {stage.id: stage.status.value for stage in task.progress.stages}
    assert (statuses["model_loading"], statuses["generation"]) == ("skipped", "completed")


def _slowly_loaded(number: int) -> TaskHistory:
    began = Timestamp(time.time() - 1_000 + number)
    task = transitions.create(f"before-{number}", "sdxl", STAGE_DEFINITIONS["image_generation"], now=began)
    task = transitions.start_stage(task, "model_loading", now=began)
    task = transitions.start_stage(task, "generation", now=Timestamp(began + 60))
    return history_of(transitions.finish(task, TaskStatus.COMPLETED, now=Timestamp(began + 70)))


def test_of_two_runs_of_one_id_the_later_goes_on_and_the_other_goes_quiet(
    new_task: NewTask,
    reporter: Reporter,
    stored: Stored,
    caplog: pytest.LogCaptureFixture,
    wait_until: WaitUntil,
) -> None:
    first = new_task(task_id="two")
    reporter.flush()
    elsewhere = Reporter()
    second = Task(
        transitions.create("two", "sdxl", STAGE_DEFINITIONS["image_generation"], now=Timestamp(time.time())),
        reporter=elsewhere,
    )
    second.update(0.25)
    assert elsewhere.flush() == []
    first.update(0.75)
    wait_until(lambda: reporter.find("two") is None)
    assert "was taken up by another run of the same id" in caplog.text
    found = stored(second)
    assert found is not None
    assert (found.attempt, found.stages[2].progress) == (2, 0.25)
    elsewhere.close()


def test_text_that_json_cannot_carry_stops_nobody(
    new_task: NewTask, reporter: Reporter, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    odd, healthy = new_task(), new_task()
    odd.update(0.5, message="caf\udce9.png")
    healthy.update(0.5)
    assert reporter.flush() == []
    for task in (odd, healthy):
        found = stored(task)
        assert found is not None
        assert found.stages[2].progress == 0.5
    found = stored(odd)
    assert found is not None
    assert found.stages[2].message == "caf?.png"


def test_one_state_that_does_not_encode_costs_only_its_own_task(
    new_task: NewTask, reporter: Reporter, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    broken, healthy = new_task(), new_task()
    stages = broken._run._stages
    stages.state = replace(stages.state, name="\udce9")
    broken.update(0.5)
    healthy.update(0.5)
    assert reporter.flush() == []
    found = stored(healthy)
    assert found is not None
    assert found.stages[2].progress == 0.5
    assert f"task {broken.task_id} cannot be sent" in caplog.text


def test_a_reporter_whose_thread_has_ended_starts_anew(
    new_task: NewTask, reporter: Reporter, stored: Stored
) -> None:
    first = new_task()
    reporter.flush()
    assert reporter._loop is not None
    assert reporter._main_task is not None
    thread = reporter._thread
    reporter._loop.call_soon_threadsafe(reporter._main_task.cancel)
    assert thread is not None
    thread.join(5)
    first.update(0.25)
    first.complete()
    second = new_task()
    second.update(0.5)
    assert reporter.flush() == []
    found = stored(second)
    assert found is not None
    assert found.stages[2].progress == 0.5
