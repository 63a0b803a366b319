"""What `task.preview` takes: each kind as a reference or a small copy, before anything is scaled."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

from headway.worker.previews import arrays, audio, sounds
from headway.worker.previews.sounds import SoundFile, SoundSamples
from headway.worker.previews.tensors import is_torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

# Of a text, what is being written: its end.
MAX_TEXT_CHARS = 2_000


class Picture(Protocol):
    """Something that an image can be made of, on the preview thread.

    Attributes
    ----------
    said
        What came, for a warning.
    has_nan
        Whether it held what is no number; known once the image is made.
    is_reduced
        Whether the image is smaller than what came; known likewise.
    """

    said: str
    has_nan: bool
    is_reduced: bool

    def image(self, pixels: int) -> Image.Image:
        """Make the image, for a preview of so many pixels; it may be larger."""


class ImageCapture:
    """A reference to a PIL image."""

    has_nan = is_reduced = False

    def __init__(self, image: Image.Image) -> None:
        self._image = image
        self.said = f"a PIL image of {image.width} x {image.height} pixels"

    def image(self, pixels: int) -> Image.Image:
        """Return it."""
        _check_size(self._image.size, self.said)
        return self._image


class FileCapture:
    """An encoded image, decoded when it is due."""

    has_nan = is_reduced = False

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.said = f"{len(data):,} bytes that begin with {data[:8]!r}"

    def image(self, pixels: int) -> Image.Image:
        """Decode it, a JPEG no larger than is needed; a decompression bomb is refused by its header."""
        from PIL import ImageOps

        image = self._opened()
        size = image.size
        _check_size(size, self.said)
        image.draft(None, (2 * pixels, 2 * pixels))
        self.is_reduced = image.size != size
        return ImageOps.exif_transpose(image)  # which loads it

    def _opened(self) -> Image.Image:
        """Read the header; not by `Image.open`, whose bound on the size is another and warns by itself."""
        from PIL import JpegImagePlugin, PngImagePlugin, WebPImagePlugin

        readers: dict[bytes, Callable[[BytesIO], Image.Image]] = {
            b"\x89PNG": PngImagePlugin.PngImageFile,
            b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
            b"RIFF": WebPImagePlugin.WebPImageFile,
        }
        for start, reader in readers.items():
            if self._data.startswith(start):
                with suppress(Exception):  # whatever a reader raises: it is no such image
                    return reader(BytesIO(self._data))
        raise ValueError(f"expected the bytes of a PNG, JPEG or WebP image, or of a sound, got {self.said}")


class TextCapture:
    """The end of a text."""

    said = "a text"
    has_nan = False

    def __init__(self, text: str) -> None:
        tail = text[-MAX_TEXT_CHARS:]
        self.text = tail if len(text) <= MAX_TEXT_CHARS else "…" + tail[1:]


Capture = Picture | TextCapture | SoundFile | SoundSamples


def capture(
    picture: Any,
    *,
    pixels: int,
    rate_hz: object = None,
    latent: str | None = None,
    is_final: bool = False,
) -> Capture:
    """Take a reference to, or a small copy of, what is to be shown.

    Parameters
    ----------
    picture
        As `headway.Task.preview` takes it.
    pixels
        The longer side of the preview that is to be made of it.
    rate_hz
        Of audio, its samples a second.
    latent
        The family of latents; ``None`` to tell by the shape.
    is_final
        Whether audio is to be played rather than drawn.

    Raises
    ------
    TypeError, ValueError
        When no preview can be made of it; the message names what came and what was expected.
    """
    if rate_hz is not None:
        take = sounds.capture if is_final else audio.capture
        return take(picture, rate_hz=rate_hz)
    if isinstance(picture, str):
        return TextCapture(picture)
    if isinstance(picture, (bytes, bytearray, memoryview)):
        data = bytes(picture)
        media_type = sounds.media_type_of(data)
        return FileCapture(data) if media_type is None else SoundFile(data, media_type)
    if is_pil(picture):
        return ImageCapture(picture)
    if is_figure(picture):
        return FileCapture(_drawn(picture, pixels))
    is_array = any(hasattr(picture, name) for name in ("__array_interface__", "__array__"))
    if hasattr(picture, "shape") and hasattr(picture, "dtype") and (is_array or is_torch(picture)):
        return arrays.capture(picture, pixels=pixels, family=latent, is_final=is_final)
    raise TypeError(f"{arrays.EXPECTED}; got {type(picture).__name__}")


def is_pil(picture: object) -> bool:
    """Whether it is a PIL image, whose library need not be loaded to tell."""
    return any(kind.__module__ == "PIL.Image" and kind.__name__ == "Image" for kind in type(picture).__mro__)


def is_figure(picture: object) -> bool:
    """Whether it is a matplotlib figure."""
    return any(kind.__module__ == "matplotlib.figure" for kind in type(picture).__mro__)


def _drawn(figure: Any, pixels: int) -> bytes:
    """Draw a figure, here in the caller's thread: matplotlib is not safe to use from another.

    It takes 20 to 100 ms, which the preview's budget makes rare.
    """
    buffer = BytesIO()
    dpi = min(2 * pixels / max(figure.get_size_inches()), 2 * figure.get_dpi())
    figure.savefig(buffer, format="png", dpi=dpi, pil_kwargs={"compress_level": 1})
    return buffer.getvalue()


def _check_size(size: tuple[int, int], said: str) -> None:
    width, height = size
    if not 0 < width * height <= arrays.MAX_PIXELS:
        raise ValueError(
            f"expected a picture of 1 to {arrays.MAX_PIXELS:,} pixels, got {width} x {height}: {said}"
        )
