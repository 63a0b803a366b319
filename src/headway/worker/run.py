"""One run of a task in this process: what the user's code does to it, and what the reporter takes of it.

The user's threads and the reporter's come here; one lock keeps the state.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from headway import transitions
from headway.checks import error_text
from headway.errors import StoreUnavailableError, TaskCancelled, TaskStateError
from headway.logs import parse_level
from headway.models import CancelRequest, TaskProgress, TaskStatus
from headway.records import TaskHistory
from headway.store.reports import Report
from headway.timestamps import Timestamp
from headway.worker.loop import Loop
from headway.worker.outbox import Outbox
from headway.worker.previews.slot import PreviewSlot
from headway.worker.resumption import Resumption
from headway.worker.stages import RunningStages

if TYPE_CHECKING:
    from headway.worker.previews.options import PreviewOptions
    from headway.worker.reporter import Reporter

T = TypeVar("T")

FLUSH_TIMEOUT_S = 10.0


class TaskRun:
    """One run of a task; see the module. What a method raises is documented with `Task`'s.

    Parameters
    ----------
    state
        The task's first state.
    reporter
        Sends what changes.
    resumption
        What an earlier attempt left, of a task that is taken up again.
    previews
        How its previews are made.

    Attributes
    ----------
    task_id
        Names the task everywhere.
    run
        Tells this run from any other of the same id, of this process or another.
    outbox
        What is to be sent besides the state.
    """

    def __init__(
        self,
        state: TaskProgress,
        *,
        reporter: Reporter,
        resumption: Resumption | None = None,
        previews: PreviewOptions | None = None,
    ) -> None:
        self.task_id = state.task_id
        resumed = resumption or Resumption(run=new_run())
        self.run = resumed.run
        self._reporter = reporter
        self._lock = threading.RLock()
        self._is_changed = resumption is None
        self._is_detached = False
        self._is_recorded = False
        self._has_entered = False
        # Asked to stop, and nothing has been raised for it yet; or something has.
        self._is_asked = self._has_stopped = False
        # From the clock, so that a run that takes up an old id is above what viewers have seen of it.
        first = state if resumption else replace(state, seq=int(1_000 * state.created_at))
        self._stages = RunningStages(first, resumption=resumed, on_change=self._change)
        # At most ten previews a second: their numbers are never used up, and an attempt begins above
        # those of the one before. The same holds for a million log entries a second.
        began = state.updated_at
        slot = PreviewSlot(self.task_id, reporter.previews, first_number=int(10 * began), options=previews)
        self.outbox = Outbox(
            slot,
            first_log_id=max(int(1_000_000 * began), resumed.log_id + 1),
            checkpoint=resumed.checkpoint,
            delivered_seq=state.seq if resumption else 0,
        )
        reporter.add(self)

    @property
    def progress(self) -> TaskProgress:
        """The task's state as of now."""
        with self._lock:
            return self._stages.fold(_now())

    # What the user's code does, through `Task`.

    def begin(self) -> None:
        """Begin the task's block."""
        self.check_cancelled()
        self._has_entered = True
        with self._lock:
            self._stages.set(transitions.begin(self._stages.state, now=_now()))

    def leave(self, error: BaseException | None) -> None:
        """End the task with its block, as what has left the block says."""
        if self.is_over:
            return
        if isinstance(error, TaskCancelled) or (error is None and self._has_stopped):
            # What was raised may have ended another thread, or a part that is cleaned up after.
            self.finish(TaskStatus.CANCELLED, error=f"cancelled by {error.by if error else self._asked_by()}")
        elif error is None:
            self.finish(TaskStatus.COMPLETED)
        elif _is_cancellation(error):
            self.finish(TaskStatus.CANCELLED, error="interrupted")
        else:
            self.fail(error)

    def check_stage(self, stage_id: str) -> None:
        """Refuse what is no stage of the task."""
        transitions.stage_index(self._stages.state, stage_id)

    def open_block(self, stage: str, *, message: str | None, total: int | None) -> None:
        """Begin a stage's block."""
        self.check_cancelled()
        with self._lock:
            self._stages.open_block(stage, message=message, total=total, now=_now())

    def close_block(self, error: BaseException | None) -> None:
        """End the block that is open."""
        with self._lock:
            self._stages.close_block(error, is_cancelled=_is_cancellation(error), now=_now())

    def track(
        self, items: Iterable[T], *, stage: str | None, total: int | None, message: str | None, initial: int
    ) -> Iterator[T]:
        """Iterate over anything, and count."""
        opened = False

        def start() -> None:
            nonlocal opened
            self.check_cancelled()
            with self._lock:
                opened = self._stages.begin_loop(
                    loop, stage=stage, initial=initial, message=message, now=_now()
                )

        def end() -> None:
            with self._lock:
                self._stages.end_loop(loop, opened=opened, now=_now())

        loop = Loop(items, total=total, on_start=start, on_end=end)
        return iter(loop)

    def update(self, stage: str | None, **facts: Any) -> None:
        """Take what `Task.update` was told."""
        self.check_cancelled()
        with self._lock:
            self._stages.update(stage, **facts, now=_now())

    def preview(self, picture: object, *, rate_hz: float | None, latent: str | None, now: bool) -> None:
        """Offer a picture."""
        self.check_cancelled()
        if not self._is_detached:
            self.outbox.previews.offer(picture, rate_hz=rate_hz, latent=latent, now=now)

    def log(self, level: str, message: str, metadata: Mapping[str, Any]) -> None:
        """Add an entry to the log."""
        self.outbox.log(parse_level(level), message, metadata, now=time.time())
        self._say_more()

    def save_checkpoint(self, value: Mapping[str, Any]) -> None:
        """Keep a small value with the task."""
        self.outbox.save_checkpoint(value)
        self._say_more()

    def check_cancelled(self) -> None:
        """Raise when somebody has asked for the end of the task, once a request."""
        if self._is_asked:
            raise self._stopped()

    def flush(self, timeout_s: float) -> None:
        """Wait until what was reported before is in Redis."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            if self._is_detached:
                raise TaskStateError(f"expected a task of this process, but {self.task_id!r} is its parent's")
            state = self._stages.fold(_now())
            is_new = self._is_changed or self.outbox.has_news
            seq = state.seq + 1 if is_new else state.seq
        self._reporter.wake()
        is_delivered = self.outbox.wait(seq, timeout_s)
        if self.outbox.is_fenced:
            raise TaskStateError(f"expected the newest attempt, but task {self.task_id!r} was taken up again")
        if is_delivered:
            self._reporter.persist(max(0.0, deadline - time.monotonic()))
        elif self.outbox.failure is not None:
            failure = self.outbox.failure
            raise StoreUnavailableError(f"task {self.task_id!r} cannot be sent: {failure}") from failure
        else:
            raise StoreUnavailableError(f"Redis did not take task {self.task_id!r} within {timeout_s:g} s")

    def fail(self, error: BaseException | str) -> None:
        """End the task as failed."""
        if isinstance(error, BaseException) and error.__traceback__ is not None and not self.is_over:
            with suppress(Exception):  # what an error says of itself may fail
                self.log("error", _traced(error), {})
        self.finish(TaskStatus.FAILED, error=error_text(error) if isinstance(error, BaseException) else error)

    def finish(self, status: TaskStatus, *, error: str | None = None) -> None:
        """End the task."""
        with self._lock:
            self._stages.finish(status, error=error, now=_now())
        self.outbox.previews.close(self._stages.state.overall_progress)
        self._reporter.wake()

    def ask_to_stop(self, request: CancelRequest) -> None:
        """Have `TaskCancelled` raised at the next step; a task that has not begun is cancelled at once."""
        with self._lock:
            state = self._stages.state
            if state.status.is_over or state.cancel_request == request:
                return
            self._stages.set(replace(self._stages.fold(_now()), cancel_request=request))
            self._is_asked = True
            self._stages.loops.stop(self._stopped)
            if state.status is TaskStatus.QUEUED and not self._has_entered:
                self.finish(TaskStatus.CANCELLED, error=f"cancelled by {request.by}")
        self._reporter.wake()

    # What the reporter's thread asks and tells.

    @property
    def template_id(self) -> str:
        """What makes tasks comparable."""
        return self._stages.state.template_id

    @property
    def is_over(self) -> bool:
        """Whether the task has ended."""
        return self._stages.state.status.is_over

    @property
    def is_stored(self) -> bool:
        """Whether any state of this run was stored."""
        return self.outbox.delivered_seq > 0

    @property
    def stored_at(self) -> float:
        """When a state was stored last, UTC seconds since the epoch; 0 for never."""
        return self.outbox.delivered_at

    @property
    def is_delivered(self) -> bool:
        """Whether everything that was reported is stored."""
        with self._lock:
            state = self._stages.fold(_now())
            left = (
                self._is_changed
                or self.outbox.has_news
                or (state.status.is_over and self.outbox.previews.is_busy)
            )
            return not left and self.outbox.delivered_seq == state.seq

    def report(self, now: Timestamp) -> Report | None:
        """Return what is new since the last report, ``None`` for nothing."""
        forecasts, state = self._reporter.forecasts, self._stages.state
        # Silence is evidence: an estimate that nothing confirms is made anew.
        is_due = not state.status.is_over and forecasts.is_due(state, now)
        if not (is_due or self._has_news):  # most of many tasks, at most looks
            return None
        with self._lock:
            # First: what was reported before a checkpoint goes with it.
            checkpoint, entries = self.outbox.take()
            state = self._stages.fold(now)
            self.outbox.previews.advance(state.overall_progress)
            preview = self.outbox.previews.take()
            if preview is not None:
                url = f"headway/tasks/{self.task_id}/previews/{preview.number}"
                state = replace(state, preview_url=url)
                self._stages.set(state)
            if not (self._is_changed or is_due or entries or checkpoint is not None):
                return None
            self._is_changed = False
            state = forecasts.estimate(state, now)
            state = self._stages.state = replace(state, seq=state.seq + 1, updated_at=now)
            return Report(
                task=state,
                run=self.run,
                worker=self._reporter.worker,
                checkpoint=checkpoint,
                entries=entries,
                first_log_id=self.outbox.first_log_id,
                preview=preview,
                record=self._recorded(),
            )

    def acknowledge(self, seq: int, *, now: float) -> None:
        """Take note that a state, and what was reported with it, is stored."""
        self.outbox.acknowledge(seq, now=now)

    def fence(self) -> None:
        """Take note that a newer attempt has taken the task up: this handle goes quiet."""
        self.outbox.fence()
        self._reporter.forecasts.forget(self.task_id)

    def give_up(self, error: Exception) -> None:
        """Take note that what was reported cannot be sent at all."""
        self.outbox.fail(error)

    def rebase(self, *, attempt: int, seq: int) -> None:
        """Let the next state follow what is stored, which another writer has written."""
        with self._lock:
            state = self._stages.state
            self._stages.set(replace(state, attempt=attempt, seq=max(seq, state.seq)))

    def touch(self) -> None:
        """Have everything sent again: what is stored may expire, or be gone."""
        self.outbox.send_again()
        self._reporter.resources.send_again(self.task_id)
        self._is_changed = True

    def detach(self) -> None:
        """Stop reporting: the task is another process's since a fork."""
        self._lock = threading.RLock()
        self.outbox.detach()
        self._is_detached = True

    @property
    def _has_news(self) -> bool:
        """Whether there may be something to report; what comes meanwhile is found by the next look."""
        return (
            self._is_changed or self._stages.has_news or self.outbox.has_news or self.outbox.previews.is_ready
        )

    def _recorded(self) -> TaskHistory | None:
        """Return what is kept of the task, once, when it is over."""
        if self._is_recorded or not self.is_over:
            return None
        self._is_recorded = True
        peaks = self._reporter.resources.peaks(self.task_id)
        return replace(
            self._reporter.forecasts.over(self._stages.state),
            peak_rss_bytes=peaks.rss_bytes,
            peak_gpu_memory_bytes=peaks.gpu_memory_bytes,
        )

    def _stopped(self) -> TaskCancelled:
        """Return what is raised where somebody asked for the end; it is the end, where no block is to end."""
        with self._lock:
            self._is_asked, self._has_stopped = False, True
            by = self._asked_by()
            if not self._has_entered and not self.is_over:
                self.finish(TaskStatus.CANCELLED, error=f"cancelled by {by}")
        return TaskCancelled(self.task_id, by)

    def _asked_by(self) -> str:
        request = self._stages.state.cancel_request
        return request.by if request else "somebody"

    def _change(self) -> None:
        self._is_changed = True
        self._warn_detached()

    def _say_more(self) -> None:
        """Have what the outbox holds reported, also after the end."""
        self._warn_detached()
        if self.is_over and not self._is_detached:
            self._reporter.take_back(self)

    def _warn_detached(self) -> None:
        if self._is_detached:
            self._reporter.warn_detached(self.task_id)


def new_run() -> str:
    """Make a name for one run of a task that no other run has."""
    return os.urandom(8).hex()


def _is_cancellation(error: BaseException | None) -> bool:
    """Whether somebody asked for the end, rather than that something failed."""
    if error is None or isinstance(error, (KeyboardInterrupt, TaskCancelled)):
        return error is not None
    # Another thread may be importing it: it is there, and half made.
    cancelled = getattr(sys.modules.get("asyncio"), "CancelledError", None)
    return cancelled is not None and isinstance(error, cancelled)


def _traced(error: BaseException) -> str:
    from traceback import format_exception

    from headway.worker.logs import with_trace

    return with_trace(error_text(error), "".join(format_exception(error)).rstrip())


def _now() -> Timestamp:
    return Timestamp(time.time())
