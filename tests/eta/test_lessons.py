"""What one run teaches beside its durations."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headway.eta.calibration import Answer, Outcome
from headway.eta.lessons import Lesson, pack


@pytest.mark.parametrize(
    ("left", "off", "missed"),
    [
        (10.0, 0, 0),
        (20.0, 693, 1),
        (5.0, -693, -1),
        (15.0, 405, 0),
        (15.000_001, 405, 0),
        (0.0, -9_000, -1),
    ],
)
def test_an_answer_is_compared_with_what_was_truly_left(left: float, off: int, missed: int) -> None:
    packed = pack(Answer("start", 0.0, 10.0, 0.3, 0.4, 8.0, 15.0), left)
    assert packed == ("start", off, 300, 400, missed)
    assert Lesson(answers=(packed,)).outcomes() == [Outcome("start", off / 1_000, 0.3, 0.4, missed)]


def test_a_width_is_never_nothing() -> None:
    packed = pack(Answer("start", 0.0, 10.0, 0.0, 1e-9, 8.0, 15.0), 10.0)
    assert Lesson(answers=(packed,)).outcomes() == [Outcome("start", 0.0, 0.001, 0.001, 0)]


def test_a_lesson_comes_back_from_its_record() -> None:
    lesson = Lesson(
        readings=((3, 1, -2, 3, -4),), fits=(500,), answers=(("start", 1, 2, 3, 0),), ways=(10, 20)
    )
    assert Lesson.of(msgspec.to_builtins(lesson)) == lesson
    assert Lesson.of(msgspec.json.decode(msgspec.json.encode(lesson))) == lesson
    assert msgspec.to_builtins(Lesson()) == {}


@pytest.mark.parametrize(
    "values", [None, {}, {"fits": "many"}, {"readings": [["a"]]}, {"answers": [["start", 1]]}, {"ways": {}}]
)
def test_what_this_version_does_not_read_teaches_nothing(values: dict[str, Any] | None) -> None:
    assert Lesson.of(values) is None


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert Lesson.of({"fits": [7], "new_in_9": 1}) == Lesson(fits=(7,))
