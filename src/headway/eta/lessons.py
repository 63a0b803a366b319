"""What one run teaches beside its durations, in the few numbers that are kept with its record."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from headway.eta.calibration import Answer, Outcome
from headway.eta.pace import EDGES, N_READINGS

# Logs are kept in thousandths.
UNIT = 1_000.0
# No ratio of two durations is beyond e¹⁰⁰⁰; no kind of answer has a longer name.
MAX_UNITS = 1_000_000
MAX_KIND_CHARS = 32
# An answer is off by a factor of e⁹ at most, and by that where hardly anything was left.
MAX_OFF, LEAST_LEFT_S, LEAST_RAW_S = 9.0, 1e-6, 1e-9
SLACK = 1e-6


class Lesson(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of the answers about one run, and of the readings of its pace.

    Parameters
    ----------
    readings
        ``(edge, off, off, off, off)``: by how much the readings were above the truth at an edge; thousandths
        of a log.
    fits
        The z-scores of what history had said of its stages, in thousandths.
    answers
        ``(kind, off, down, up, missed)`` of each; see `Outcome`; thousandths of a log.
    ways
        The errors of the two ways of saying when it would end that it was first told while it waited: by
        those ahead of it, and by history; thousandths of a log.
    """

    readings: tuple[tuple[int, ...], ...] = ()
    fits: tuple[int, ...] = ()
    answers: tuple[tuple[str, int, int, int, int], ...] = ()
    ways: tuple[int, ...] = ()

    @classmethod
    def of(cls, values: dict[str, Any] | None) -> Lesson | None:
        """Read the lesson out of a record; ``None`` where there is none that this version reads."""
        if not values:
            return None
        try:
            return _sound(msgspec.convert(values, cls))
        except msgspec.ValidationError:
            return None

    def outcomes(self) -> list[Outcome]:
        """Return what became of the answers."""
        return [
            Outcome(kind, off / UNIT, max(down, 1) / UNIT, max(up, 1) / UNIT, missed)
            for kind, off, down, up, missed in self.answers
        ]


def pack(answer: Answer, left: float) -> tuple[str, int, int, int, int]:
    """Compare an answer with the seconds that were truly left, in the form in which that is kept."""
    kind, _, raw, down, up, low, high = answer
    off = math.log(left / raw) if left > LEAST_LEFT_S and raw > LEAST_RAW_S else -MAX_OFF
    if not -MAX_OFF <= off <= MAX_OFF:
        off = math.copysign(MAX_OFF, off)
    # A range without width is not missed by the last bit of a sum.
    slack = SLACK * (left + 1.0)
    missed = 1 if left > high + slack else -1 if left < low - slack else 0
    return kind, round(UNIT * off), round(UNIT * down), round(UNIT * up), missed


def encode(lesson: Lesson) -> bytes:
    """Write a lesson in few bytes."""
    return _ENCODER.encode(lesson)


def decode(data: bytes) -> Lesson | None:
    """Read what `encode` wrote; ``None`` of what only another version can read."""
    try:
        return _sound(_DECODER.decode(data))
    except msgspec.MsgspecError:
        return None


def _sound(lesson: Lesson) -> Lesson | None:
    """Return the lesson, ``None`` for one that no predictor has written."""
    readings = all(len(r) == 1 + N_READINGS and 0 <= r[0] < len(EDGES) for r in lesson.readings)
    numbers = (
        *(off for reading in lesson.readings for off in reading),
        *lesson.fits,
        *(number for _, *answer in lesson.answers for number in answer),
        *lesson.ways,
    )
    kinds = all(len(kind) <= MAX_KIND_CHARS for kind, *_ in lesson.answers)
    is_sound = readings and kinds and all(-MAX_UNITS <= number <= MAX_UNITS for number in numbers)
    return lesson if is_sound else None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Lesson)
