"""Tracker and store against a model: whatever several writers do in whatever order, what is stored is right.

The model is a dictionary in this process. A step is a call of one of two trackers, a report of a worker's run
(the newest, or one that was overtaken), or several of these at the same instant; after each step what both
trackers read is compared with the model. ``HEADWAY_EXAMPLES`` sets how many sequences of steps are tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace
from redis import Redis

from headway import transitions
from headway.errors import TaskCancelled, TaskExistsError, TaskNotFoundError, TaskStateError
from headway.logs import LogEntry, LogLevel
from headway.models import StageStatus, TaskProgress, TaskStatus
from headway.settings import Settings
from headway.store import keys
from headway.store.embedded import EmbeddedServer
from headway.store.reports import EncodedEntry, Report, encode_entry
from headway.store.tasks import TaskStore
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker
from tests.examples import examples

STEPS = 30
T = TypeVar("T")

task_ids = st.sampled_from(["a", "b", "c"])
stage_ids = st.sampled_from(["preparation", "execution", "finalization"])
fractions = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9])
pick = st.integers(0, 1)


class Run:
    """A worker's run of a task, with the state that it has in memory."""

    def __init__(self, name: str, state: TaskProgress, log_id: int) -> None:
        self.name = name
        self.state = state
        self.log_id = log_id
        self.entries: tuple[EncodedEntry, ...] = ()


class Kept:
    """What the model says is stored of one task."""

    def __init__(self, state: TaskProgress) -> None:
        self.state = state
        self.run = ""
        self.checkpoint: dict[str, Any] | None = None
        self.log_ids: list[int] = []

    @property
    def was_cancelled_early(self) -> bool:
        """Whether it was cancelled before anybody had begun with it: it is never taken up."""
        return self.state.status is TaskStatus.CANCELLED and self.state.started_at is None


