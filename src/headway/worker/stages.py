"""How the stages of a run follow each other: what its blocks, loops and updates make of the task's state."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from headway import transitions
from headway.checks import check_fraction, error_text, parse_fraction, plain_values
from headway.errors import StageOrderError
from headway.models import StageStatus, TaskProgress, TaskStatus
from headway.timestamps import Timestamp
from headway.worker.loop import Loop
from headway.worker.nesting import LoopStack
from headway.worker.resumption import Resumption


class RunningStages:
    """The state of one run and the stage that is being worked on; used under the run's lock.

    Parameters
    ----------
    state
        The run's first state.
    resumption
        What an earlier attempt left.
    on_change
        Called whenever there is something new to report.

    Attributes
    ----------
    state
        The task as it is, but for what was told since the last `fold`.
    loops
        The loops of `Task.track` that run.
    """

    def __init__(self, state: TaskProgress, *, resumption: Resumption, on_change: Callable[[], None]) -> None:
        self.state = state
        self.loops = LoopStack()
        self._resumption = resumption
        self._on_change = on_change
        # As declared: what history makes of the weights must not change which stage a loop belongs to.
        self._weights = {stage.id: stage.weight for stage in state.stages}
        # What the running stage was told since the last look.
        self._told: dict[str, Any] = {}
        self._block: str | None = None
        self._began = time.monotonic()

    def set(self, state: TaskProgress) -> None:
        """Make this the state, and have it reported."""
        self.state = state
        self._on_change()

    @property
    def has_news(self) -> bool:
        """Whether something was told, or a loop has gone on, since the last `fold`."""
        return bool(self._told) or self.loops.has_news

    def fold(self, now: Timestamp) -> TaskProgress:
        """Bring what the loops and the updates said into the state, and return it."""
        told, self._told = self._told, {}
        current = self.state.stage(self.state.current_stage or "")
        if current is None:
            return self.state
        if self.loops.has_news and self._resumption.redone is None:
            told |= self.loops.read(told.get("total") or current.total)  # what they count, they know best
        if told:
            self.set(transitions.update_stage(self.state, current.id, now=now, **told))
        return self.state

    def open_block(self, stage: str, *, message: str | None, total: int | None, now: Timestamp) -> None:
        """Make a stage the running one for the length of a block."""
        if self._block == stage:
            raise StageOrderError(f"expected stage {stage!r} to be opened once, and its block is open")
        self.reach(stage, now=now)
        self._block = stage
        self._tell(message=message, total=total)

    def close_block(self, error: BaseException | None, *, is_cancelled: bool, now: Timestamp) -> None:
        """End the stage of the block that is open; one that is cancelled ends with the task."""
        self._block = None
        if self.state.status.is_over or is_cancelled:
            return
        if self._resumption.redone is not None:
            self._end_redo(now)
        elif error is None:
            self._end_stage(StageStatus.COMPLETED, now=now)
        else:
            self._end_stage(StageStatus.FAILED, now=now, error=error_text(error))

    def begin_loop(
        self, loop: Loop[Any], *, stage: str | None, initial: int, message: str | None, now: Timestamp
    ) -> bool:
        """Begin a loop; return whether its stage began with it, and is to end with it."""
        opened = self.reach(stage, now=now)
        self.loops.begin(loop, initial=initial)
        if message is not None:
            self._tell(message=message)
        return opened

    def end_loop(self, loop: Loop[Any], *, opened: bool, now: Timestamp) -> None:
        """End a loop, and the stage that began with it."""
        self._on_change()
        if not (opened and self.loops.is_outermost(loop)):
            return
        if self._resumption.redone is not None:
            self._end_redo(now)
        else:
            self._end_stage(StageStatus.COMPLETED, now=now)

    def update(
        self,
        stage: str | None,
        *,
        progress: float | None,
        done: int | None,
        total: int | None,
        message: str | None,
        metadata: Mapping[str, Any] | None,
        now: Timestamp,
    ) -> None:
        """Take what `Task.update` was told; raises as it does, and then changes nothing."""
        transitions.check_running(self.state)
        if self._resumption.is_redoing(stage):
            self._tell(message=message)
            return
        stage = stage or self._running or self._default_stage()
        known = self.state.stages[transitions.stage_index(self.state, stage)]
        told = self._told if stage == self.state.current_stage else {}
        if done is not None or total is not None:
            parse_fraction(
                None,
                done=done if done is not None else told.get("done", known.done),
                total=total if total is not None else told.get("total", known.total),
            )
        if progress is not None:
            progress = check_fraction(progress)
        if metadata:
            # All of the stage's, so that there is never too much of it when the reporter looks.
            merged = known.metadata | told.get("metadata", {}) | dict(metadata)
            metadata = plain_values(merged, what="metadata")
        self.reach(stage, now=now)
        self._tell(progress=progress, done=done, total=total, message=message, metadata=metadata or None)

    def reach(self, stage: str | None, *, now: Timestamp) -> bool:
        """Make the stage the running one; return whether it began just now."""
        transitions.check_running(self.state)
        if self._resumption.is_redoing(stage):
            return False
        if stage is None:
            stage = self._running or self._default_stage()
        is_current = stage == self._running or (stage == self.state.current_stage == transitions.QUEUE_STAGE)
        if is_current and self._block in (None, stage):
            self._end_redo(now)
            return self._resumption.go_on(stage)
        if self._block is not None:
            raise StageOrderError(
                f"expected the block of stage {self._block!r} to be left before {stage!r} begins: "
                "stages follow each other, they are not nested"
            )
        self.fold(now)
        self._end_redo(now)
        if stage in self._resumption.finished:
            self._begin_redo(stage)
            return True
        state = self.state
        running = self._running
        if running is not None:
            # What is done after a cancellation is clean-up, and the stage before it was not completed.
            is_cut = state.cancel_request is not None
            state = transitions.update_stage(
                state,
                running,
                now=now,
                status=StageStatus.FAILED if is_cut else StageStatus.COMPLETED,
                duration=self._elapsed_s(),
                error="cancelled" if is_cut else None,
            )
        self.set(transitions.start_stage(state, stage, now=now))
        self._began = time.monotonic()
        self.loops.clear()
        return True

    def finish(self, status: TaskStatus, *, error: str | None, now: Timestamp) -> None:
        """End the task, and with it the stage that runs."""
        transitions.check_running(self.state)
        self.fold(now)
        if status is TaskStatus.COMPLETED:
            self._end_redo(now)
        state = self.state
        running = self._running
        if running is not None and status is TaskStatus.COMPLETED:
            state = transitions.update_stage(
                state, running, now=now, status=StageStatus.COMPLETED, duration=self._elapsed_s()
            )
        self.set(transitions.finish(state, status, now=now, error=error))
        self.loops.clear()
        self._block = None

    @property
    def _running(self) -> str | None:
        """The stage that is being worked on; waiting in the queue is not."""
        current = self.state.current_stage
        stage = self.state.stage(current) if current else None
        if stage is None or stage.status is not StageStatus.IN_PROGRESS:
            return None
        return None if stage.id == transitions.QUEUE_STAGE and self._block != stage.id else stage.id

    def _default_stage(self) -> str:
        """Return the heaviest stage to come; where none is, the heaviest of all, for the error to name."""
        pending = [stage for stage in self.state.stages if stage.status is StageStatus.PENDING]
        return max(pending or self.state.stages, key=lambda stage: self._weights[stage.id]).id

    def _end_stage(self, status: StageStatus, *, now: Timestamp, error: str | None = None) -> None:
        self.fold(now)
        current = self.state.current_stage
        if current is not None:
            elapsed_s = self._elapsed_s()
            self.set(
                transitions.update_stage(
                    self.state, current, now=now, status=status, duration=elapsed_s, error=error
                )
            )
        self.loops.clear()

    def _begin_redo(self, stage: str) -> None:
        """Do again what an earlier attempt has finished: only a message tells of it."""
        known = self.state.stages[transitions.stage_index(self.state, stage)]
        shown = self.state.stage(self.state.current_stage or "")
        self.loops.clear()
        self._resumption.begin_redo(known, message=shown.message if shown else None)
        self._tell(message=None)

    def _end_redo(self, now: Timestamp) -> None:
        if self._resumption.redone is None:
            return
        self.fold(now)
        message = self._resumption.end_redo()
        shown = self.state.current_stage
        stages = tuple(replace(s, message=message) if s.id == shown else s for s in self.state.stages)
        self.set(replace(self.state, stages=stages))
        self.loops.clear()

    def _tell(self, **facts: object) -> None:
        if facts.get("message") is not None:
            facts["message"] = str(facts["message"])  # here, where it may raise
        facts = self._resumption.shown(facts)
        self._told.update({name: fact for name, fact in facts.items() if fact is not None})
        self._on_change()

    def _elapsed_s(self) -> float:
        earlier_s = self._resumption.elapsed_s(self.state.current_stage)
        return earlier_s + time.monotonic() - self._began
