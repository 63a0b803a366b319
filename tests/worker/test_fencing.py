"""One run writes an attempt: who was overtaken is refused, and checkpoints go from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from redis import Redis

import headway
from headway.checks import MAX_VALUES_BYTES
from headway.errors import InvalidParamsError
from headway.models import TaskProgress
from headway.store import keys
from headway.worker.reporter import REPORTER
from tests.puppet import Puppet, start_puppet

STAGES = {"load": 1.0, "run": 3.0}
IS_REPORTED = "headway.api.REPORTER.find('a') is not None"
# Every kind of thing that a task can report.
REPORT_ALL = """
from PIL import Image
task.update(0.9, message="from the dead")
task.log("from the dead", level="error")
task.checkpoint({"of": "the dead"})
task.preview(Image.new("RGB", (64, 64), "red"))
"""


@pytest.fixture(autouse=True)
def closed(redis: Redis) -> Iterator[None]:
    yield
    REPORTER.close()


def everything(redis: Redis, task_id: str = "a") -> list[Any]:
    """Dump the keys that a task's reports are written to, byte for byte; samples come by themselves."""
    return [redis.dump(key) for key in keys.of_task(task_id) if key != keys.resources(task_id)]


def stored(redis: Redis, task_id: str = "a") -> TaskProgress:
    data: Any = redis.hget(keys.task(task_id), "data")
    return TaskProgress.from_json(data)


def begin(puppet: Puppet) -> None:
    puppet.do(f"task = headway.task('t', task_id='a', stages={STAGES})")
    puppet.do("task.update(0.25, stage='run')")
    puppet.do("task.log('alive'); task.checkpoint({'done': 1}); task.flush()")


def test_what_an_overtaken_worker_reports_is_refused_in_every_part(
    redis: Redis, wait_until: Callable[..., Any]
) -> None:
    with start_puppet() as zombie:
        begin(zombie)
        zombie.pause()
        task = headway.attach("a")
        task.flush()
        task.checkpoint({"done": 2})
        task.flush()
        before = everything(redis)
        zombie.resume()
        zombie.do(REPORT_ALL)
        wait_until(lambda: not zombie.do(IS_REPORTED))
        assert zombie.fail("task.flush(5)") == "TaskStateError"
        zombie.do(REPORT_ALL)
        assert zombie.fail("task.flush(5)") == "TaskStateError"
        zombie.do("task.complete()")
        zombie.leave()
        assert everything(redis) == before
        assert zombie.errors().count("was taken up by another run") == 1
        assert zombie.errors().count("headway:") == 1, zombie.errors()
    assert task.progress.attempt == 2
    task.update(0.5)
    task.flush()
    assert (stored(redis).stages[1].progress, stored(redis).attempt) == (0.5, 2)


def test_of_two_processes_that_attach_at_the_same_instant_one_is_the_writer(redis: Redis) -> None:
    with ExitStack() as stack:
        first, *racers = [stack.enter_context(start_puppet()) for _ in range(3)]
        begin(first)
        first.kill()
        attempt = 1
        for number in range(3):
            for racer in racers:
                racer.begin("task = headway.attach('a')")
            for racer in racers:
                assert racer.end() == {}
            attempt += 2
            for progress, racer in enumerate(racers):
                racer.do(f"task.update(message='{number} {progress}')")
                racer.begin("task.flush(5)")
            answers = [racer.end() for racer in racers]
            assert sorted(answer.get("error", "") for answer in answers) == ["", "TaskStateError"]
            winner = next(n for n, answer in enumerate(answers) if "error" not in answer)
            found = stored(redis)
            assert (found.attempt, found.stages[1].message) == (attempt, f"{number} {winner}")
            assert racers[winner].do("task.progress.attempt") == attempt


