"""`PreviewGenerator`: makes a task's previews, and says which of them are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.store.previews import KEPT_PREVIEWS, Preview, PreviewFacts
from headway.timestamps import Timestamp
from headway.worker.previews.options import PreviewOptions

if TYPE_CHECKING:
    from headway.worker.previews.captures import Capture

# No live preview takes more than this share of the history's bytes, the last one no more than half of them.
LIVE_SHARE = 8


class PreviewGenerator:
    """One task's previews: encoded, numbered, and kept within a bound.

    When the history is over its bound, previews leave it where they are closest together, so that the rest
    still spans the whole task; the first and the newest stay. `Task.preview` uses one by itself.

    Parameters
    ----------
    options
        Their sizes, and how many bytes are kept.
    first_number
        The number of the first preview; they are cached by their number, so no two runs of one task may
        share any.

    Attributes
    ----------
    is_whole
        Whether the newest preview is as large as its picture: a final one would show no more.

    Examples
    --------
    >>> from PIL import Image
    >>> preview = PreviewGenerator().generate(Image.new("RGB", (1024, 512)), at=0.0, progress=50.0)
    >>> preview.facts.media_type, preview.facts.width, preview.facts.height
    ('image/jpeg', 256, 128)
    """

    def __init__(self, options: PreviewOptions | None = None, *, first_number: int = 1) -> None:
        self.options = options or PreviewOptions()
        self.is_whole = False
        self._next_number = first_number
        self._kept: list[PreviewFacts] = []

    @property
    def history(self) -> tuple[PreviewFacts, ...]:
        """The previews that are kept, oldest first."""
        return tuple(self._kept)

    def generate(
        self,
        picture: Any,
        *,
        at: float,
        progress: float,
        is_final: bool = False,
        rate_hz: float | None = None,
        latent: str | None = None,
    ) -> Preview:
        """Make a preview.

        Parameters
        ----------
        picture
            Whatever `Task.preview` takes.
        at
            Of when the picture is, UTC seconds since the epoch.
        progress
            The task's overall progress then, 0 to 100.
        is_final
            Whether it is the last one: a full-size WebP instead of a small JPEG.
        rate_hz
            Of audio, its samples a second.
        latent
            The family of latents.

        Returns
        -------
        Preview
            With the numbers of those that leave the history for it.

        Raises
        ------
        TypeError, ValueError, OSError
            When no preview can be made of it.
        """
        from headway.worker.previews.captures import capture

        pixels = self.options.final_pixels if is_final else self.options.live_pixels
        taken = capture(
            picture,
            pixels=pixels,
            rate_hz=rate_hz,
            latent=latent or self.options.latent,
            is_final=is_final,
        )
        return self.encode(taken, at=at, progress=progress, is_final=is_final)

    def encode(self, taken: Capture, *, at: float, progress: float, is_final: bool = False) -> Preview:
        """Make a preview of what was taken before; raises as `generate`."""
        from headway.worker.previews import encoding
        from headway.worker.previews.captures import TextCapture
        from headway.worker.previews.sounds import SoundFile, SoundSamples

        options = self.options
        if isinstance(taken, TextCapture):
            data, size, media_type = taken.text.encode(errors="replace"), None, encoding.TEXT
            self.is_whole = True
        elif isinstance(taken, (SoundFile, SoundSamples)):
            data, media_type = taken.encoded(options.history_bytes // 2)
            size, self.is_whole = None, True
        else:
            media_type = encoding.WEBP if is_final else encoding.JPEG
            pixels = options.final_pixels if is_final else options.live_pixels
            image = taken.image(pixels)
            data, size = encoding.encode(
                image,
                media_type=media_type,
                pixels=pixels,
                quality=options.webp_quality if is_final else options.jpeg_quality,
                max_bytes=options.history_bytes // (2 if is_final else LIVE_SHARE),
            )
            self.is_whole = size == image.size and not taken.is_reduced
        facts = PreviewFacts(
            number=self._next_number,
            at=Timestamp(at),
            progress=progress,
            media_type=media_type,
            size_bytes=len(data),
            width=size[0] if size else None,
            height=size[1] if size else None,
        )
        self._next_number += 1
        self._kept.append(facts)
        return Preview(facts=facts, data=data, dropped=self._thin(), max_bytes=options.history_bytes)

    def _thin(self) -> tuple[int, ...]:
        """Drop previews, where they are closest together in time, until the rest is within its bound."""
        dropped = []
        kept = self._kept
        size_bytes = sum(facts.size_bytes for facts in kept)
        while len(kept) > 2 and (size_bytes > self.options.history_bytes or len(kept) > KEPT_PREVIEWS):
            i = min(range(1, len(kept) - 1), key=lambda i: kept[i + 1].at - kept[i - 1].at)
            size_bytes -= kept[i].size_bytes
            dropped.append(kept.pop(i).number)
        return tuple(dropped)
