"""Estimates of the tasks that no worker runs: those that wait in a queue, and those moved on from outside.

A worker estimates its own tasks. Nobody does that for a task that was made through `ProgressTracker` and
waits to be taken up, so the server does, which sees the whole queue. It writes an estimate into the task's
state by compare-and-set, and only when viewers would notice the difference; a worker that takes the task up
writes its own. With several servers on one Redis the first one speaks, and the others where they have news.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from msgspec.structs import replace

from headway.cancellation import cancel
from headway.diagnostics import settle, warn_once
from headway.errors import StoreError
from headway.estimates import Estimate, Span
from headway.eta.submissions import begun_stages, submit
from headway.learner import Learner
from headway.models import StageStatus, TaskProgress, TaskStatus
from headway.records import TaskHistory, submitted_at
from headway.server.open_tasks import OpenTask, OpenTasks
from headway.store.reports import Report
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker
from headway.transitions import QUEUE_STAGE

if TYPE_CHECKING:
    from headway.eta.predictor import ETAPredictor

LOOK_S = 1.0
# What is written in one look, those that start first before the others.
MAX_WRITES, WRITES_AT_ONCE = 100, 50
# An estimate takes 0.06 ms, and 0.7 ms where the template has learned: so much time is spent on them in a
# look, so much before others on the event loop have their turn. The first of the queue are estimated in each
# look, the others in turn.
BUDGET_S, SLICE_S = 0.05, 0.005
FIRST = 25
# What nobody would notice: of the time left, or in seconds. The outer ends of a range are less exact.
NOTABLE_SHARE, NOTABLE_S = 0.02, 1.0
NOTABLE_OUTSIDE = 0.1
# An estimate that stands for so long is of a server that has gone.
OTHERS_S = 5.0


class Forecasts:
    """Estimates the stored tasks that no worker has; see the module.

    Parameters
    ----------
    tracker
        Knows the tasks.
    """

    def __init__(self, tracker: ProgressTracker) -> None:
        self._tracker = tracker
        self._open = OpenTasks(tracker)
        self._learner = Learner(self._learn)
        self._predictor: ETAPredictor | None = None
        self._told: dict[str, _Told] = {}
        # How far behind the first of the queue the last look came.
        self._turn = 0
        self._task: asyncio.Task[None] | None = None
        self._has_stopped = False

    def start(self) -> None:
        """Begin to look; not again after the end."""
        if not self._has_stopped:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look no more, for good."""
        self._has_stopped = True
        if self._task is not None:
            await cancel([self._task])

    async def _run(self) -> None:
        while True:
            try:
                await self.look(time.time())
            except StoreError:
                pass  # the hub says so, and connects again
            except Exception as error:
                # A defect of ours: what is known of the tasks may be half of it, so it is read anew.
                self._tell(self._open.restart(), time.time())
                warn_once("forecasts", "waiting tasks cannot be estimated: %r", error)
            else:
                settle("forecasts")
            await asyncio.sleep(LOOK_S)

    async def look(self, now: float) -> int:
        """Estimate what is there, once.

        Parameters
        ----------
        now
            UTC seconds since the epoch.

        Returns
        -------
        int
            How many estimates were stored.

        Raises
        ------
        StoreUnavailableError
            When Redis does not answer; the next look goes on from there.
        """
        changed = await self._open.look(now)
        if self._predictor is None:
            if not self._open.followed:
                return 0
            self._predictor = await asyncio.to_thread(_make_predictor)
        self._tell(changed, now)
        if not self._open.followed:
            return 0
        templates = {found.task.template_id for found in self._open.followed.values()}
        if self._learner.is_due(templates):
            await self._learner.look(self._tracker.store.history, templates)
        await self._weigh()
        reports = await self._news(now)
        written = 0
        for first in range(0, len(reports), WRITES_AT_ONCE):
            some = reports[first : first + WRITES_AT_ONCE]
            refused = await self._tracker.store.write(some)
            for task in (report.task for report in some if report.task.task_id not in refused):
                self._open.wrote(task)
                self._told[task.task_id].keep(task.eta, now)
                written += 1
        return written

    def _tell(self, changed: dict[str, OpenTask | None], now: float) -> None:
        """Tell the predictor what has happened, in the order in which it did."""
        if self._predictor is None:
            return
        events: list[tuple[float, int, TaskProgress, str | None]] = []
        for task_id, found in changed.items():
            known = self._told.get(task_id)
            if known is not None and (found is None or not known.is_of(found.task)):
                self._predictor.forget(task_id)
                del self._told[task_id]
                known = None
            if found is None:
                continue
            if known is None:
                known = self._told[task_id] = _Told(found.task, now)
                events.append((known.submitted, 0, found.task, None))
            for at, stage in known.begun(found.task, now):
                events.append((min(at, now), 1, found.task, stage))
        for at, _, task, begun in sorted(events, key=lambda event: event[:2]):
            if begun is None:
                submit(task, self._predictor, at)
            else:
                self._predictor.progressed(task.task_id, begun, 0.0, at)
        for found in changed.values():
            if found is not None:
                self._progress(found.task, now)

    def _progress(self, task: TaskProgress, now: float) -> None:
        assert self._predictor is not None
        running = task.stage(task.current_stage) if task.current_stage else None
        if running is not None and running.status is StageStatus.IN_PROGRESS:
            self._predictor.progressed(task.task_id, running.id, running.progress, min(task.updated_at, now))

    def _learn(self, records: Sequence[TaskHistory]) -> None:
        assert self._predictor is not None
        for record in records:
            self._predictor.learn(record)
        self._predictor.settle()

    async def _weigh(self) -> None:
        """Compare each new task with history; else the first estimate would do so for the whole queue."""
        assert self._predictor is not None
        began = time.perf_counter()
        for task_id, known in self._told.items():
            if not known.is_weighed:
                self._predictor.expected_weights(task_id, least_runs=0)
                known.is_weighed = True
                if time.perf_counter() - began > SLICE_S:
                    await asyncio.sleep(0)
                    began = time.perf_counter()

    async def _news(self, now: float) -> list[Report]:
        """Estimate as many tasks as there is time for; return those of which viewers should hear."""
        assert self._predictor is not None
        reports: list[Report] = []
        spent_s, since_s = 0.0, 0.0
        in_turn = self._in_turn()
        for position, found in in_turn:
            began = time.perf_counter()
            report = self._estimate(found, now)
            took_s = time.perf_counter() - began
            spent_s, since_s = spent_s + took_s, since_s + took_s
            if report is not None:
                reports.append(report)
            if position >= FIRST:
                self._turn = position - FIRST + 1
            if len(reports) == MAX_WRITES or spent_s > BUDGET_S:
                break
            if since_s > SLICE_S:
                since_s = 0.0
                await asyncio.sleep(0)
        return reports

    def _in_turn(self) -> Iterator[tuple[int, OpenTask]]:
        """Go through the tasks, the first of the queue first, then from where the last look ended."""
        ordered = sorted(
            (found for found in self._open.followed.values() if found.is_nobodys),
            key=lambda found: (_is_waiting(found.task), found.task.created_at),
        )
        numbered = list(enumerate(ordered))
        first, others = numbered[:FIRST], numbered[FIRST:]
        turn = self._turn % max(len(others), 1)
        return chain(first, others[turn:], others[:turn])

    def _estimate(self, found: OpenTask, now: float) -> Report | None:
        assert self._predictor is not None
        task, known = found.task, self._told[found.task.task_id]
        if _is_waiting(task) and task.stages[0].id != QUEUE_STAGE:
            return None  # it waits for nobody knows what
        estimate = self._predictor.predict(task.task_id, now)
        if not known.is_news(estimate, task, now):
            return None
        changed_at = Timestamp(max(now, task.updated_at))
        return found.stored.followed_by(replace(task, eta=estimate, updated_at=changed_at))