def test_a_checkpoint_goes_from_attempt_to_attempt_and_from_process_to_process(redis: Redis) -> None:
    with start_puppet() as first, start_puppet() as second:
        begin(first)
        first.do("task.checkpoint({'done': 3, 'seeds': [1, 2.5, None], 'näme': '✓'}); task.flush()")
        first.kill()
        expected = {"done": 3, "seeds": [1, 2.5, None], "näme": "✓"}
        second.do("task = headway.attach('a')")
        assert second.do("task.last_checkpoint") == expected
        assert second.do("task.update(0.5); task.flush()") is None
        assert second.do("task.last_checkpoint") == expected, "it stays until there is a newer one"
        second.kill()
        task = headway.task("t", task_id="a", stages=STAGES, resume=True)
        assert (task.progress.attempt, task.last_checkpoint) == (3, expected)
        task.checkpoint({})
        task.flush()
    again = headway.attach("a")
    assert again.last_checkpoint == {}


def test_the_newest_checkpoint_is_at_hand_at_once_and_is_a_copy() -> None:
    with headway.task("t") as task:
        assert task.last_checkpoint is None
        seeds = [1]
        task.checkpoint({"seeds": seeds})
        seeds.append(2)
        assert task.last_checkpoint == {"seeds": [1]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"x": object()}, "expected a checkpoint to be JSON values"),
        ({"x": "y" * MAX_VALUES_BYTES}, f"at most {MAX_VALUES_BYTES} bytes of a checkpoint"),
    ],
)
def test_a_checkpoint_that_cannot_be_kept_leaves_the_last_one(value: Any, message: str) -> None:
    with headway.task("t", task_id="a") as task:
        task.checkpoint({"done": 1})
        with pytest.raises(InvalidParamsError, match=message):
            task.checkpoint(value)
        assert task.last_checkpoint == {"done": 1}
        task.checkpoint({"x": "y" * (MAX_VALUES_BYTES - 8)})
        task.flush()
        task.fail("to be taken up")
        task.flush()
    assert headway.attach("a").last_checkpoint == {"x": "y" * (MAX_VALUES_BYTES - 8)}


@pytest.mark.parametrize("value", [7, "text"])
def test_a_checkpoint_that_is_no_dict_is_refused(value: Any) -> None:
    with headway.task("t") as task:
        with pytest.raises(InvalidParamsError, match="a checkpoint to be a dict"):
            task.checkpoint(value)
        assert task.last_checkpoint is None


def test_a_fresh_run_of_an_id_has_no_checkpoint_of_the_one_before(redis: Redis) -> None:
    with start_puppet() as first:
        begin(first)
        first.kill()
    fresh = headway.task("t", task_id="a", stages=STAGES)
    assert fresh.last_checkpoint is None
    fresh.flush()
    assert redis.hget(keys.task("a"), "checkpoint") is None
    assert stored(redis).attempt == 2
    assert headway.attach("a").last_checkpoint is None


def test_a_fresh_run_may_keep_a_checkpoint_before_it_is_stored(redis: Redis) -> None:
    with start_puppet() as first:
        begin(first)
        first.kill()
    fresh = headway.task("t", task_id="a", stages=STAGES)
    fresh.checkpoint({"done": 7})
    fresh.flush()
    assert redis.hget(keys.task("a"), "checkpoint") == b'{"done":7}'


def test_a_child_of_a_fork_takes_up_nothing_by_accident(redis: Redis) -> None:
    with start_puppet() as parent:
        begin(parent)
        parent.do(
            "child = os.fork() or (task.update(0.9), task.checkpoint({'of': 'the child'}), os._exit(0))"
        )
        assert parent.do("os.waitpid(child, 0)[1]") == 0
        parent.do("task.update(0.5); task.flush()")
        found = stored(redis)
        assert (found.attempt, found.stages[1].progress) == (1, 0.5)
        assert redis.hget(keys.task("a"), "checkpoint") == b'{"done":1}'
        assert redis.zcard(keys.LEASES) == 1
