"""Reporters on the session's server, each closed at the end of its test."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from headway import transitions
from headway.models import TaskProgress
from headway.stages import STAGE_DEFINITIONS
from headway.store import keys
from headway.timestamps import Timestamp
from headway.worker.reporter import Reporter
from headway.worker.task import Task, new_task_id


@pytest.fixture
def reporter(redis: Redis) -> Iterator[Reporter]:
    reporter = Reporter()
    yield reporter
    reporter.close()


@pytest.fixture
def new_task(reporter: Reporter) -> Callable[..., Task]:
    def make(category: str = "image_generation", task_id: str | None = None) -> Task:
        state = transitions.create(
            task_id or new_task_id("sdxl"), "sdxl", STAGE_DEFINITIONS[category], now=Timestamp(time.time())
        )
        return Task(state, reporter=reporter)

    return make


@pytest.fixture
def stored(redis: Redis) -> Callable[[Task], TaskProgress | None]:
    """What Redis holds of a task."""

    def read(task: Task) -> TaskProgress | None:
        data = redis.hget(keys.task(task.task_id), "data")
        return TaskProgress.from_json(data) if isinstance(data, bytes) else None

    return read
