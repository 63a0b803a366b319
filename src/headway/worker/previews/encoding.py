"""Images scaled and encoded: JPEG while the task runs, WebP for the last one."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

JPEG, WEBP = "image/jpeg", "image/webp"
TEXT = "text/plain; charset=utf-8"

# Of a smooth picture of 1024 × 1024 pixels, level 1 makes 14.6 kB in 22 ms, and level 4, the usual one,
# 13.7 kB in 87 ms; of noise, both make 0.78 MB, in 0.13 and 0.20 s.
WEBP_METHOD = 1
# What is too large is made smaller by this until it fits.
SHRINK = 0.7
MIN_PIXELS = 16


def load_libraries() -> None:
    """Load what encoding needs, which takes longer than a preview and is not the price of one."""
    import numpy as np  # noqa: F401
    from PIL import Image

    Image.preinit()  # JPEG and PNG; WebP is loaded with the first of it


def scaled(image: Image.Image, pixels: int) -> Image.Image:
    """Scale an image so that its longer side has at most so many pixels, on white where it is transparent."""
    from PIL import Image

    if image.mode not in ("L", "RGB", "RGBA"):
        image = _plain(image)
    # Reducing by whole steps first makes the smooth scaling cheap, whatever the size.
    factor = max(1, max(image.size) // (2 * pixels))
    small = image.reduce(factor) if factor > 1 else image.copy()
    small.thumbnail((pixels, pixels), Image.Resampling.BICUBIC)
    if small.mode == "RGBA":
        paper = Image.new("RGB", small.size, "white")
        paper.paste(small, mask=small.getchannel("A"))
        small = paper
    return small


def encode(
    image: Image.Image, *, media_type: str, pixels: int, quality: int, max_bytes: int
) -> tuple[bytes, tuple[int, int]]:
    """Scale and encode an image.

    Parameters
    ----------
    media_type
        ``"image/jpeg"`` or ``"image/webp"``.
    pixels
        Of the longer side, at most.
    quality
        As the format's encoder takes it.
    max_bytes
        What takes more is made smaller.

    Returns
    -------
    data, (width, height)
    """
    while True:
        small = scaled(image, pixels)
        buffer = BytesIO()
        if media_type == JPEG:
            small.save(buffer, "JPEG", quality=quality)
        else:
            small.save(buffer, "WEBP", quality=quality, method=WEBP_METHOD)
        if buffer.tell() <= max_bytes or pixels <= MIN_PIXELS:
            return buffer.getvalue(), small.size
        pixels = max(MIN_PIXELS, int(SHRINK * min(pixels, max(small.size))))


def _plain(image: Image.Image) -> Image.Image:
    """Convert what JPEG cannot hold; 16 or 32 bits are drawn from the darkest to the lightest."""
    if not image.mode.startswith(("I", "F")):
        is_clear = "transparency" in image.info or image.mode.endswith(("A", "a"))
        return image.convert("RGBA" if is_clear else "RGB")
    import numpy as np
    from PIL import Image

    values = np.asarray(image, dtype=np.float32)
    values = np.nan_to_num(values - np.nanmin(values))
    return Image.fromarray((values * (255.0 / (float(values.max()) or 1.0))).astype(np.uint8))
