"""What of a task's parameters can be compared: numbers on a log scale, words as labels, and equality."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from headway.models import encode_json

MAX_NUMBERS = 24
MAX_LABELS = 16
MAX_LABEL_CHARS = 64
# What differs in every run and says nothing of its duration.
IGNORED = frozenset({"seed", "prompt", "negative_prompt"})
# Two templates without a common word still run on the same machine.
LEAST_LIKENESS = 0.03

_WORD = re.compile(r"[A-Za-z]+|\d+")


class Features(NamedTuple):
    """What a task is compared by.

    Parameters
    ----------
    numbers
        ``log1p`` of each numeric parameter, with its sign.
    words
        The words of the template's name and of short texts among the parameters, ``"key=text"``.
    exact
        Equal for equal parameters.
    """

    numbers: dict[str, float]
    words: frozenset[str]
    exact: int


def read_features(template_id: str, params: Mapping[str, Any], *, device: str | None = None) -> Features:
    """Read the features out of parameters of any JSON type; all of them count for equality."""
    numbers: dict[str, float] = {}
    labels: list[str] = [] if device is None else [f"device={device}"]
    compared: dict[str, Any] = {}
    for key, value in params.items():
        if key in IGNORED:
            continue
        key = printable(str(key))
        compared[key] = value
        if isinstance(value, str) and len(value) <= MAX_LABEL_CHARS:
            labels.append(printable(f"{key}={value}"))
        elif len(numbers) < MAX_NUMBERS:
            name, number = _number(key, value)
            if number is not None:
                numbers[name] = number
    return Features(numbers, _words(printable(template_id), tuple(labels[:MAX_LABELS])), _exact(compared))


def printable(text: str) -> str:
    """Return a text that can be encoded: what cannot is a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@lru_cache(maxsize=512)
def _words(template_id: str, labels: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.lower() for text in (template_id, *labels) for word in _WORD.findall(text))


@lru_cache(maxsize=512)
def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Say how alike two tasks' words are: 0.03 for none in common, 1.03 for all (Jaccard, squared)."""
    return LEAST_LIKENESS + (len(one & other) / max(len(one | other), 1)) ** 2


def _number(key: str, value: object) -> tuple[str, float | None]:
    if isinstance(value, (bool, int, float)):
        try:
            number = float(value)
        except OverflowError:
            return key, None
        return key, math.copysign(math.log1p(abs(number)), number) if math.isfinite(number) else None
    if isinstance(value, (str, list, tuple)):
        return f"{key}.length", math.log1p(len(value))
    return key, None


def _exact(values: dict[str, Any]) -> int:
    try:
        return zlib.crc32(encode_json(dict(sorted(values.items()))))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return 0
