"""`Task`: what the user's code reports to.

Every call changes memory only and returns at once; the reporter's thread looks at the task every 100 ms and
sends what changed. A mistake in a call raises in the caller and changes nothing; a failure of Redis or of the
network never reaches the caller.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from msgspec.structs import replace

from headway import checks, transitions
from headway.checks import error_text, plain_values
from headway.errors import StageOrderError, StoreUnavailableError, TaskCancelled, TaskStateError
from headway.logs import parse_level
from headway.models import CancelRequest, StageStatus, TaskProgress, TaskStatus
from headway.records import TaskHistory
from headway.store.reports import Report
from headway.timestamps import Timestamp
from headway.worker.loop import Loop
from headway.worker.nesting import LoopStack
from headway.worker.outbox import Outbox
from headway.worker.previews.slot import PreviewSlot
from headway.worker.resumption import Resumption

if TYPE_CHECKING:
    from headway.worker.outputs import OutputCapture
    from headway.worker.previews.options import PreviewOptions
    from headway.worker.reporter import Reporter

T = TypeVar("T")

FLUSH_TIMEOUT_S = 10.0


class Task:
    """One generation run, as the code that does it sees it.

    Made by `headway.task`. As a context manager it completes the task at the end of the block, and marks it
    failed, with the error's text, when an exception passes; an interrupt, an asyncio cancellation or
    `TaskCancelled` cancels it.

    Somebody may ask for its end: by `headway.cancel`, or by a button of its view, also while this process is
    busy. Then `TaskCancelled` is raised once, at the next item of each loop of `track` that runs, or at the
    next `stage`, `track`, `update`, `preview` or `check_cancelled`.

    Parameters
    ----------
    state
        The task's first state.
    reporter
        Sends what changes.
    view
        Shows the task in a notebook; ``None`` where there is none.
    show
        Whether the task is shown by itself when its block begins.
    resumption
        What an earlier attempt left, of a task that is taken up again.
    previews
        How its previews are made.

    Attributes
    ----------
    task_id
        Names the task everywhere.
    """

    def __init__(
        self,
        state: TaskProgress,
        *,
        reporter: Reporter,
        view: Callable[[Task], None] | None = None,
        show: bool = True,
        resumption: Resumption | None = None,
        previews: PreviewOptions | None = None,
    ) -> None:
        self.task_id = state.task_id
        # From the clock, so that a run that takes up an old id is above what viewers have seen of it.
        self._state = state if resumption else replace(state, seq=int(1_000 * state.created_at))
        # Tells this run from any other of the same id, of this process or another.
        self.run = resumption.run if resumption else new_run()
        # As declared: what history makes of the weights must not change which stage a loop belongs to.
        self._weights = {stage.id: stage.weight for stage in state.stages}
        self._reporter = reporter
        self._view = view
        self._shows_itself = show
        self._lock = threading.RLock()
        self._is_detached = False
        self._is_recorded = False
        self._is_changed = resumption is None
        self._has_entered = False
        # Asked to stop, and nothing has been raised for it yet.
        self._is_asked = False
        # What the running stage was told since the last look: folded into the state by `report`.
        self._told: dict[str, Any] = {}
        self._loops = LoopStack()
        self._block: str | None = None
        self._stage_began = time.monotonic()
        self._resumption = resumption or Resumption(run=self.run)
        # At most ten previews a second: their numbers are never used up, and an attempt begins above
        # those of the one before. The same holds for a million log entries a second.
        began = state.updated_at
        slot = PreviewSlot(self.task_id, reporter.previews, first_number=int(10 * began), options=previews)
        self._outbox = Outbox(
            slot,
            first_log_id=max(int(1_000_000 * began), self._resumption.log_id + 1),
            checkpoint=self._resumption.checkpoint,
            delivered_seq=state.seq if resumption else 0,
        )
        reporter.add(self)

    def __repr__(self) -> str:
        state = self.progress
        stage = f" in {state.current_stage}" if state.current_stage and not state.status.is_over else ""
        return f"<Task {self.task_id}: {state.status}{stage}, {state.overall_progress:.0f} %>"

    def _ipython_display_(self) -> None:
        if self._view is None:
            print(repr(self))
        else:
            self._view(self)

    def __enter__(self) -> Self:
        self.check_cancelled()
        self._has_entered = True
        with self._lock:
            self._set(transitions.begin(self._state, now=_now()))
        if self._shows_itself and self._view is not None:
            self._view(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._state.status.is_over:
            return
        if error is None:
            self.complete()
        elif isinstance(error, TaskCancelled):
            self._finish(TaskStatus.CANCELLED, error=f"cancelled by {error.by}")
        elif _is_cancellation(error):
            self._finish(TaskStatus.CANCELLED, error="interrupted")
        else:
            self.fail(error)

    @property
    def progress(self) -> TaskProgress:
        """The task's state as of now."""
        with self._lock:
            self._fold(_now())
            return self._state

    @property
    def last_checkpoint(self) -> dict[str, Any] | None:
        """What `checkpoint` was given last, in this attempt or an earlier one; ``None`` for nothing."""
        return self._outbox.checkpoint

    def stage(self, stage_id: str, *, message: str | None = None, total: int | None = None) -> StageBlock:
        """Open a stage for the length of a ``with`` block.

        Stages run once each, in order. Entering one completes the stage before, if it still runs, and skips
        those passed over. An exception that leaves the block marks the stage failed.

        In a task that was taken up again, the stage that was interrupted goes on, and one that an earlier
        attempt finished keeps its times: its block may be entered again, and shows as a message only.

        Parameters
        ----------
        stage_id
            One of the task's stages.
        message
            One line about what is being done.
        total
            How many steps the stage has, for `update` with ``done``.

        Raises
        ------
        UnknownStageError
            At once, when the task has no such stage.
        StageOrderError
            On entering, when it, or a later stage, has begun before, or another block is open.
        InvalidProgressError
            At once, when the total is not a number of at least 1.
        """
        transitions.stage_index(self._state, stage_id)
        checks.parse_fraction(None, done=None, total=total)
        return StageBlock(self, stage_id, message=message, total=total)

    def track(
        self,
        items: Iterable[T],
        *,
        stage: str | None = None,
        total: int | None = None,
        message: str | None = None,
        initial: int = 0,
    ) -> Iterator[T]:
        """Iterate over anything and report how far the loop is, for about 10 ns an item.

        Loops may be nested: the inner one then fills the outer one's step.

        Parameters
        ----------
        items
            Any iterable.
        stage
            The stage that the loop is; it begins at once and is completed after the last item. By default
            the running stage, else the heaviest one.
        total
            How many items there will be; by default the iterable's own length, if it has one.
        message
            One line about what is being done.
        initial
            How many items an earlier attempt has done, which are not in `items`; they are counted in.

        Raises
        ------
        UnknownStageError, StageOrderError
            As `stage`, but at once.
        InvalidProgressError
            When the total or `initial` is not a whole number of at least 0.
        TotalMismatchError
            At the first item beyond a total that was given, or when the items end before it.
        """
        if stage is not None:
            transitions.stage_index(self._state, stage)
        if total is not None:
            total = checks.check_count(total, least=0, what="a total")
        initial = checks.check_count(initial, least=0, what="a count of items done before")
        opened = False

        def start() -> None:
            nonlocal opened
            self.check_cancelled()
            with self._lock:
                opened = self._reach(stage)
                self._loops.begin(loop, initial=initial)
                if message is not None:
                    self._tell(message=message)

        def end() -> None:
            with self._lock:
                self._is_changed = True
                if opened and self._loops.is_outermost(loop):
                    self._end_opened()

        loop = Loop(items, total=total, on_start=start, on_end=end)
        return iter(loop)

    def update(
        self,
        progress: float | None = None,
        *,
        done: int | None = None,
        total: int | None = None,
        message: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        stage: str | None = None,
    ) -> None:
        """Say how far the running stage is.

        Parameters
        ----------
        progress
            0 to 1; a lower value than before leaves it where it is.
        done, total
            The same in steps.
        message
            One line about what is being done.
        metadata
            JSON values, added to the stage's.
        stage
            Go on to this stage first; by default the running one, else the heaviest one begins.

        Raises
        ------
        InvalidProgressError
            When the progress is not within 0 to 1, or the counts do not fit together.
        UnknownStageError, StageOrderError, TaskStateError, InvalidParamsError
            When the stage cannot be gone on to, the task is over, or the metadata have no JSON form.
        """
        self.check_cancelled()
        with self._lock:
            transitions.check_running(self._state)
            if self._resumption.is_redoing(stage):
                self._tell(message=message)
                return
            stage = stage or self._running or self._default_stage()
            known = self._state.stages[transitions.stage_index(self._state, stage)]
            told = self._told if stage == self._state.current_stage else {}
            if done is not None or total is not None:
                checks.parse_fraction(
                    None,
                    done=done if done is not None else told.get("done", known.done),
                    total=total if total is not None else told.get("total", known.total),
                )
            if progress is not None:
                progress = checks.check_fraction(progress)
            if metadata:
                # All of the stage's, so that there is never too much of it when the reporter looks.
                merged = known.metadata | told.get("metadata", {}) | dict(metadata)
                metadata = plain_values(merged, what="metadata")
            self._reach(stage)
            self._tell(progress=progress, done=done, total=total, message=message, metadata=metadata or None)

    def preview(
        self, picture: object, *, rate: float | None = None, latent: str | None = None, now: bool = False
    ) -> None:
        """Offer what has formed so far: a picture, a sound or a text.

        It takes a reference or a small copy and returns, in well under a millisecond. A preview is made of
        the newest one, on another thread, each 5 % of the task's progress, but at most one a second, at
        least one in ten seconds, and for 2 % of the task's time; `PreviewOptions` changes that. The last one
        that was offered is kept full-size where it is still there, unchanged, when the task ends. What
        cannot be shown is warned about once and never stops the task.

        Parameters
        ----------
        picture
            One of

            - a PIL image;
            - an array of shape ``(H, W)``, ``(H, W, 1)``, ``(H, W, 3)`` or ``(H, W, 4)``, or a tensor of
              torch on any device, of shape ``(C, H, W)``: of uint8, bool, or floats from 0 to 1 or from -1
              to 1. With a batch axis in front, the first four are shown;
            - latents of 4 or 16 channels, ``(C, H, W)``, ``(N, C, H, W)`` or ``(N, C, frames, H, W)``, or
              packed ones of a square picture, ``(1, tokens, 64)``;
            - the bytes of a PNG, JPEG or WebP image, of at most 64 million pixels;
            - a matplotlib figure, which is drawn here, in the 20 to 100 ms that this takes, and so rarely
              that it stays within the budget;
            - audio, with its `rate`: ``(N,)``, ``(N, channels)`` or ``(channels, N)``, of floats from -1 to 1
              or int16, drawn as waveform and spectrogram; the last one of a task is played;
            - the bytes of a WAV, MP3, Ogg, FLAC or M4A file, which is played;
            - a text, of which the last 2,000 characters are shown.
        rate
            Of audio, its samples a second.
        latent
            The family of latents: ``"sd1"``, ``"sdxl"``, ``"sd3"``, ``"flux"``, ``"wan"`` or ``"qwen"``. By
            default those of 4 channels are taken for SDXL's, of 16 for FLUX's, and with frames for Wan's.
        now
            Show this one whether or not one is due; only the budget may still hold it back.
        """
        self.check_cancelled()
        if not self._is_detached:
            self._outbox.previews.offer(picture, rate_hz=rate, latent=latent, now=now)

    def check_cancelled(self) -> None:
        """Stop here when somebody has asked for the end of the task; for code without a loop of `track`.

        Raises
        ------
        TaskCancelled
            Once a request.
        """
        if self._is_asked:
            raise self._stopped()

    def log(self, message: str, level: str = "info", **metadata: Any) -> None:
        """Add a line to the task's log.

        The newest 2,000 lines of a task are kept. While Redis is away, 1,000 wait; the oldest of level debug
        are dropped first, then the oldest, and how many were is kept too.

        Parameters
        ----------
        message
            At most 4,000 characters.
        level
            ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``.
        **metadata
            JSON values.

        Raises
        ------
        UsageError
            When the level is not one, or the metadata have no JSON form.
        """
        self._outbox.log(parse_level(level), message, metadata, now=time.time())
        self._say_more()

    def capture_output(self) -> OutputCapture:
        """Log what a ``with`` block prints, which is printed all the same; see `OutputCapture`.

        Lines become entries, a traceback one entry, and of a progress bar the last state.
        """
        from headway.worker.outputs import OutputCapture

        return OutputCapture(self)

    def checkpoint(self, value: Mapping[str, Any]) -> None:
        """Keep a small value with the task, so that the next attempt can skip what is done.

        The newest one is stored, with the progress that was reported before it; `flush` waits until it is.

        Parameters
        ----------
        value
            JSON values, at most 16 kB.

        Raises
        ------
        InvalidParamsError
            When it has no JSON form, or is too large.
        """
        self._outbox.save_checkpoint(value)
        self._say_more()

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> None:
        """Wait until what was reported before is in Redis.

        What it has acknowledged survives the death of the worker and of the embedded server. A preview that
        is still being encoded is not waited for.

        Parameters
        ----------
        timeout_s
            How long to wait at most.

        Raises
        ------
        StoreUnavailableError
            When Redis did not take it in time; it is sent once Redis is back.
        TaskStateError
            When a newer attempt has taken the task up, or the task is another process's.
        """
        deadline = time.monotonic() + timeout_s
        with self._lock:
            if self._is_detached:
                raise TaskStateError(f"expected a task of this process, but {self.task_id!r} is its parent's")
            self._fold(_now())
            is_new = self._is_changed or self._outbox.has_news
            seq = self._state.seq + 1 if is_new else self._state.seq
        self._reporter.wake()
        is_delivered = self._outbox.wait(seq, timeout_s)
        if self._outbox.is_fenced:
            raise TaskStateError(f"expected the newest attempt, but task {self.task_id!r} was taken up again")
        if is_delivered:
            self._reporter.persist(max(0.0, deadline - time.monotonic()))
        elif self._outbox.failure is not None:
            failure = self._outbox.failure
            raise StoreUnavailableError(f"task {self.task_id!r} cannot be sent: {failure}") from failure
        else:
            raise StoreUnavailableError(f"Redis did not take task {self.task_id!r} within {timeout_s:g} s")

    def complete(self) -> None:
        """End the task as completed; the ``with`` block does it by itself."""
        self._finish(TaskStatus.COMPLETED)

    def fail(self, error: BaseException | str) -> None:
        """End the task as failed, with the error's text; the ``with`` block does it by itself."""
        text = error_text(error) if isinstance(error, BaseException) else error
        self._finish(TaskStatus.FAILED, error=text)

    # What the reporter's thread calls.

    def report(self, now: Timestamp) -> Report | None:
        """Return what is new since the last report, ``None`` for nothing."""
        with self._lock:
            checkpoint, entries = (
                self._outbox.take()
            )  # first: what was reported before a checkpoint goes with it
            self._fold(now)
            self._outbox.previews.advance(self._state.overall_progress)
            preview = self._outbox.previews.take()
            if preview is not None:
                url = f"headway/tasks/{self.task_id}/previews/{preview.number}"
                self._set(replace(self._state, preview_url=url))
            state = self._state
            forecasts = self._reporter.forecasts
            # Silence is evidence: an estimate that nothing confirms is made anew.
            is_due = not state.status.is_over and forecasts.is_due(state, now)
            if not (self._is_changed or is_due or entries or checkpoint is not None):
                return None
            self._is_changed = False
            state = forecasts.estimate(state, now)
            self._state = replace(state, seq=state.seq + 1, updated_at=now)
            return Report(
                task=self._state,
                run=self.run,
                worker=self._reporter.worker,
                checkpoint=checkpoint,
                entries=entries,
                first_log_id=self._outbox.first_log_id,
                preview=preview,
                record=self._recorded(),
            )

    def _recorded(self) -> TaskHistory | None:
        """Return what is kept of the task, once, when it is over."""
        if self._is_recorded or not self._state.status.is_over:
            return None
        self._is_recorded = True
        peaks = self._reporter.resources.peaks(self.task_id)
        return replace(
            self._reporter.forecasts.over(self._state),
            peak_rss_bytes=peaks.rss_bytes,
            peak_gpu_memory_bytes=peaks.gpu_memory_bytes,
        )

    @property
    def is_delivered(self) -> bool:
        """Whether everything that was reported is stored."""
        with self._lock:
            self._fold(_now())
            is_over = self._state.status.is_over
            left = self._is_changed or self._outbox.has_news or (is_over and self._outbox.previews.is_busy)
            return not left and self._outbox.delivered_seq == self._state.seq

    @property
    def template_id(self) -> str:
        """What makes tasks comparable."""
        return self._state.template_id

    @property
    def is_over(self) -> bool:
        """Whether the task has ended."""
        return self._state.status.is_over

    @property
    def stored_at(self) -> float:
        """When a state was stored last, UTC seconds since the epoch; 0 for never."""
        return self._outbox.delivered_at

    @property
    def is_stored(self) -> bool:
        """Whether any state of this run was stored."""
        return self._outbox.delivered_seq > 0

    def acknowledge(self, seq: int, *, now: float) -> None:
        """Take note that a state, and what was reported with it, is stored."""
        self._outbox.acknowledge(seq, now=now)

    def fence(self) -> None:
        """Take note that a newer attempt has taken the task up: this handle goes quiet."""
        self._outbox.fence()
        self._reporter.forecasts.forget(self.task_id)

    def give_up(self, error: Exception) -> None:
        """Take note that what was reported cannot be sent at all."""
        self._outbox.fail(error)

    def ask_to_stop(self, request: CancelRequest) -> None:
        """Have `TaskCancelled` raised at the next step; a task that has not begun is cancelled at once."""
        with self._lock:
            state = self._state
            if state.status.is_over or state.cancel_request == request:
                return
            self._fold(_now())
            self._set(replace(self._state, cancel_request=request))
            self._is_asked = True
            self._loops.stop(self._stopped)
            if state.status is TaskStatus.QUEUED and not self._has_entered:
                self._finish(TaskStatus.CANCELLED, error=f"cancelled by {request.by}")
        self._reporter.wake()

    def rebase(self, *, attempt: int, seq: int) -> None:
        """Let the next state follow what is stored, which another writer has written."""
        with self._lock:
            self._set(replace(self._state, attempt=attempt, seq=max(seq, self._state.seq)))

    def touch(self) -> None:
        """Have everything sent again: what is stored may expire, or be gone."""
        self._outbox.send_again()
        self._reporter.resources.send_again(self.task_id)
        self._is_changed = True

    def detach(self) -> None:
        """Stop reporting: the task is another process's since a fork."""
        self._lock = threading.RLock()
        self._outbox.detach()
        self._is_detached = True

    # How the state changes; the caller holds the lock.

    @property
    def _running(self) -> str | None:
        """The stage that is being worked on; waiting in the queue is not."""
        current = self._state.current_stage
        stage = self._state.stage(current) if current else None
        if stage is None or stage.status is not StageStatus.IN_PROGRESS:
            return None
        return None if stage.id == transitions.QUEUE_STAGE and self._block != stage.id else stage.id

    def _stopped(self) -> TaskCancelled:
        """Return what is raised where somebody asked for the end; it is the end, where no block is to end."""
        with self._lock:
            self._is_asked = False
            request = self._state.cancel_request
            by = request.by if request else "somebody"
            if not self._has_entered and not self._state.status.is_over:
                self._finish(TaskStatus.CANCELLED, error=f"cancelled by {by}")
        return TaskCancelled(self.task_id, by)

    def _default_stage(self) -> str:
        """Return the heaviest stage to come; where none is, the heaviest of all, for the error to name."""
        pending = [s for s in self._state.stages if s.status is StageStatus.PENDING]
        return max(pending or self._state.stages, key=lambda stage: self._weights[stage.id]).id

    def _reach(self, stage: str | None) -> bool:
        """Make the stage the running one; return whether it began just now."""
        transitions.check_running(self._state)
        if self._resumption.is_redoing(stage):
            return False
        if stage is None:
            stage = self._running or self._default_stage()
        is_current = stage == self._running or (stage == self._state.current_stage == transitions.QUEUE_STAGE)
        if is_current and self._block in (None, stage):
            self._end_redo()
            return self._resumption.go_on(stage)
        if self._block is not None:
            raise StageOrderError(
                f"expected the block of stage {self._block!r} to be left before {stage!r} begins: "
                "stages follow each other, they are not nested"
            )
        now = _now()
        self._fold(now)
        self._end_redo()
        if stage in self._resumption.finished:
            self._begin_redo(stage)
            return True
        state = self._state
        running = self._running
        if running is not None:
            # What is done after a cancellation is clean-up, and the stage before it was not completed.
            is_cut = state.cancel_request is not None
            state = transitions.update_stage(
                state,
                running,
                now=now,
                status=StageStatus.FAILED if is_cut else StageStatus.COMPLETED,
                duration=self._stage_elapsed(),
                error="cancelled" if is_cut else None,
            )
        self._set(transitions.start_stage(state, stage, now=now))
        self._stage_began = time.monotonic()
        self._loops.clear()
        return True

    def _begin_redo(self, stage: str) -> None:
        """Do again what an earlier attempt has finished: only a message tells of it."""
        known = self._state.stages[transitions.stage_index(self._state, stage)]
        shown = self._state.stage(self._state.current_stage or "")
        self._loops.clear()
        self._resumption.begin_redo(known, message=shown.message if shown else None)
        self._tell(message=None)

    def _end_redo(self) -> None:
        if self._resumption.redone is not None:
            self._fold(_now())
            message = self._resumption.end_redo()
            shown = self._state.current_stage
            stages = tuple(replace(s, message=message) if s.id == shown else s for s in self._state.stages)
            self._set(replace(self._state, stages=stages))
            self._loops.clear()

    def _open_block(self, stage: str, *, message: str | None, total: int | None) -> None:
        self.check_cancelled()
        with self._lock:
            if self._block == stage:
                raise StageOrderError(f"expected stage {stage!r} to be opened once, and its block is open")
            self._reach(stage)
            self._block = stage
            self._tell(message=message, total=total)

    def _close_block(self, error: BaseException | None) -> None:
        with self._lock:
            self._block = None
            if self._state.status.is_over or _is_cancellation(error):
                return
            if self._resumption.redone is not None:
                self._end_redo()
            elif error is None:
                self._end_stage(StageStatus.COMPLETED)
            else:
                self._end_stage(StageStatus.FAILED, error=error_text(error))

    def _end_opened(self) -> None:
        if self._resumption.redone is not None:
            self._end_redo()
        else:
            self._end_stage(StageStatus.COMPLETED)

    def _end_stage(self, status: StageStatus, *, error: str | None = None) -> None:
        now = _now()
        self._fold(now)
        current = self._state.current_stage
        if current is not None:
            elapsed = self._stage_elapsed()
            self._set(
                transitions.update_stage(
                    self._state, current, now=now, status=status, duration=elapsed, error=error
                )
            )
        self._loops.clear()

    def _finish(self, status: TaskStatus, *, error: str | None = None) -> None:
        with self._lock:
            transitions.check_running(self._state)
            now = _now()
            self._fold(now)
            if status is TaskStatus.COMPLETED:
                self._end_redo()
            state = self._state
            running = self._running
            if running is not None and status is TaskStatus.COMPLETED:
                state = transitions.update_stage(
                    state, running, now=now, status=StageStatus.COMPLETED, duration=self._stage_elapsed()
                )
            self._set(transitions.finish(state, status, now=now, error=error))
            self._loops.clear()
            self._block = None
        self._outbox.previews.close(self._state.overall_progress)
        self._reporter.wake()

    def _stage_elapsed(self) -> float:
        earlier = self._resumption.elapsed_s(self._state.current_stage)
        return earlier + time.monotonic() - self._stage_began

    def _set(self, state: TaskProgress) -> None:
        self._state = state
        self._is_changed = True
        if self._is_detached:
            self._reporter.warn_detached(self.task_id)

    def _say_more(self) -> None:
        """Have what the outbox holds reported, also after the end."""
        if self._is_detached:
            self._reporter.warn_detached(self.task_id)
        elif self.is_over:
            self._reporter.take_back(self)

    def _tell(self, **facts: object) -> None:
        if facts.get("message") is not None:
            facts["message"] = str(facts["message"])  # here, where it may raise
        facts = self._resumption.shown(facts)
        self._told.update({name: fact for name, fact in facts.items() if fact is not None})
        if self._is_detached:
            self._reporter.warn_detached(self.task_id)

    def _fold(self, now: Timestamp) -> None:
        """Bring what the loops and `update` said into the state."""
        told, self._told = self._told, {}
        current = self._state.stage(self._state.current_stage or "")
        if current is None:
            return
        if self._loops.has_news() and self._resumption.redone is None:
            told |= self._loops.read(told.get("total") or current.total)  # what they count, they know best
        if told:
            self._set(transitions.update_stage(self._state, current.id, now=now, **told))