class Machine(RuleBasedStateMachine):
    """See the module."""

    server: EmbeddedServer
    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 1_763_800_000.0
        options = Settings(redis_url=self.server.url)
        self.trackers = [ProgressTracker(TaskStore(options), clock=self.clock) for _ in range(2)]
        self.kept: dict[str, Kept] = {}
        self.attempts: dict[str, int] = {}
        self.count = 0

    def clock(self) -> float:
        self.now += 0.001
        return self.now

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize()
    def connect(self) -> None:
        with Redis.from_url(self.server.url) as client:
            client.flushall()
        for tracker in self.trackers:
            self.do(tracker.store.connect())

    def teardown(self) -> None:
        for tracker in self.trackers:
            self.do(tracker.store.commands.close())
        self.loop.close()

    # Changes from outside.

    @rule(task_id=task_ids, at=pick)
    def create(self, task_id: str, at: int) -> None:
        known = task_id in self.kept
        try:
            made = self.do(self.trackers[at].create_task_progress(task_id, "t"))
        except TaskExistsError:
            assert known
        else:
            assert not known
            self.kept[task_id] = Kept(made)
            self.attempts[task_id] = 1

    @rule(task_id=task_ids, stage=stage_ids, progress=fractions, at=pick)
    def update(self, task_id: str, stage: str, progress: float, at: int) -> None:
        kept = self.kept.get(task_id)
        try:
            found = self.do(self.trackers[at].update_stage(task_id, stage, progress=progress))
        except TaskNotFoundError:
            assert kept is None
        except TaskStateError:
            assert kept is not None
            assert kept.state.status.is_over
        else:
            assert kept is not None
            assert found.seq == kept.state.seq + 1
            before, after = kept.state.stage(stage), found.stage(stage)
            assert before is not None
            assert after is not None
            assert after.progress == max(before.progress, progress)
            assert [s for s in found.stages if s.id not in (stage, "queue")] == [
                s for s in kept.state.stages if s.id not in (stage, "queue")
            ]
            kept.state = found

    @rule(task_id=task_ids, status=st.sampled_from(["completed", "failed", "cancelled"]), at=pick)
    def finish(self, task_id: str, status: str, at: int) -> None:
        kept = self.kept.get(task_id)
        try:
            found = self.do(self.trackers[at].finish_task(task_id, status))
        except TaskNotFoundError:
            assert kept is None
        except TaskStateError:
            assert kept is not None
            assert kept.state.status.is_over
        else:
            assert kept is not None
            assert (found.status, found.seq) == (status, kept.state.seq + 1)
            kept.state = found

    # What workers do.

    @rule(target=runs, task_id=task_ids, at=pick)
    def attach(self, task_id: str, at: int) -> Run | None:
        self.count += 1
        name, kept = f"run-{self.count}", self.kept.get(task_id)
        try:
            found = self.do(self.trackers[at].attach(task_id, run=name, worker=""))
        except TaskNotFoundError:
            assert kept is None
            return None
        except TaskStateError:
            assert kept is not None
            assert kept.state.status is TaskStatus.COMPLETED
            return None
        except TaskCancelled:
            assert kept is not None
            assert kept.was_cancelled_early
            return None
        assert kept is not None
        assert found.task.attempt == kept.state.attempt + 1
        assert found.checkpoint == kept.checkpoint
        assert found.log_id == (kept.log_ids[-1] if kept.log_ids else 0)
        done = (StageStatus.COMPLETED, StageStatus.SKIPPED)
        assert [
            (s, t) for s, t in zip(kept.state.stages, found.task.stages, strict=True) if s.status in done
        ] == [(s, s) for s in kept.state.stages if s.status in done]
        kept.state, kept.run = found.task, name
        self.attempts[task_id] = found.task.attempt
        return Run(name, found.task, found.log_id)

    @rule(
        run=runs,
        stage=stage_ids,
        progress=fractions,
        checkpoint=st.none() | st.integers(0, 9),
        lines=st.integers(0, 3),
        twice=st.booleans(),
        at=pick,
    )
    def report(
        self,
        run: Run | None,
        stage: str,
        progress: float,
        checkpoint: int | None,
        lines: int,
        twice: bool,
        at: int,
    ) -> None:
        """A run reports as the sender would: refused by a change from outside, it tries again after that."""
        if run is None:
            return
        report = self.next_report(run, stage, progress, checkpoint, lines)
        refused = self.do(self.trackers[at].store.write([report]))
        if refused and refused[report.task.task_id].is_same_run:
            refusal = refused[report.task.task_id]
            task = replace(report.task, attempt=refusal.attempt, seq=refusal.seq + 1)
            report = replace(report, task=task)
            refused = self.do(self.trackers[at].store.write([report]))
            assert not refused
        elif twice:  # the answer was lost
            assert self.do(self.trackers[1 - at].store.write([report])).keys() == refused.keys()
        run.state = report.task
        kept = self.kept.get(report.task.task_id)
        is_newest = kept is None or kept.run == run.name or kept.state.attempt < report.task.attempt
        assert is_newest == (not refused)
        if refused:
            return
        if kept is None:  # the task was gone, and its run makes it anew
            kept = self.kept[report.task.task_id] = Kept(report.task)
            self.attempts.setdefault(report.task.task_id, report.task.attempt)
        kept.state, kept.run = report.task, run.name
        if checkpoint is not None:
            kept.checkpoint = {"done": checkpoint}
        newest = kept.log_ids[-1] if kept.log_ids else 0
        kept.log_ids += [entry.id for entry in report.entries if entry.id > newest]
        run.entries = report.entries  # and comes with the next report again, as after a lost answer

    @rule(run=consumes(runs))
    def die(self, run: Run | None) -> None:
        """A run is heard of no more."""

    def next_report(
        self, run: Run, stage: str, progress: float, checkpoint: int | None, lines: int
    ) -> Report:
        state = replace(run.state, seq=run.state.seq + 1)
        if not state.status.is_over:
            now = Timestamp(self.clock())
            state = transitions.update_stage(
                transitions.begin(state, now=now), stage, now=now, progress=progress
            )
        levels = [LogLevel.DEBUG, LogLevel.INFO]
        first = run.log_id + 1
        run.log_id += lines
        entries = tuple(
            encode_entry(
                LogEntry(id=number, timestamp=Timestamp(self.now), level=levels[number % 2], message="line")
            )
            for number in range(first, first + lines)
        )
        return Report(
            task=state,
            run=run.name,
            checkpoint=None if checkpoint is None else b'{"done":%d}' % checkpoint,
            entries=(*run.entries, *entries),
        )

    # At the same instant.

    @precondition(lambda self: any(not kept.state.status.is_over for kept in self.kept.values()))
    @rule(data=st.data(), changes=st.lists(st.tuples(stage_ids, fractions, pick), min_size=2, max_size=6))
    def race_of_updates(self, data: st.DataObject, changes: list[tuple[str, float, int]]) -> None:
        """Updates from several sides at once: all of them survive."""
        running = sorted(i for i, kept in self.kept.items() if not kept.state.status.is_over)
        task_id = data.draw(st.sampled_from(running))
        kept = self.kept[task_id]

        async def race() -> None:
            await asyncio.gather(
                *(
                    self.trackers[at].update_stage(task_id, stage, progress=progress)
                    for stage, progress, at in changes
                )
            )

        self.do(race())
        found = self.do(self.trackers[0].get_progress(task_id))
        assert found.seq == kept.state.seq + len(changes)
        for stage in found.stages:
            told = [progress for name, progress, _ in changes if name == stage.id]
            before = kept.state.stage(stage.id)
            assert before is not None
            if stage.id != "queue":
                assert stage.progress == max([before.progress, *told])
        kept.state = found

    @precondition(lambda self: self.kept)
    @rule(target=runs, data=st.data(), count=st.integers(2, 4), progress=fractions)
    def race_of_attempts(self, data: st.DataObject, count: int, progress: float) -> Run | None:
        """Workers take a task up at once while the last one still reports: one ends up its writer."""
        task_id = data.draw(st.sampled_from(sorted(self.kept)))
        kept = self.kept[task_id]
        if kept.state.status is TaskStatus.COMPLETED or kept.was_cancelled_early:
            return None
        names = [f"run-{self.count + number + 1}" for number in range(count)]
        self.count += count
        old = Report(task=replace(kept.state, seq=kept.state.seq + 1), run=kept.run or "someone")

        async def race() -> list[Any]:
            return await asyncio.gather(
                *(
                    self.trackers[number % 2].attach(task_id, run=name, worker="")
                    for number, name in enumerate(names)
                ),
                self.trackers[0].store.write([old]),
            )

        *attached, _ = self.do(race())
        found = self.do(self.trackers[1].get_progress(task_id))
        assert sorted(one.task.attempt for one in attached) == [
            kept.state.attempt + number + 1 for number in range(count)
        ]
        assert found.attempt == kept.state.attempt + count
        last = max(range(count), key=lambda number: attached[number].task.attempt)
        kept.state, kept.run = found, names[last]
        self.attempts[task_id] = found.attempt
        return Run(names[last], found, attached[last].log_id)

    # What becomes of Redis.

    @rule(task_id=task_ids)
    def evict(self, task_id: str) -> None:
        """A task's keys are gone, by eviction, expiry or a flush."""
        with Redis.from_url(self.server.url) as client:
            client.delete(*keys.of_task(task_id))
        self.kept.pop(task_id, None)
        self.attempts.pop(task_id, None)

    # What holds after each step.

    @invariant()
    def both_trackers_read_what_the_model_says(self) -> None:
        for tracker in self.trackers:
            stored = self.do(tracker.read(["a", "b", "c"]))
            assert {i: TaskProgress.from_json(s.data) for i, s in stored.items()} == {
                i: kept.state for i, kept in self.kept.items()
            }
            for task_id, kept in self.kept.items():
                assert stored[task_id].seq == kept.state.seq
                assert stored[task_id].status == kept.state.status
                assert kept.state.attempt >= self.attempts[task_id]
                assert self.do(tracker.read_checkpoint(task_id)) == kept.checkpoint

    @invariant()
    def the_log_has_every_line_once(self) -> None:
        for task_id, kept in self.kept.items():
            page = self.do(self.trackers[0].read_logs(task_id))
            assert [entry.id for entry in page.entries] == kept.log_ids

    @invariant()
    def the_list_has_every_task_once(self) -> None:
        listed, cursor = self.do(self.trackers[1].list_tasks(limit=10))
        assert cursor is None
        assert sorted(task.task_id for task in listed) == sorted(self.kept)

    @invariant()
    def a_finished_stage_has_its_times(self) -> None:
        for kept in self.kept.values():
            for stage in kept.state.stages:
                if stage.status is StageStatus.COMPLETED:
                    assert stage.finished_at is not None
                    assert stage.duration is not None


@pytest.mark.timeout(1_200)
def test_no_order_of_steps_leads_to_a_state_that_the_model_does_not_know(
    server: EmbeddedServer, redis: Redis
) -> None:
    Machine.server = server
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples(100),
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
