"""Previews: pictures of what has formed so far, scaled and encoded beside the task's thread.

One thread a process encodes for all its tasks. Of each task it holds the newest picture offered and, until
the reporter takes it, the newest one encoded; whatever was offered between is dropped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from headway.diagnostics import warn_once

if TYPE_CHECKING:
    from PIL import Image

# The longer side of a live preview, in pixels, and the JPEG quality: about 13 kB, encoded in 0.3 ms.
PREVIEW_PIXELS = 256
JPEG_QUALITY = 75
MIN_INTERVAL_S = 1.0
# An array is thinned to no less than this before it is copied: twice the preview, so that scaling smooths it.
COPY_PIXELS = 2 * PREVIEW_PIXELS


class PreviewEncoder:
    """The thread that encodes, started with the first preview.

    Parameters
    ----------
    on_encoded
        Called on that thread when a picture is ready to be taken.
    """

    def __init__(self, on_encoded: Callable[[], None]) -> None:
        self._on_encoded = on_encoded
        self._condition = threading.Condition()
        self._waiting: list[PreviewSlot] = []
        self._thread: threading.Thread | None = None

    def enqueue(self, slot: PreviewSlot) -> None:
        """Have a slot's picture encoded as soon as it is due."""
        with self._condition:
            if slot not in self._waiting:
                self._waiting.append(slot)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="headway-previews", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _run(self) -> None:
        while True:
            slot = self._next_due()
            slot.encode()
            self._on_encoded()

    def _next_due(self) -> PreviewSlot:
        with self._condition:
            while True:
                now = time.monotonic()
                due = min(self._waiting, key=lambda slot: slot.due_at, default=None)
                if due is not None and due.due_at <= now:
                    self._waiting.remove(due)
                    return due
                self._condition.wait(None if due is None else due.due_at - now)


class PreviewSlot:
    """One task's previews on their way: at most one picture offered and one encoded.

    Parameters
    ----------
    task_id
        Whose previews they are.
    encoder
        The process's encoder.
    first_number
        The number of the first preview; they are cached by their number, so no two runs of one task may
        share any.
    """

    def __init__(self, task_id: str, encoder: PreviewEncoder, *, first_number: int = 1) -> None:
        self._task_id = task_id
        self._encoder = encoder
        self._lock = threading.Lock()
        self._offered: Image.Image | None = None
        self._encoded: tuple[int, bytes] | None = None
        self._is_encoding = False
        self._number = first_number - 1
        self.due_at = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether a picture is still to be encoded or taken."""
        with self._lock:
            return self._offered is not None or self._encoded is not None or self._is_encoding

    def offer(self, picture: object) -> None:
        """Take a reference to, or a small copy of, the newest picture."""
        try:
            image = to_image(picture)
        except Exception as error:  # whatever a picture does, it must not reach the job
            warn_once(f"preview:{self._task_id}", "no preview for task %s: %s", self._task_id, error)
            return
        with self._lock:
            self._offered = image
        self._encoder.enqueue(self)

    def close(self) -> None:
        """Have the last picture encoded at once: the task is over."""
        self.due_at = 0.0
        if self._offered is not None:
            self._encoder.enqueue(self)

    def encode(self) -> None:
        """Encode the picture that was offered last; runs on the encoder's thread."""
        with self._lock:
            image, self._offered = self._offered, None
            self._is_encoding = image is not None
        if image is None:
            return
        self.due_at = time.monotonic() + MIN_INTERVAL_S
        try:
            data = encode_jpeg(image)
        except Exception as error:  # whatever it is, it must not end the thread that encodes for all
            warn_once(f"preview:{self._task_id}", "no preview for task %s: %s", self._task_id, error)
            data = None
        with self._lock:
            self._is_encoding = False
            if data is not None:
                self._number += 1
                self._encoded = self._number, data

    def take(self) -> tuple[int, bytes] | None:
        """Return the newest encoded picture once, with its number."""
        with self._lock:
            encoded, self._encoded = self._encoded, None
        return encoded


def to_image(picture: object) -> Image.Image:
    """Make a PIL image of what the user offers, cheaply.

    Parameters
    ----------
    picture
        A PIL image, which is only referred to, or a uint8 array of shape ``(H, W)``, ``(H, W, 1)``,
        ``(H, W, 3)`` or ``(H, W, 4)``, of which a thinned copy is made.

    Raises
    ------
    TypeError, ValueError
        When it is neither; the message names the type, shape and dtype that came.
    """
    from PIL import Image

    if isinstance(picture, Image.Image):
        return picture
    array: Any = picture
    shape = tuple(getattr(array, "shape", ()))
    dtype = str(getattr(array, "dtype", ""))
    if not hasattr(array, "__array_interface__"):
        raise TypeError(f"expected a PIL image or a uint8 array, got {type(picture).__name__}")
    if dtype != "uint8" or len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3, 4)):
        raise ValueError(
            "expected a uint8 array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), "
            f"got {dtype} of shape {shape}; for floats from 0 to 1, pass (255 * x).astype('uint8')"
        )
    if 0 in shape:
        raise ValueError(f"expected a picture of at least one pixel, got shape {shape}")
    step = max(1, min(shape[:2]) // COPY_PIXELS)
    thinned = array[::step, ::step]
    if len(shape) == 3 and shape[2] == 1:
        thinned = thinned[:, :, 0]
    return Image.fromarray(thinned.copy())


def encode_jpeg(image: Image.Image) -> bytes:
    """Scale an image to at most 256 px and encode it as JPEG."""
    from PIL import Image

    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    # Reducing by whole steps first makes the smooth scaling cheap, whatever the size.
    factor = max(1, max(image.size) // COPY_PIXELS)
    preview = image.reduce(factor) if factor > 1 else image.copy()
    preview.thumbnail((PREVIEW_PIXELS, PREVIEW_PIXELS), Image.Resampling.BICUBIC)
    if preview.mode == "RGBA":
        paper = Image.new("RGB", preview.size, "white")
        paper.paste(preview, mask=preview.getchannel("A"))
        preview = paper
    buffer = BytesIO()
    preview.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