class StageBlock:
    """The ``with`` block of one stage; see `Task.stage`."""

    def __init__(self, task: Task, stage_id: str, *, message: str | None, total: int | None) -> None:
        self._task = task
        self.stage_id = stage_id
        self._message = message
        self._total = total

    def __enter__(self) -> Self:
        self._task._open_block(self.stage_id, message=self._message, total=self._total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task._close_block(error)

    def update(
        self,
        progress: float | None = None,
        *,
        done: int | None = None,
        total: int | None = None,
        message: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Say how far the stage is; see `Task.update`."""
        self._task.update(progress, done=done, total=total, message=message, metadata=metadata)


def new_run() -> str:
    """Make a name for one run of a task that no other run has."""
    return os.urandom(8).hex()


def new_task_id(template_id: str) -> str:
    """Make an id that tells what it is and is never given twice."""
    slug = re.sub(r"[^a-z0-9]+", "-", template_id.lower()).strip("-")[:40]
    return f"{slug or 'task'}-{os.urandom(6).hex()}"


def _is_cancellation(error: BaseException | None) -> bool:
    """Whether somebody asked for the end, rather than that something failed."""
    if error is None or isinstance(error, (KeyboardInterrupt, TaskCancelled)):
        return error is not None
    # Another thread may be importing it: it is there, and half made.
    cancelled = getattr(sys.modules.get("asyncio"), "CancelledError", None)
    return cancelled is not None and isinstance(error, cancelled)


def _now() -> Timestamp:
    return Timestamp(time.time())
