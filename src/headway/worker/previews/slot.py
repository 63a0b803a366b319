"""One task's previews on their way: when one is taken, when it is due, and what it may cost.

A picture is copied when a preview is due, and between at most so often that copying stays within its share of
the budget; otherwise an offer only takes note. Copying is paid by the task's thread, encoding by the preview
thread, and both by the task's budget: what a preview has cost lengthens the time until the next.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from headway.diagnostics import warn_once

if TYPE_CHECKING:
    # What makes previews is imported with the first picture: most of it a task without any does not need.
    from headway.store.previews import Preview
    from headway.worker.previews.captures import Capture
    from headway.worker.previews.encoder import PreviewEncoder
    from headway.worker.previews.generator import PreviewGenerator
    from headway.worker.previews.newest import Newest
    from headway.worker.previews.options import PreviewOptions

# Of the budget; the rest is for encoding. A copy of a large array takes 0.5 ms: one each half second.
COPY_SHARE = 0.05
# A copy that was held up once, by another process say, does not stop previews for longer.
MAX_COPY_PAUSE_S = 10.0


class PreviewSlot:
    """At most one picture that was offered and one preview that was encoded; see the module.

    Parameters
    ----------
    task_id
        Whose previews they are.
    encoder
        The process's encoder.
    first_number
        The number of the first preview; at most ten a second follow it.
    options
        Sizes, intervals and bounds.
    """

    def __init__(
        self,
        task_id: str,
        encoder: PreviewEncoder,
        *,
        first_number: int = 1,
        options: PreviewOptions | None = None,
    ) -> None:
        self._task_id = task_id
        self._encoder = encoder
        self._given = options, first_number
        self._lock = threading.Lock()
        self._offered: tuple[Capture, float, Newest | None] | None = None
        self._newest: Newest | None = None
        # Of which the preview that was encoded last is as large as it can be.
        self._shown_whole: Newest | None = None
        self._copied: Capture | None = None
        # The newest; two, where the last sound of a task follows the last drawing of it.
        self._encoded: list[Preview] = []
        self._drawing: Capture | None = None
        self._is_encoding = self._is_final = self._is_closed = self._is_on_demand = False
        self._progress = 0.0
        self._shown_progress = 0.0
        self._shown_at = float("-inf")
        self._affordable_at = float("-inf")
        self._copy_from = float("-inf")

    @cached_property
    def _generator(self) -> PreviewGenerator:
        from headway.worker.previews.generator import PreviewGenerator

        options, first_number = self._given
        return PreviewGenerator(options, first_number=first_number)

    @property
    def _options(self) -> PreviewOptions:
        return self._generator.options

    @property
    def is_busy(self) -> bool:
        """Whether a picture is still to be encoded or taken."""
        with self._lock:
            return self._offered is not None or bool(self._encoded) or self._is_encoding

    @property
    def is_ready(self) -> bool:
        """Whether a preview waits to be taken."""
        return bool(self._encoded)

    @property
    def due_at(self) -> float:
        """When the next preview may be encoded, by the monotonic clock."""
        if self._is_closed:
            return float("-inf")
        from headway.worker.previews.options import MIN_GAP_S

        options = self._options
        if self._is_on_demand:
            interval_s = MIN_GAP_S
        elif self._progress - self._shown_progress >= options.every_percent:
            interval_s = options.min_interval_s
        else:
            interval_s = options.max_interval_s
        return max(self._shown_at + interval_s, self._affordable_at)

    def offer(
        self, picture: object, *, rate_hz: float | None = None, latent: str | None = None, now: bool = False
    ) -> None:
        """Take the newest picture: a reference, a small copy, or note of it.

        Parameters
        ----------
        picture, rate_hz, latent
            As `PreviewGenerator.generate` takes them.
        now
            Whether a preview is due whatever the interval is; the budget holds all the same.
        """
        if self._is_closed:
            return
        from headway.worker.previews.newest import Newest

        moment = time.monotonic()
        self._newest = Newest(picture, rate_hz, latent or self._options.latent)
        if moment < self._copy_from and not now:
            return
        taken = self._capture(self._newest, picture, self._options.live_pixels)
        if taken is None:
            return
        with self._lock:
            is_waiting = self._offered is not None
            self._offered, self._copied = (taken, time.time(), self._newest), taken
            self._is_on_demand = self._is_on_demand or now
        if not is_waiting or now:
            self._enqueue()

    def advance(self, progress: float) -> None:
        """Take note of the task's overall progress, 0 to 100; it may make a preview due."""
        if progress == self._progress:
            return
        if self._offered is None:
            self._progress = progress
            return
        before, self._progress = self.due_at, progress
        if self.due_at < before:
            self._enqueue()

    def close(self, progress: float) -> None:
        """Have the last picture encoded at once, full-size where it is still there: the task is over.

        Parameters
        ----------
        progress
            The task's overall progress at its end, 0 to 100.
        """
        if self._is_closed:
            return
        self._progress = progress
        newest, taken, drawing = self._newest, None, None
        is_shown = newest is None or newest is self._shown_whole
        picture = None if newest is None or is_shown else newest.picture()
        if newest is not None and picture is not None:
            pixels = max(self._options.final_pixels, self._options.live_pixels)
            taken = self._capture(newest, picture, pixels, is_final=True)
            if taken is not None and newest.rate_hz is not None and self._options.final_pixels:
                drawing = self._capture(newest, picture, pixels)
        with self._lock:
            last = None if is_shown else taken or self._copied
            if last is not None and (self._options.final_pixels or self._offered is not None):
                self._offered, self._drawing = (last, time.time(), None), drawing
                self._is_final = self._options.final_pixels > 0
            self._newest = self._shown_whole = self._copied = None
            self._is_closed = True
        if self._offered is not None:
            self._enqueue()

    def encode(self) -> None:
        """Encode the picture that was offered last; runs on the encoder's thread."""
        with self._lock:
            offered, self._offered = self._offered, None
            drawing, self._drawing = self._drawing, None
            self._is_encoding = offered is not None
            is_final, progress = self._is_final, self._progress
            self._is_on_demand = False
        if offered is None:
            return
        taken, at, newest = offered
        began_s = time.thread_time()
        found = [
            self._made(each, at=at, progress=progress, is_final=is_final)
            for each in (drawing, taken)
            if each is not None
        ]
        made = [preview for preview in found if preview is not None]
        cost_s = time.thread_time() - began_s
        share = self._options.budget * (1.0 - COPY_SHARE) * max(self._encoder.attention, 1e-6)
        with self._lock:
            self._is_encoding = False
            moment = time.monotonic()
            self._affordable_at = moment + cost_s / share
            if made:
                self._shown_at, self._shown_progress = moment, progress
                if not self._is_closed:
                    self._shown_whole = newest if self._generator.is_whole else None
                older = self._encoded.pop() if self._encoded else None
                self._encoded = [made[0].after(older), *made[1:]]

    def _made(self, taken: Capture, *, at: float, progress: float, is_final: bool) -> Preview | None:
        preview = None
        try:
            preview = self._generator.encode(taken, at=at, progress=progress, is_final=is_final)
            if taken.has_nan:
                self._warn("nan", f"values that are no numbers are drawn as 0, in {taken.said}")
        except Exception as error:  # whatever it is, it must not end the thread that encodes for all
            self._warn("", _told(error, taken.said))
        return preview

    def take(self) -> Preview | None:
        """Return the newest encoded preview once."""
        with self._lock:
            return self._encoded.pop(0) if self._encoded else None

    def give_up(self) -> None:
        """Encode nothing more of what was offered: there is no encoder any more."""
        with self._lock:
            self._offered = self._newest = self._shown_whole = self._copied = self._drawing = None

    def _capture(
        self, newest: Newest, picture: object, pixels: int, *, is_final: bool = False
    ) -> Capture | None:
        from headway.worker.previews.captures import capture  # before the clock: this costs once

        began = time.monotonic()
        try:
            return capture(
                picture, pixels=pixels, rate_hz=newest.rate_hz, latent=newest.latent, is_final=is_final
            )
        except Exception as error:  # whatever a picture does, it must not reach the job
            self._warn("", _told(error, _said(picture)))
            return None
        finally:
            ended = time.monotonic()
            share = self._options.budget * COPY_SHARE
            self._copy_from = ended + min((ended - began) / share, MAX_COPY_PAUSE_S)

    def _enqueue(self) -> None:
        if not self._encoder.enqueue(self):
            self.give_up()

    def _warn(self, topic: str, message: str) -> None:
        warn_once(f"preview{topic}:{self._task_id}", "task %s: %s", self._task_id, message)


def _told(error: Exception, said: str) -> str:
    """Say what came and what was expected, which our own errors do by themselves."""
    if isinstance(error, (TypeError, ValueError)) and str(error).startswith("expected "):
        return f"no preview: {error}"
    from headway.worker.previews.arrays import EXPECTED

    return f"no preview of {said}: {type(error).__name__}: {error}; {EXPECTED}"


def _said(picture: object) -> str:
    """Name what came; nothing that it does while it is looked at counts."""
    said = type(picture).__name__
    with suppress(Exception):
        said = f"{picture.dtype} of shape {tuple(picture.shape)}"  # type: ignore[attr-defined]
    return said
