"""What Prometheus reads of Headway at the Jupyter server's own ``/metrics``.

The numbers of stored tasks are read while somebody scrapes. What is told of tasks that ended comes from their
records, of those that were stored since this server started: wherever they ran, each is counted once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter as Counts
from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from headway.cancellation import cancel
from headway.diagnostics import settle, warn_once
from headway.errors import StoreError
from headway.models import TaskStatus
from headway.records import ASKED_AT, TaskHistory, decode_record
from headway.server.hub import Hub
from headway.stages import DEFAULT_CATEGORY, STAGE_DEFINITIONS
from headway.tracker import ProgressTracker

# How often the records are looked at. Prometheus asks every 15 to 60 s.
LOOK_S = 5.0
# Tasks are counted every so often until nobody has asked for so long: the newest so many, which takes a
# fifth of a second, so many in one round trip.
COUNT_S, ASKED_S = 15.0, 150.0
COUNTED, COUNTED_AT_ONCE = 5_000, 100
# A record may be stored twice, a moment apart.
REMEMBERED = 1_000
OTHER_CATEGORY = "other"
TASK_BUCKETS_S = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 43_200)
ERROR_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5)


class Metrics:
    """The figures of one server, on a registry of their own; the newest server's are shown.

    Parameters
    ----------
    tracker
        Knows the tasks and their records.
    hub
        Knows the viewers.
    """

    def __init__(self, tracker: ProgressTracker, hub: Hub) -> None:
        self._tracker = tracker
        self.registry = CollectorRegistry()
        self._tasks = Gauge(
            "headway_tasks",
            f"Stored tasks by what they do, of the newest {COUNTED:,}.",
            ["status"],
            registry=self.registry,
        )
        self._viewers = Gauge(
            "headway_viewers", "Connections that are sent live progress.", registry=self.registry
        )
        self._viewers.set_function(lambda: hub.connection_count)
        self._store_up = Gauge(
            "headway_store_up", "Whether Redis answered at the last look.", registry=self.registry
        )
        self._finished = Counter(
            "headway_tasks_finished",
            "Tasks that ended since this server started.",
            ["status", "category"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "headway_task_seconds",
            "How long completed tasks took from their submission.",
            ["category"],
            registry=self.registry,
            buckets=TASK_BUCKETS_S,
        )
        self._errors = Histogram(
            "headway_eta_error_ratio",
            "How far off the predicted duration was, as a part of the true one, of what was said when "
            "that share of the task had passed.",
            ["share"],
            registry=self.registry,
            buckets=ERROR_BUCKETS,
        )
        self._ranges = Counter(
            "headway_eta_range",
            "Predicted ranges, and whether the end lay in them; 80 % should.",
            ["share", "held"],
            registry=self.registry,
        )
        # Streams are numbered by the clock of Redis' machine, of which this one is not far off.
        self._started_at = f"{int(1_000 * time.time())}-0"
        self._positions: dict[str, str] = {}
        self._counted: dict[tuple[str, int, float], None] = {}
        self._asked_at: float | None = None
        self._counted_at: float | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._has_stopped = False

    def start(self) -> None:
        """Begin to look and to be shown; not again after the end."""
        if not self._has_stopped:
            self._started_at = f"{int(1_000 * time.time())}-0"
            self._task = asyncio.create_task(self._run())
            _SHOWN.add(self)

    async def stop(self) -> None:
        """Look no more, and be shown no more, for good."""
        self._has_stopped = True
        _SHOWN.remove(self)
        if self._task is not None:
            await cancel([self._task])

    def collect(self) -> Iterator[Metric]:
        """Give the figures to a scrape."""
        is_first = self._asked_at is None
        self._asked_at = time.monotonic()
        if is_first:
            self._wake.set()
        yield from self.registry.collect()

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except StoreError:
                self._store_up.set(0)
            except Exception as error:
                warn_once("metrics", "the figures for Prometheus are not complete: %r", error)
            else:
                self._store_up.set(1)
                settle("metrics")
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def look(self) -> None:
        """Take in what is new, once.

        Raises
        ------
        StoreUnavailableError
            When Redis does not answer.
        """
        await self._read_records()
        if self._asked_at is None:
            return
        now = time.monotonic()
        if now - self._asked_at > ASKED_S:
            self._asked_at = self._counted_at = None
            self._tasks.clear()  # a scrape that comes now is not to see old numbers
        elif self._counted_at is None or now - self._counted_at >= COUNT_S:
            self._counted_at = now
            await self._count_tasks()

    async def _read_records(self) -> None:
        history = self._tracker.store.history
        names = await history.templates()
        self._positions = {name: self._positions.get(name, self._started_at) for name in names}
        async for name, position, records in history.after(self._positions):
            self._positions[name] = position
            for data in records:
                record = decode_record(data)
                if record is not None:
                    self._take(record)

    def _take(self, record: TaskHistory) -> None:
        key = record.task_id, record.attempt, float(record.finished_at)
        if key in self._counted:
            return
        self._counted[key] = None
        if len(self._counted) > REMEMBERED:
            del self._counted[next(iter(self._counted))]
        category = category_label(record.category)
        self._finished.labels(status=record.status.value, category=category).inc()
        if record.status is not TaskStatus.COMPLETED:
            return
        total_s = record.total_s
        self._seconds.labels(category=category).observe(total_s)
        if total_s <= 0.0:
            return
        for said in record.predictions:
            if said.share not in ASKED_AT:
                continue
            share, left_s = f"{said.share:g}", total_s - said.elapsed_s
            self._errors.labels(share=share).observe(abs(said.median_s - left_s) / total_s)
            held = "true" if said.low_s <= left_s <= said.high_s else "false"
            self._ranges.labels(share=share, held=held).inc()

    async def _count_tasks(self) -> None:
        store = self._tracker.store
        counts: Counts[str] = Counts()
        page: list[tuple[float, str]] = []
        for _ in range(0, COUNTED, COUNTED_AT_ONCE):
            page = await store.list_page(before=page[-1] if page else None, limit=COUNTED_AT_ONCE)
            counts.update(
                stored.status for stored in (await store.read(task_id for _, task_id in page)).values()
            )
            if len(page) < COUNTED_AT_ONCE:
                break
        for status in TaskStatus:
            self._tasks.labels(status=status.value).set(counts[status.value])


class _Shown(Collector):
    """What the process's registry has of Headway: the figures of the server that started last.

    A process can make several servers, and a registry refuses names that it has: so this one is registered
    once, and names nothing.
    """

    def __init__(self) -> None:
        self._metrics: list[Metrics] = []
        REGISTRY.register(self)

    def add(self, metrics: Metrics) -> None:
        """Show these figures."""
        self._metrics.append(metrics)

    def remove(self, metrics: Metrics) -> None:
        """Show these figures no more."""
        if metrics in self._metrics:
            self._metrics.remove(metrics)

    def describe(self) -> list[Metric]:
        """Name no metrics; else the registry would collect them to learn their names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give the figures of the server that started last."""
        if self._metrics:
            yield from self._metrics[-1].collect()


_SHOWN = _Shown()


def category_label(category: str | None) -> str:
    """Return one of the categories that Headway has stages for, else ``"other"``."""
    name = category or DEFAULT_CATEGORY
    return name if name in STAGE_DEFINITIONS else OTHER_CATEGORY
