"""What was offered last and not copied, so that the last preview of a task can be of it, and full-size.

To copy each picture that is offered would cost more than a preview may. But when the task ends, the last one
is often still there, unchanged: that is seen without a copy of it.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import Any

from headway.worker.previews.tensors import is_torch

# Arrays of up to so many bytes are kept from being freed until a newer one is offered; of larger ones, and of
# all tensors, which may be in a GPU's memory, only note is taken.
KEPT_BYTES = 16_000_000
# So many samples along each axis tell whether an array was written over.
SAMPLES = 4


class Newest:
    """The picture that was offered last.

    Parameters
    ----------
    picture
        As it was offered.
    rate_hz, latent
        What was said with it.
    """

    __slots__ = ("_kept", "_mark", "_reference", "latent", "rate_hz")

    def __init__(self, picture: Any, rate_hz: float | None, latent: str | None) -> None:
        self.rate_hz = rate_hz
        self.latent = latent
        self._kept: Any = None
        self._reference: Any = None
        self._mark = _mark(picture)
        base = getattr(picture, "base", None)
        size_bytes = max(getattr(picture, "nbytes", 0), getattr(base, "nbytes", 0))
        if size_bytes > KEPT_BYTES or is_torch(picture):
            with suppress(TypeError):
                self._reference = weakref.ref(picture)
        else:
            self._kept = picture

    def picture(self) -> Any:
        """Return the picture if it is still there and still the same, else ``None``."""
        picture = self._reference() if self._reference is not None else self._kept
        return picture if picture is not None and _mark(picture) == self._mark else None


def _mark(picture: Any) -> object:
    """Tell one content of an array or a tensor from another; what is neither is taken not to change."""
    if is_torch(picture):
        try:
            return int(picture._version)  # rises with every change in place
        except (AttributeError, RuntimeError):  # one of torch's inference mode has none
            return object()
    if not hasattr(picture, "strides"):
        return None
    try:
        return picture[tuple([slice(None, None, n // SAMPLES + 1) for n in picture.shape])].tobytes()
    except Exception:  # whatever has strides, it is no array of numpy's
        return object()
