"""Small generation workloads that compute for real on one CPU core: images, video, audio and text.

Each is loaded (tables are computed, as a model's weights would be read), generates step by step, saying how
far it is, and finishes (encoding, normalisation). A step's work is fixed by the parameters and the seed.
"""

from __future__ import annotations

import argparse
import inspect
import io
import logging
import re
import subprocess
import tarfile
import typing
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]
Params = dict[str, Any]

RATE, KEYS = 22_050, 48
# What the text is learned from, and how many of its words.
READ, VOCABULARY = (argparse, inspect, logging, subprocess, tarfile, typing, zipfile), 2_500
# Of all full stops, the last ones.
LAST_STOP = 0.002


class Workload(Protocol):
    """What a worker runs; made once it is loaded, and kept as long as its tasks follow each other."""

    def steps(self, params: Params) -> Iterator[float]:
        """Generate, and say after each step how far it is, 0 to 1; it may end before 1."""

    def finish(self) -> bytes:
        """Encode what was generated."""


def noise(shape: tuple[int, ...], *, seed: int, smooth: float) -> Array:
    """Return periodic noise between 0 and 1, smoothed in the frequency domain."""
    spectrum = np.fft.rfftn(np.random.default_rng(seed).standard_normal(shape))
    frequencies = [np.fft.fftfreq(length) for length in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    squared = sum(part**2 for part in np.meshgrid(*frequencies, indexing="ij", sparse=True))
    field = np.fft.irfftn(spectrum * np.exp(-smooth * squared), shape, axes=tuple(range(len(shape))))
    return np.float32((field - field.min()) / np.ptp(field))


class ReactionDiffusion:
    """Images: a Gray–Scott colony on a square of ``size`` cells, ``steps`` long, on uneven ground."""

    def __init__(self) -> None:
        self._ground = noise((1_024, 1_024), seed=1, smooth=4_000.0)
        self._v = np.zeros((0, 0), np.float32)

    def steps(self, params: Params) -> Iterator[float]:
        """Let it grow, 20 units of time a step."""
        size, steps = params["size"], params["steps"]
        feed = 0.03 + 0.025 * self._ground[:size, :size]
        u, v = np.ones((size, size), np.float32), np.zeros((size, size), np.float32)
        v[noise((size, size), seed=params["seed"], smooth=300.0) > 0.7] = 0.5
        for step in range(steps):
            for _ in range(20):
                eaten = u * v * v
                u += 0.2 * _laplacian(u) - eaten + feed * (1 - u)
                v += 0.1 * _laplacian(v) + eaten - (feed + 0.062) * v
            yield (step + 1) / steps
        self._v = v

    def finish(self) -> bytes:
        """Encode it as PNG."""
        return _encoded([Image.fromarray(np.uint8(255 * np.clip(self._v / 0.4, 0, 1)))], "png")


def _laplacian(field: Array) -> Array:
    return sum(np.roll(field, by, axis) for by in (1, -1) for axis in (0, 1)) - 4 * field


class Clouds:
    """Video: ``frames`` of a flight through a block of noise, ``size`` pixels square, encoded as WebP."""

    def __init__(self) -> None:
        self._block = noise((64, 160, 160), seed=2, smooth=600.0)
        self._frames: list[Image.Image] = []

    def steps(self, params: Params) -> Iterator[float]:
        """Draw the frames, each through 32 layers."""
        size, frames = params["size"], params["frames"]
        start = np.random.default_rng(params["seed"]).integers(0, 160)
        y, x = np.mgrid[0:size, 0:size].astype(np.float32) * np.float32(96 / size)
        self._frames = []
        for frame in range(frames):
            light = np.ones((size, size), np.float32)
            for layer in range(32):
                scale = np.float32(0.6 + 0.02 * layer)
                at = np.int32(y * scale + start) % 160, np.int32(x * scale + 2 * frame) % 160
                light *= 1 - 0.1 * self._block[(layer + frame) % 64][at]
            self._frames.append(Image.fromarray(np.uint8(255 * light)).convert("RGB"))
            yield (frame + 1) / frames

    def finish(self) -> bytes:
        """Encode them as one animation."""
        return _encoded(self._frames, "webp")


class Additive:
    """Audio: ``seconds`` of notes with ``partials`` overtones each, in a room, normalised."""

    def __init__(self) -> None:
        # One wave a key, the higher the purer, as none of its overtones may fold back.
        overtones = np.arange(1, 8_193) < 4_000 / (np.arange(KEYS)[:, None] + 8)
        spectrum = np.concatenate([np.zeros((KEYS, 1)), overtones / np.arange(1, 8_193)], axis=1)
        self._waves = np.float32(np.fft.irfft(-1j * spectrum, axis=1))
        fading = np.exp(-np.linspace(0, 8, 4 * RATE))
        self._room = fading * np.random.default_rng(3).standard_normal(4 * RATE)
        self._sound = np.zeros(0, np.float32)

    def steps(self, params: Params) -> Iterator[float]:
        """Add the notes, four a second."""
        notes = 4 * params["seconds"]
        random = np.random.default_rng(params["seed"])
        self._sound = np.zeros(RATE * params["seconds"] + RATE, np.float32)
        t = np.arange(RATE, dtype=np.float32)
        fading = np.exp(-t * np.float32(5 / RATE))
        for note in range(notes):
            key = int(random.integers(0, KEYS))
            phase = t * np.float32(110 * 2 ** (key / 12) / RATE)
            start = note * RATE // 4
            for partial in range(1, params["partials"] + 1):
                at = np.int32(phase * np.float32(partial) % 1 * 16_384) & 16_383
                self._sound[start : start + RATE] += fading * self._waves[key][at] / np.float32(partial)
            yield (note + 1) / notes

    def finish(self) -> bytes:
        """Add the room, and bring it to full level."""
        length = 1 << (len(self._sound) + len(self._room)).bit_length()
        wet = np.fft.irfft(np.fft.rfft(self._sound, length) * np.fft.rfft(self._room, length), length)
        return np.int16(32_767 * wet / np.abs(wet).max()).tobytes()


class Markov:
    """Text: at most ``max_tokens`` words after the two before them, until it has written a last sentence."""

    def __init__(self) -> None:
        text = "".join(inspect.getsource(module) for module in READ)
        words = re.findall(r"\w+|[^\w\s]", text)
        names, counts = np.unique(words, return_counts=True)
        self._names = names[np.argsort(-counts, kind="stable")][:VOCABULARY]
        token = {name: index for index, name in enumerate(self._names)}
        tokens = np.array([token[word] for word in words if word in token])
        self._after = np.full((len(token), len(token)), 1e-4, np.float32)
        np.add.at(self._after, (tokens[:-1], tokens[1:]), 1.0)
        self._after /= self._after.sum(axis=1, keepdims=True)
        self._stop = token["."]
        self._written: list[int] = []

    def steps(self, params: Params) -> Iterator[float]:
        """Write 64 words a step; after each full stop it may be the end."""
        random = np.random.default_rng(params["seed"])
        sharpness = np.float32(1 / params["temperature"])
        self._written = written = [self._stop, self._stop]
        for count in range(1, params["max_tokens"] + 1):
            odds = (0.7 * self._after[written[-1]] + 0.3 * self._after[written[-2]]) ** sharpness
            summed = odds.cumsum()
            written.append(min(int(summed.searchsorted(random.random() * summed[-1])), len(odds) - 1))
            if count % 64 == 0:
                yield count / params["max_tokens"]
            if written[-1] == self._stop and random.random() < LAST_STOP:
                return

    def finish(self) -> bytes:
        """Join the words."""
        return " ".join(self._names[self._written]).encode()


#: By template: how it is loaded, and the values that its parameters take.
WORKLOADS: dict[str, tuple[Callable[[], Workload], dict[str, list[Any]]]] = {
    "reaction-diffusion": (ReactionDiffusion, {"size": [64, 96, 128, 192], "steps": [20, 40, 80, 120]}),
    "clouds": (Clouds, {"size": [96, 128, 192], "frames": [8, 16, 24, 40]}),
    "additive": (Additive, {"seconds": [2, 4, 8, 12], "partials": [16, 32, 64, 96]}),
    "markov": (Markov, {"max_tokens": [2_048, 4_096, 8_192, 16_384], "temperature": [0.7, 1.0, 1.3]}),
}


def _encoded(frames: list[Image.Image], form: str) -> bytes:
    file = io.BytesIO()
    animation = {"save_all": True, "append_images": frames[1:], "duration": 40} if len(frames) > 1 else {}
    frames[0].save(file, form, **animation)
    return file.getvalue()
