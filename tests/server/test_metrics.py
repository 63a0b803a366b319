"""What Prometheus reads, of a real server after real records."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from headway.models import TaskStatus
from headway.records import Prediction, TaskHistory
from headway.server import metrics as module
from headway.server.hub import Hub
from headway.server.metrics import Metrics, category_label
from headway.settings import Settings
from headway.store.tasks import TaskStore
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker

Read = Callable[..., Any]


@pytest.fixture(autouse=True)
def looks_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    monkeypatch.setattr(module, "COUNT_S", 0.05)


@pytest.fixture
def scrape(running_server: Any, jp_fetch: Any) -> Read:
    """Scrape once: ``{(sample, (label, value), ...): figure}``."""

    async def scrape_() -> dict[tuple[Any, ...], float]:
        body = (await jp_fetch("metrics")).body.decode()
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(body)
            for sample in family.samples
            if sample.name.startswith("headway_")
        }

    return scrape_


@pytest.fixture
def until(scrape: Read) -> Read:
    """Scrape until a condition holds for what came; give that."""

    async def wait(condition: Callable[[dict[tuple[Any, ...], float]], Any]) -> Any:
        async with asyncio.timeout(20):
            while not condition(figures := await scrape()):
                await asyncio.sleep(0.02)
        return figures

    return wait


def record(task_id: str, **changes: Any) -> TaskHistory:
    """A task of 100 s of which 20 s too little, and then 5 s too much, were said."""
    history = TaskHistory(
        task_id=task_id,
        template_id="t",
        category="image_generation",
        submitted_at=Timestamp(1_000.0),
        finished_at=Timestamp(1_100.0),
        predictions=(
            Prediction(elapsed_s=0.0, low_s=70.0, median_s=80.0, high_s=90.0, basis="b", share=0.0),
            Prediction(elapsed_s=10.0, low_s=1.0, median_s=1.0, high_s=1.0, basis="b", stage="generation"),
            Prediction(elapsed_s=50.0, low_s=45.0, median_s=55.0, high_s=60.0, basis="b", share=0.5),
        ),
    )
    return replace(history, **changes)


def of(name: str, **labels: str) -> tuple[Any, ...]:
    return (name, *sorted(labels.items()))


async def test_what_ended_since_the_server_started_is_counted_once(
    tracker: ProgressTracker, until: Read
) -> None:
    for history in (
        record("a"),
        record("a"),
        record("b", category="knitting", status=TaskStatus.FAILED),
        record("c", category=None, template_id="other", finished_at=Timestamp(1_000.2), predictions=()),
        record("d", category=None, finished_at=Timestamp(1_000.0)),
    ):
        await tracker.record_completion(history)
    finished = "headway_tasks_finished_total"
    known = of(finished, status="completed", category="image_generation")
    figures = await until(lambda seen: sum(seen.get(key, 0) for key in seen if key[0] == finished) == 4)
    assert figures[known] == 1
    assert figures[of(finished, status="failed", category="other")] == 1
    assert figures[of(finished, status="completed", category="default")] == 2
    assert figures[of("headway_task_seconds_sum", category="image_generation")] == 100.0
    assert figures[of("headway_task_seconds_bucket", category="default", le="0.5")] == 2
    assert figures[of("headway_eta_error_ratio_sum", share="0")] == pytest.approx(0.2)
    assert figures[of("headway_eta_error_ratio_bucket", share="0.5", le="0.05")] == 1
    assert figures[of("headway_eta_range_total", share="0", held="false")] == 1
    assert figures[of("headway_eta_range_total", share="0.5", held="true")] == 1
    assert {key for key in figures if key[0] == "headway_eta_error_ratio_count"} == {
        of("headway_eta_error_ratio_count", share="0"),
        of("headway_eta_error_ratio_count", share="0.5"),
    }


async def test_tasks_are_counted_by_what_they_do_and_viewers_by_their_connections(
    tracker: ProgressTracker, until: Read, open_viewer: Any
) -> None:
    for task_id in ("a", "b", "c"):
        await tracker.create_task_progress(task_id, "t")
    await tracker.update_stage("b", "execution", progress=0.5)
    await tracker.finish_task("c", TaskStatus.CANCELLED)
    queued = of("headway_tasks", status="queued")
    figures = await until(lambda seen: seen.get(queued) == 1)
    counts = {key[1][1]: count for key, count in figures.items() if key[0] == "headway_tasks"}
    expected = {"queued": 1, "in_progress": 1, "completed": 0, "failed": 0, "cancelled": 1, "lost": 0}
    assert counts == expected
    assert figures[of("headway_viewers")] == 0
    async with open_viewer():
        await until(lambda seen: seen[of("headway_viewers")] == 1)
    await until(lambda seen: seen[of("headway_viewers")] == 0)


async def test_tasks_are_counted_only_while_somebody_scrapes(
    tracker: ProgressTracker,
    until: Read,
    running_server: Any,
    eventually: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metrics = running_server.web_app.settings["headway_metrics"]

    def shown() -> bool:
        return any(family.samples for family in metrics.registry.collect() if family.name == "headway_tasks")

    assert not shown()
    await until(lambda seen: of("headway_tasks", status="queued") in seen)
    monkeypatch.setattr(module, "ASKED_S", 0.0)
    await eventually(lambda: not shown())


async def test_whether_redis_answers_is_told(
    tracker: ProgressTracker, until: Read, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    up = of("headway_store_up")
    await until(lambda seen: seen[up] == 1)
    pid = redis.info()["process_id"]
    monkeypatch.setattr("headway.store.clients.TIMEOUT_S", 0.2)
    os.kill(pid, signal.SIGKILL)
    await tracker.store.commands.close()
    monkeypatch.setattr(tracker.store.embedded, "ensure", lambda: None)
    await until(lambda seen: seen[up] == 0)
    monkeypatch.undo()
    await until(lambda seen: seen[up] == 1)


async def test_a_server_that_has_ended_shows_nothing(
    tracker: ProgressTracker, scrape: Read, running_server: Any
) -> None:
    assert of("headway_store_up") in await scrape()
    await running_server.extension_manager.stop_all_extensions()
    assert await scrape() == {}


async def test_several_servers_in_one_process_register_once_and_the_newest_is_shown(
    settings: Settings,
) -> None:
    def shown() -> list[float | None]:
        return [
            sample.value
            for family in REGISTRY.collect()
            for sample in family.samples
            if sample.name == "headway_viewers"
        ]

    async def show(_: bytes) -> None:
        pass

    trackers = [ProgressTracker(TaskStore(settings)) for _ in range(2)]
    hubs = [Hub(tracker) for tracker in trackers]
    one, other = [Metrics(tracker, hub) for tracker, hub in zip(trackers, hubs, strict=True)]
    assert shown() == []
    one.start()
    hubs[1].connect(show)
    other.start()
    assert shown() == [1.0]
    await other.stop()
    assert shown() == [0.0]
    await one.stop()
    one.start()
    assert shown() == [], "one that has ended does not start again"
    for hub, tracker in zip(hubs, trackers, strict=True):
        await hub.stop()
        await tracker.store.close()


def test_labels_are_of_a_few_values() -> None:
    assert [category_label(name) for name in (None, "video_generation", "x" * 100)] == [
        "default",
        "video_generation",
        "other",
    ]
