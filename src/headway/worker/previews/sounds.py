"""Sounds to be played: the file that was given, or what the last samples that were offered make.

A preview of audio is drawn while it forms (`audio`); the last one of a task is a sound itself.
"""

from __future__ import annotations

import wave
from io import BytesIO
from typing import Any

from headway.worker.previews import audio

WAV = "audio/wav"
# How files begin, and from which byte on.
SIGNATURES: tuple[tuple[bytes, int, str], ...] = (
    (b"WAVE", 8, WAV),
    (b"OggS", 0, "audio/ogg"),
    (b"fLaC", 0, "audio/flac"),
    (b"ID3", 0, "audio/mpeg"),
    (b"\xff\xfb", 0, "audio/mpeg"),
    (b"\xff\xf3", 0, "audio/mpeg"),
    (b"\xff\xf2", 0, "audio/mpeg"),
    (b"ftypM4A", 4, "audio/mp4"),
)
MAX_CHANNELS = 2
SAMPLE_BYTES = 2
HEADER_BYTES = 44
FULL = 32_767.0


def media_type_of(data: bytes) -> str | None:
    """Tell by its first bytes what kind of sound a file is; ``None`` where it is none."""
    for signature, at, media_type in SIGNATURES:
        if data[at : at + len(signature)] == signature:
            return media_type
    return None


class SoundFile:
    """The bytes of a sound, as they were given."""

    has_nan = False

    def __init__(self, data: bytes, media_type: str) -> None:
        self._data = data
        self._media_type = media_type
        self.said = f"{len(data):,} bytes of {media_type}"

    def encoded(self, max_bytes: int) -> tuple[bytes, str]:
        """Return them and their media type.

        Raises
        ------
        ValueError
            When there are too many of them.
        """
        if len(self._data) > max_bytes:
            raise ValueError(
                f"expected at most {max_bytes:,} bytes of sound, half of what a task's previews may take, "
                f"got {self.said}; give the samples with rate=, or previews=PreviewOptions(history_bytes=...)"
            )
        return self._data, self._media_type


class SoundSamples:
    """A copy of all samples of a sound.

    Parameters
    ----------
    channels
        Of shape (channels, samples).
    rate_hz
        Samples a second.
    said
        Shape and dtype of what came, for a warning.
    """

    def __init__(self, channels: Any, *, rate_hz: float, said: str) -> None:
        self._channels = channels
        self._rate_hz = rate_hz
        self.said = said
        self.has_nan = False

    def encoded(self, max_bytes: int) -> tuple[bytes, str]:
        """Write them as WAV of 16 bits; what is too long in one channel, and then at a lower rate."""
        import numpy as np

        channels, self.has_nan = audio.full_scale(self._channels)
        room = max(1, (max_bytes - HEADER_BYTES) // SAMPLE_BYTES)
        if len(channels) > MAX_CHANNELS or channels.size > room:
            channels = channels.mean(axis=0, keepdims=True)
        factor = -(-channels.shape[1] // room)
        if factor > 1:  # the mean of so many samples is the simplest filter against what cannot be heard then
            whole = channels.shape[1] // factor * factor
            channels = channels[:, :whole].reshape(len(channels), -1, factor).mean(axis=2)
        samples = np.round(channels.clip(-1.0, 1.0) * FULL).astype("<i2")
        buffer = BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(len(samples))
            file.setsampwidth(SAMPLE_BYTES)
            file.setframerate(max(1, round(self._rate_hz / factor)))
            file.writeframes(samples.T.tobytes())
        return buffer.getvalue(), WAV


def capture(sound: Any, *, rate_hz: object) -> SoundSamples:
    """Copy a whole sound; raises as `audio.capture`."""
    channels, rate, said = audio.channels_of(sound, rate_hz=rate_hz)
    return SoundSamples(audio.copied(channels), rate_hz=rate, said=said)
