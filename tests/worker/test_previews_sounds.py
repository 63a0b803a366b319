"""Sounds that are played: files as they were given, and the last samples of a task."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from redis import Redis

from headway.store import keys
from headway.worker.previews import sounds
from headway.worker.previews.generator import PreviewGenerator
from headway.worker.previews.options import PreviewOptions
from headway.worker.reporter import Reporter
from headway.worker.task import Task

RATE = 8_000


def tone(seconds: float = 1.0, *, channels: int = 1, hz: float = 440.0) -> np.ndarray[Any, Any]:
    t = np.arange(int(seconds * RATE)) / RATE
    return np.repeat(0.5 * np.sin(2 * np.pi * hz * t)[None, :], channels, axis=0).astype(np.float32)


def read(data: bytes) -> tuple[int, int, np.ndarray[Any, Any]]:
    """Return channels, rate and samples of a WAV file."""
    with wave.open(io.BytesIO(data)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return file.getnchannels(), file.getframerate(), samples.reshape(-1, file.getnchannels())


def wav(samples: np.ndarray[Any, Any]) -> bytes:
    data, media_type = sounds.capture(samples, rate_hz=RATE).encoded(1_000_000)
    assert media_type == sounds.WAV
    return data


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"OggS\x00", "audio/ogg"),
        (b"fLaC\x00", "audio/flac"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90\x00", "audio/mpeg"),
        (b"\x00\x00\x00\x20ftypM4A ", "audio/mp4"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", None),
        (b"\xff\xd8\xff\xe0", None),
        (b"", None),
    ],
)
def test_a_file_is_known_by_its_first_bytes(data: bytes, media_type: str | None) -> None:
    assert sounds.media_type_of(data) == media_type


def test_a_file_is_passed_on_as_it_is() -> None:
    data = wav(tone())
    preview = PreviewGenerator().generate(data, at=1.0, progress=100.0)
    assert (preview.data, preview.facts.media_type, preview.facts.width) == (data, "audio/wav", None)


def test_a_file_that_is_too_large_says_what_to_do() -> None:
    generator = PreviewGenerator(PreviewOptions(history_bytes=100_000))
    with pytest.raises(ValueError, match=r"at most 50,000 bytes of sound.*history_bytes"):
        generator.generate(b"ID3" + bytes(60_000), at=1.0, progress=100.0)


def test_the_last_samples_of_a_task_become_a_wav_file() -> None:
    generator = PreviewGenerator()
    drawn = generator.generate(tone(channels=2), rate_hz=RATE, at=1.0, progress=50.0)
    assert drawn.facts.media_type == "image/jpeg"
    assert not generator.is_whole
    played = generator.generate(tone(channels=2), rate_hz=RATE, at=2.0, progress=100.0, is_final=True)
    assert played.facts.media_type == "audio/wav"
    channels, rate, samples = read(played.data)
    assert (channels, rate, len(samples)) == (2, RATE, RATE)
    assert samples[:, 0] / 32_767 == pytest.approx(tone()[0], abs=1e-4)


@pytest.mark.parametrize(
    ("samples", "channels", "length"),
    [
        (tone()[0], 1, RATE),
        (tone(channels=2).T, 2, RATE),
        ((tone() * 32_767).astype(np.int16), 1, RATE),
        (tone(channels=6), 1, RATE),
    ],
    ids=["mono", "samples first", "int16", "surround"],
)
def test_sounds_of_any_shape_are_played(samples: Any, channels: int, length: int) -> None:
    found_channels, rate, found = read(wav(samples))
    assert (found_channels, rate, len(found)) == (channels, RATE, length)
    assert np.abs(found).max() == pytest.approx(16_384, rel=0.01)


def test_what_is_too_long_loses_its_second_channel_then_its_rate() -> None:
    long = sounds.capture(tone(10, channels=2), rate_hz=RATE)
    mono, _ = long.encoded(200_000)
    assert read(mono)[:2] == (1, RATE)
    coarse, _ = long.encoded(60_000)
    channels, rate, samples = read(coarse)
    assert (channels, rate) == (1, round(RATE / 3))
    assert len(coarse) <= 60_000
    assert len(samples) / rate == pytest.approx(10, rel=0.01)


def test_what_is_no_number_is_silence() -> None:
    broken = tone()
    broken[0, :100] = np.nan
    taken = sounds.capture(broken, rate_hz=RATE)
    data, _ = taken.encoded(1_000_000)
    assert taken.has_nan
    assert (read(data)[2][:100] == 0).all()


def test_a_task_ends_with_its_sound(
    reporter: Reporter, new_task: Callable[..., Task], redis: Redis, wait_until: Callable[..., Any]
) -> None:
    with new_task("audio_generation") as task:
        task.preview(tone(), rate=RATE, now=True)
        wait_until(lambda: redis.hlen(keys.previews(task.task_id)) >= 2)
        task.preview(tone(2), rate=RATE)
    assert reporter.flush() == []
    stored: dict[bytes, bytes] = redis.hgetall(keys.previews(task.task_id))  # type: ignore[assignment]
    numbers = sorted(int(name) for name in stored if name.isdigit())
    first, last = stored[str(numbers[0]).encode()], stored[str(numbers[-1]).encode()]
    assert first[:2] == b"\xff\xd8"
    assert len(read(last)[2]) == 2 * RATE
    assert task.progress.preview_url == f"headway/tasks/{task.task_id}/previews/{numbers[-1]}"
