"""Previews that nobody sees cost less."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from redis import Redis

from headway.store import keys
from headway.tracker import ProgressTracker
from headway.worker import attention
from headway.worker.attention import UNWATCHED
from headway.worker.reporter import Reporter
from headway.worker.task import Task

WaitUntil = Callable[..., Any]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "POLL_S", 0.02)


def test_the_budget_follows_whether_somebody_looks(
    reporter: Reporter, new_task: Callable[..., Task], redis: Redis, wait_until: WaitUntil
) -> None:
    assert reporter.previews.attention == 1.0
    with new_task() as task:
        task.preview(Image.new("RGB", (32, 32)), now=True)
        wait_until(lambda: reporter.previews.attention == UNWATCHED)
        redis.set(keys.watched(reporter.worker), 1, ex=60)
        wait_until(lambda: reporter.previews.attention == 1.0)
        redis.delete(keys.watched(reporter.worker))
        wait_until(lambda: reporter.previews.attention == UNWATCHED)
        reporter.listen(lambda states, previews: None, [task.task_id])
        wait_until(lambda: reporter.previews.attention == 1.0)


def test_without_previews_nobody_is_asked(
    reporter: Reporter, new_task: Callable[..., Task], redis: Redis
) -> None:
    with new_task() as task:
        task.update(0.5)
        assert reporter.flush() == []
    assert reporter.previews.attention == 1.0


def test_a_store_that_is_away_leaves_it_as_it_is() -> None:
    class Used:
        is_used = True
        attention = 1.0

    tries: list[bool] = []

    async def connect() -> ProgressTracker:
        raise attention.StoreError("away")

    async def run() -> None:
        is_active = asyncio.Event()
        is_active.set()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await attention.follow_attention(
                    Used(),  # type: ignore[arg-type]
                    [],
                    "w",
                    is_active=is_active,
                    connect=connect,
                    lost=lambda: tries.append(True),
                )

    asyncio.run(run())
    assert len(tries) >= 2
    assert Used.attention == 1.0