class _Told:
    """What the predictor was told of one task, and what was said of it."""

    def __init__(self, task: TaskProgress, now: float) -> None:
        self._run = _run_of(task)
        self.submitted = min(float(submitted_at(task, now)), now)
        self._entered: str | None = None
        self.is_weighed = False
        # What this server last had to say, when, and what was stored then.
        self._said: Estimate | None = None
        self._said_at: float | None = None
        self._stored: Estimate | None = None

    def is_of(self, task: TaskProgress) -> bool:
        """Whether it is the same attempt at the same task, with the same stages."""
        return self._run == _run_of(task)

    def begun(self, task: TaskProgress, now: float) -> Iterator[tuple[float, str]]:
        """Go through the stages that have begun since: when each did, and its id."""
        for at, stage in begun_stages(task, self.submitted, now, after=self._entered):
            self._entered = stage.id
            yield at, stage.id

    def keep(self, estimate: Estimate | None, now: float) -> None:
        """Remember what was said."""
        self._said, self._said_at, self._stored = estimate, now, estimate

    def is_news(self, estimate: Estimate | None, task: TaskProgress, now: float) -> bool:
        """Whether viewers should hear of an estimate, and from this server."""
        age_s = now - task.updated_at
        if self._said_at is None:
            is_anothers = task.eta is not None and age_s < OTHERS_S
        else:
            is_anothers = task.eta is not None and task.eta != self._stored
        if is_anothers:  # from here on it counts what changes
            self._said, self._said_at, self._stored = estimate, now, task.eta
            return False
        if self._said_at is None or task.eta is None:
            return has_moved(task.eta, task.updated_at, estimate, now)
        return has_moved(self._said, self._said_at, estimate, now)


def _run_of(task: TaskProgress) -> tuple[float, int, tuple[str, ...]]:
    return task.created_at, task.attempt, tuple(stage.id for stage in task.stages)


def has_moved(old: Estimate | None, old_at: float, new: Estimate | None, now: float) -> bool:
    """Whether an estimate says something that viewers of an older one would notice.

    Parameters
    ----------
    old_at, now
        When the two were made.
    """
    if old is None or new is None:
        return old is not new
    if (old.late, old.stalled) != (new.late, new.stalled):
        return True
    if _is_apart(old.median, new.median, NOTABLE_SHARE, now) or any(
        _is_apart(one, other, NOTABLE_OUTSIDE, now)
        for one, other in ((old.low, new.low), (old.high, new.high))
    ):
        return True
    return _has_wait_moved(old, old_at, new, now)


def _has_wait_moved(old: Estimate, old_at: float, new: Estimate, now: float) -> bool:
    if old.wait is None or new.wait is None:
        return old.wait is not new.wait
    if _is_apart(_start(old.wait, old_at), _start(new.wait, now), NOTABLE_SHARE, now):
        return True
    before, after = _ahead(old), _ahead(new)
    return abs(before - after) > NOTABLE_SHARE * after


def _is_apart(one: float, other: float, share: float, now: float) -> bool:
    return abs(one - other) > max(share * (other - now), NOTABLE_S)


def _start(wait: Span, said_at: float) -> float:
    return said_at + wait.median


def _ahead(estimate: Estimate) -> int:
    return (estimate.evidence.ahead if estimate.evidence else None) or 0


def _is_waiting(task: TaskProgress) -> bool:
    return task.status is TaskStatus.QUEUED


def _make_predictor() -> ETAPredictor:
    # Here, and on a thread: numpy takes some 100 ms where nobody else has imported it.
    from headway.eta.predictor import ETAPredictor

    return ETAPredictor()
