"""`Task`: what the user's code reports to.

Every call changes memory only and returns at once; the reporter's thread looks at the task every 100 ms and
sends what changed. A mistake in a call raises in the caller and changes nothing; a failure of Redis or of the
network never reaches the caller.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from headway.checks import check_count, parse_fraction
from headway.models import TaskProgress, TaskStatus
from headway.worker.run import FLUSH_TIMEOUT_S, TaskRun

if TYPE_CHECKING:
    from headway.worker.outputs import OutputCapture
    from headway.worker.previews.options import PreviewOptions
    from headway.worker.reporter import Reporter
    from headway.worker.resumption import Resumption

T = TypeVar("T")


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
        self._run = TaskRun(state, reporter=reporter, resumption=resumption, previews=previews)
        self._view = view
        self._shows_itself = show

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
        self._run.begin()
        if self._shows_itself and self._view is not None:
            self._view(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run.leave(error)

    @property
    def progress(self) -> TaskProgress:
        """The task's state as of now."""
        return self._run.progress

    @property
    def last_checkpoint(self) -> dict[str, Any] | None:
        """What `checkpoint` was given last, in this attempt or an earlier one; ``None`` for nothing."""
        return self._run.outbox.checkpoint

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
        self._run.check_stage(stage_id)
        parse_fraction(None, done=None, total=total)
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
            self._run.check_stage(stage)
        if total is not None:
            total = check_count(total, least=0, what="a total")
        initial = check_count(initial, least=0, what="a count of items done before")
        return self._run.track(items, stage=stage, total=total, message=message, initial=initial)

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
        self._run.update(stage, progress=progress, done=done, total=total, message=message, metadata=metadata)

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
              packed ones of a square picture, ``(1, tokens, 64)``, of at least 1,024 tokens unless `latent`
              names their family;
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
        self._run.preview(picture, rate_hz=rate, latent=latent, now=now)

    def check_cancelled(self) -> None:
        """Stop here when somebody has asked for the end of the task; for code without a loop of `track`.

        Raises
        ------
        TaskCancelled
            Once a request.
        """
        self._run.check_cancelled()

    def log(self, message: str, level: str = "info", **metadata: Any) -> None:
        """Add a line to the task's log.

        The newest 2,000 lines of a task are kept. While Redis is away, as many wait, of 2 MB in all. The
        oldest of level debug are dropped first, but for the newest 200, then the oldest others; how many
        were is kept too.

        Parameters
        ----------
        message
            At most 4,000 characters.
        level
            ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``, or a level of `logging`.
        **metadata
            JSON values, 16 kB in all; of others the text is kept.

        Raises
        ------
        UsageError
            When the level is not one.
        """
        self._run.log(level, message, metadata)

    def capture_output(self) -> OutputCapture:
        """Log what a ``with`` block prints, which is printed all the same; see `OutputCapture`.

        Lines become entries, a traceback one entry, and of a progress bar the last state. It hears what the
        block's own thread, or asyncio task, prints: not other threads, other processes, or what a notebook
        draws as a widget, as `tqdm.auto` does.
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
        self._run.save_checkpoint(value)

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
        self._run.flush(timeout_s)

    def complete(self) -> None:
        """End the task as completed; the ``with`` block does it by itself."""
        self._run.finish(TaskStatus.COMPLETED)

    def fail(self, error: BaseException | str) -> None:
        """End the task as failed, with the error's text; the ``with`` block does it by itself.

        Of an exception that was raised the traceback is logged.
        """
        self._run.fail(error)


class StageBlock:
    """The ``with`` block of one stage; see `Task.stage`."""

    def __init__(self, task: Task, stage_id: str, *, message: str | None, total: int | None) -> None:
        self._task = task
        self.stage_id = stage_id
        self._message = message
        self._total = total

    def __enter__(self) -> Self:
        self._task._run.open_block(self.stage_id, message=self._message, total=self._total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task._run.close_block(error)

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


def new_task_id(template_id: str) -> str:
    """Make an id that tells what it is and is never given twice."""
    slug = re.sub(r"[^a-z0-9]+", "-", template_id.lower()).strip("-")[:40]
    return f"{slug or 'task'}-{os.urandom(6).hex()}"
