"""How large, how often and how dear a task's previews may be."""

from __future__ import annotations

import msgspec

from headway.errors import UsageError

# Ten numbers a second are set aside for previews: they are cached by number, and no two runs share any.
MIN_GAP_S = 0.1

# What each option may be, from and to.
_RANGES: dict[str, tuple[float, float]] = {
    "live_pixels": (16, 1_024),
    "jpeg_quality": (1, 95),
    "final_pixels": (0, 4_096),
    "webp_quality": (1, 100),
    "every_percent": (0, 100),
    "min_interval_s": (MIN_GAP_S, 86_400),
    "max_interval_s": (MIN_GAP_S, 86_400),
    "budget": (0.0001, 0.5),
    "history_bytes": (100_000, 50_000_000),
}


class PreviewOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a task's previews are made.

    Parameters
    ----------
    live_pixels
        The longer side of a live preview, 16 to 1,024.
    jpeg_quality
        Of live previews, 1 to 95.
    final_pixels
        The longer side of the last preview, which is kept as WebP, up to 4,096; 0 for none besides the live
        ones.
    webp_quality
        Of the last preview, 1 to 100.
    every_percent
        A preview is due when the task's overall progress, 0 to 100, has risen by so much.
    min_interval_s
        No two live previews are closer than this, at least 0.1 s.
    max_interval_s
        After so long one is due however little the progress has risen.
    budget
        The share of the task's time, up to 0.5, that copying and encoding may take; what takes longer comes
        less often.
    history_bytes
        How many bytes of previews are kept of a task, 100,000 to 50,000,000.
    latent
        The model family of latents, as `Task.preview` takes it; ``None`` to tell by their shape.

    Raises
    ------
    UsageError
        When one of them is not within its range.

    Examples
    --------
    >>> PreviewOptions(live_pixels=384, every_percent=10).live_pixels
    384
    """

    live_pixels: int = 256
    jpeg_quality: int = 75
    final_pixels: int = 2_048
    webp_quality: int = 85
    every_percent: float = 5.0
    min_interval_s: float = 1.0
    max_interval_s: float = 10.0
    budget: float = 0.02
    history_bytes: int = 2_000_000
    latent: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not least <= value <= most:
                raise UsageError(f"expected previews' {name} to be from {least:g} to {most:g}, got {value!r}")
            if isinstance(getattr(_DEFAULTS, name, value), int) and not isinstance(value, int):
                raise UsageError(f"expected previews' {name} to be a whole number, got {value!r}")
        if self.max_interval_s < self.min_interval_s:
            raise UsageError(
                f"expected previews' max_interval_s to be at least min_interval_s ({self.min_interval_s:g}), "
                f"got {self.max_interval_s:g}"
            )
        if self.latent is not None:
            from headway.worker.previews.latents import check_family

            check_family(self.latent)


_DEFAULTS: object = None
_DEFAULTS = PreviewOptions()
