"""Audio as a picture: the waveform above the spectrogram, drawn with numpy and Pillow alone.

However long the sound is, so many windows are copied of it as the picture has columns.
"""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

from headway.worker.previews.tensors import is_torch, to_host

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

COLUMNS = 512
# 1,024 samples are 23 ms at 44.1 kHz: short enough to show attacks, long enough to part tones.
WINDOW = 1_024
WAVE_ROWS = 128
SPECTRUM_ROWS = 256
# More channels than that are no sound, but something else of that shape.
MAX_CHANNELS = 8
MAX_LANES = 2
# What is heard as pitch and timbre; above, there is little to see.
TOP_HZ = 12_000.0
# What is quieter than the loudest by so much is drawn as silence.
RANGE_DB = 80.0
INT16_FULL = 32_768.0

PAPER = (16, 20, 30)
WAVE = (108, 178, 255)
# From silence to the loudest, even in lightness.
COLOURS = ((16, 20, 30), (58, 36, 105), (146, 42, 110), (222, 90, 62), (250, 178, 62), (252, 252, 196))

EXPECTED = (
    "expected audio of shape (N,), (N, channels) or (channels, N) with up to 8 channels, of floats from -1 "
    "to 1 or int16"
)


class AudioCapture:
    """Windows of a sound, one a column.

    Parameters
    ----------
    windows
        Of shape (channels, columns, samples).
    rate_hz
        Samples a second.
    said
        Shape and dtype of what came, for a warning.
    """

    def __init__(self, windows: Any, *, rate_hz: float, said: str) -> None:
        self._windows = windows
        self._rate_hz = rate_hz
        self.said = said
        self.has_nan = False
        self.is_reduced = True

    def image(self, pixels: int) -> Image.Image:
        """Draw it; runs on the preview thread."""
        import numpy as np
        from PIL import Image

        windows, self.has_nan = full_scale(self._windows)
        lanes = windows if len(windows) <= MAX_LANES else windows.mean(axis=0, keepdims=True)
        wave = np.concatenate([_wave(lane, WAVE_ROWS // len(lanes)) for lane in lanes])
        spectrum = _spectrum(windows.mean(axis=0), self._rate_hz)
        return Image.fromarray(np.concatenate([wave, spectrum])).resize((COLUMNS, WAVE_ROWS + SPECTRUM_ROWS))


def channels_of(sound: Any, *, rate_hz: object) -> tuple[Any, float, str]:
    """Return a sound's samples as (channels, samples), its rate, and what it is called in a warning.

    Raises
    ------
    TypeError, ValueError
        When it is no sound, or the rate is not one; the message names what came.
    """
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, Real) or not 1 <= float(rate_hz) < 1e7:
        raise ValueError(f"expected rate= in samples a second, got {rate_hz!r}")
    shape = tuple(int(length) for length in getattr(sound, "shape", ()))
    dtype = str(getattr(sound, "dtype", "")).rpartition(".")[2]
    said = f"{dtype or type(sound).__name__} of shape {shape}"
    is_fit = dtype.startswith(("float", "bfloat")) or dtype == "int16"
    if not (is_fit and len(shape) in (1, 2) and 0 not in shape and sorted((1, *shape))[-2] <= MAX_CHANNELS):
        raise ValueError(f"{EXPECTED}, got {said}")
    lanes = sound[None, :] if len(shape) == 1 else sound
    return lanes if lanes.shape[0] <= lanes.shape[1] else lanes.T, float(rate_hz), said


def capture(sound: Any, *, rate_hz: object) -> AudioCapture:
    """Copy some windows of a sound; raises as `channels_of`."""
    channels, rate, said = channels_of(sound, rate_hz=rate_hz)
    count, length = (int(n) for n in channels.shape)
    columns = max(1, min(COLUMNS, length // 2))
    hop = length // columns
    view = channels[:, : columns * hop].reshape(count, columns, hop)[:, :, :WINDOW]
    return AudioCapture(copied(view), rate_hz=rate, said=said)


def copied(samples: Any) -> Any:
    """Return a copy that nobody else writes to, in this machine's memory."""
    if not is_torch(samples):
        return samples.copy()
    copy, wait = to_host(samples)
    if wait is not None:
        wait()
    return copy


def full_scale(samples: Any) -> tuple[np.ndarray[Any, Any], bool]:
    """Return samples as floats, 1 at full scale and 0 where they are not finite, and whether any was not."""
    import numpy as np

    samples = np.asarray(samples)
    floats = samples.astype(np.float32) / (INT16_FULL if samples.dtype.kind == "i" else 1.0)
    if np.isfinite(floats).all():
        return floats, False
    return np.nan_to_num(floats, nan=0.0, posinf=0.0, neginf=0.0), True


def _wave(lane: np.ndarray[Any, Any], rows: int) -> np.ndarray[Any, Any]:
    """Draw between the lowest and the highest sample of each column; full scale is the lane's height."""
    import numpy as np

    top = (0.5 - lane.max(axis=1).clip(-1.0, 1.0) / 2.0) * (rows - 1)
    bottom = (0.5 - lane.min(axis=1).clip(-1.0, 1.0) / 2.0) * (rows - 1)
    row = np.arange(rows)[:, None]
    is_drawn = (row >= np.floor(top)[None, :]) & (row <= np.ceil(bottom)[None, :])
    return np.where(is_drawn[..., None], np.array(WAVE, np.uint8), np.array(PAPER, np.uint8))


def _spectrum(columns: np.ndarray[Any, Any], rate_hz: float) -> np.ndarray[Any, Any]:
    """Draw the power of each column on the mel scale, low tones at the bottom."""
    import numpy as np

    samples = columns.shape[1]
    power = np.abs(np.fft.rfft(columns * np.hanning(samples + 2)[1:-1], n=WINDOW, axis=1)) ** 2
    top_hz = min(rate_hz / 2.0, TOP_HZ)
    # O'Shaughnessy's mel: 2595 log10(1 + f/700).
    mels = np.linspace(2595.0 * np.log10(1.0 + top_hz / 700.0), 0.0, SPECTRUM_ROWS)
    bins = (700.0 * (10.0 ** (mels / 2595.0) - 1.0) * WINDOW / rate_hz).round().astype(int)
    power = power.T[bins.clip(0, power.shape[1] - 1)]
    loudest = power.max()
    if loudest <= 0.0:
        level = np.zeros_like(power)
    else:
        decibels = 10.0 * np.log10(np.maximum(power / loudest, 10.0 ** (-RANGE_DB / 10.0)))
        level = 1.0 + decibels / RANGE_DB
    stops = np.linspace(0.0, 1.0, len(COLOURS))
    channels = [np.interp(level, stops, [colour[i] for colour in COLOURS]) for i in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)
