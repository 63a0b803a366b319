"""The sampler: one thread a process that measures once a second, while the process has tasks.

Each task that is not over gets the sample into its own series. What of the series is not stored waits here
until it is delivered, also of tasks that are over.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

from headway.samples import INTERVAL_S, Peaks, ResourceSample, ResourceSeries, SeriesUpdate

if TYPE_CHECKING:
    from headway.worker.resources.sources import Sources

# Without tasks for so long, the thread ends and the drivers are let go.
IDLE_S = 30.0
# A rate over less than this share of a second says little.
MIN_SHARE = 0.5
# Tasks that are over and of which samples could not be stored; beyond it the oldest are given up.
MAX_UNDELIVERED = 1_000


class Sampled(Protocol):
    """What is sampled: a task of this process."""

    run: str

    @property
    def is_over(self) -> bool:
        """Whether the task has ended."""


class Followed(NamedTuple):
    """A task and its series."""

    task: Sampled
    series: ResourceSeries


class News(NamedTuple):
    """What is not stored yet of one task's series."""

    task_id: str
    run: str
    update: SeriesUpdate
    is_first: bool


class Sampler:
    """Samples the tasks of one process; see the module.

    Parameters
    ----------
    tasks
        The tasks by their ids, as they are at each look.
    on_news
        Called, on whatever thread, when there is something to store.
    open_sources
        Opens what measures; called on the sampler's thread.
    clock, monotonic
        UTC seconds since the epoch, and seconds that never jump.
    """

    def __init__(
        self,
        tasks: Mapping[str, Sampled],
        *,
        on_news: Callable[[], None] = lambda: None,
        open_sources: Callable[[], Sources] | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tasks = tasks
        self._on_news = on_news
        self._open_sources = open_sources
        self._clock = clock
        self._monotonic = monotonic
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_loaded = False
        self._is_closed = False
        self._followed: dict[str, Followed] = {}
        # Of these runs it is known what earlier attempts have stored.
        self._continued: set[str] = set()
        # Not at the turn of the second, so that no two samples fall into one; nor all processes at once.
        self._phase_s = 0.25 + 0.5 * (os.getpid() % 64) / 64

    # From any thread.

    def load(self) -> None:
        """Import what measures, and sample from now on.

        The caller says when, because a process that is forked meanwhile finds half a module for ever.
        """
        from headway.worker.resources.sources import load_sources

        load_sources()
        self._is_loaded = True
        self.wake()

    def wake(self) -> None:
        """Look at the tasks: there is a new one."""
        with self._condition:
            if self._is_closed or not self._is_loaded or not self._has_running():
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="headway-resources", daemon=True)
                self._thread.start()
            self._condition.notify()

    def close(self, timeout_s: float = 1.0) -> None:
        """End the thread, unless a driver holds it up for longer."""
        with self._condition:
            self._is_closed = True
            thread = self._thread
            self._condition.notify()
        if thread is not None:
            thread.join(timeout_s)

    def series(self, task_id: str) -> tuple[ResourceSample, ...]:
        """Return what was sampled of a task."""
        with self._condition:
            found = self._followed.get(task_id)
            return found.series.samples if found else ()

    def peaks(self, task_id: str) -> Peaks:
        """Return the most memory that was taken while a task ran; for a task under a second, what is now."""
        with self._condition:
            found = self._followed.get(task_id)
            peaks = found.series.peaks if found else Peaks()
        return peaks if peaks.rss_bytes is not None else peaks._replace(rss_bytes=_rss_bytes())

    def news(self, limit: int | None = None) -> list[News]:
        """Return what is to be stored; forget tasks that are gone and of which nothing is.

        Parameters
        ----------
        limit
            Of so many tasks at most; those that have waited longest come first.
        """
        with self._condition:
            gone = [task_id for task_id in self._followed if task_id not in self._tasks]
            for task_id in gone[: max(0, len(gone) - MAX_UNDELIVERED)]:
                self._forget(task_id)
            found: list[News] = []
            for task_id, (task, series) in list(self._followed.items()):
                if len(found) == limit:
                    break
                update = series.news()
                if update is not None:
                    found.append(News(task_id, task.run, update, task.run not in self._continued))
                elif self._tasks.get(task_id) is not task:
                    self._forget(task_id)
            return found

    def precede(self, news: News, earlier: list[ResourceSample]) -> None:
        """Let a task's series go on from what earlier attempts have stored."""
        with self._condition:
            followed = self._of(news)
            if followed is not None:
                self._continued.add(news.run)
                if earlier:
                    followed.series.precede(earlier)

    def acknowledge(self, news: News) -> None:
        """Take note that it is stored."""
        with self._condition:
            followed = self._of(news)
            if followed is not None:
                followed.series.acknowledge(news.update)
                self._put_last(news.task_id)

    def send_again(self, task_id: str) -> None:
        """Have the whole series of a task stored once more: what is stored may be gone."""
        with self._condition:
            found = self._followed.get(task_id)
            if found is not None:
                found.series.send_again()
        self._on_news()

    def drop(self, news: News) -> None:
        """Store no more of a task: another run has taken it up."""
        with self._condition:
            if self._of(news) is not None:
                self._forget(news.task_id)

    def miss(self, news: News) -> None:
        """Take note that the task is not stored: it is not yet, or, of one that is delivered, no more."""
        if news.task_id not in self._tasks:
            self.drop(news)
            return
        with self._condition:
            if self._of(news) is not None:
                self._put_last(news.task_id)

    # The thread.

    def _run(self) -> None:
        sources: Sources | None = None
        try:
            while self._wait_for_tasks():
                if sources is None:
                    sources = (self._open_sources or _open_sources)()
                self._sample_tasks(sources)
        finally:
            if sources is not None:
                sources.close()
            with self._condition:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _wait_for_tasks(self) -> bool:
        """Wait until there is a task to sample; return whether there is."""
        with self._condition:
            if self._condition.wait_for(lambda: self._is_closed or self._has_running(), IDLE_S):
                return not self._is_closed
            self._thread = None  # here, under the lock: whoever wakes it now starts another
            return False

    def _sample_tasks(self, sources: Sources) -> None:
        """Sample once a second until all tasks are over."""
        began = self._monotonic()
        sources.sample(at=self._clock(), now=began)  # rates are counted from here
        while self._sleep(since=began):
            began = self._monotonic()
            self.take(sources.sample(at=self._clock(), now=began))

    def _sleep(self, *, since: float) -> bool:
        """Wait for the next sample's time; return whether there is anything to sample then."""
        wait_s = INTERVAL_S - (self._clock() - self._phase_s) % INTERVAL_S
        if self._monotonic() + wait_s - since < MIN_SHARE * INTERVAL_S:
            wait_s += INTERVAL_S
        deadline = self._monotonic() + wait_s
        with self._condition:
            while not self._is_closed and (left_s := deadline - self._monotonic()) > 0:
                self._condition.wait(left_s)
            return not self._is_closed and self._has_running()

    def take(self, sample: ResourceSample) -> None:
        """Put a sample into the series of each task that is not over."""
        with self._condition:
            for task_id, task in list(self._tasks.items()):
                followed = self._followed.get(task_id)
                if task.is_over:
                    continue
                if followed is None or followed.task is not task:
                    self._forget(task_id)
                    followed = self._followed[task_id] = Followed(task, ResourceSeries())
                followed.series.add(sample)
        self._on_news()

    def _has_running(self) -> bool:
        return any(not task.is_over for task in list(self._tasks.values()))

    def _of(self, news: News) -> Followed | None:
        followed = self._followed.get(news.task_id)
        return followed if followed is not None and followed.task.run == news.run else None

    def _put_last(self, task_id: str) -> None:
        self._followed[task_id] = self._followed.pop(task_id)

    def _forget(self, task_id: str) -> None:
        followed = self._followed.pop(task_id, None)
        if followed is not None:
            self._continued.discard(followed.task.run)


def _open_sources() -> Sources:
    from headway.worker.resources.sources import open_sources

    return open_sources()


def _rss_bytes() -> int | None:
    with suppress(Exception):  # psutil knows of no such system
        import psutil

        return int(psutil.Process().memory_info().rss)
    return None
