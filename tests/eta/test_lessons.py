"""What one run teaches beside its durations."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headway.eta.calibration import Outcome
from headway.eta.lessons import Lesson, pack


def test_an_outcome_is_kept_in_thousandths_of_a_log() -> None:
    packed = pack(Outcome("pace1", -0.12345, 0.25, 0.5, -1))
    assert packed == ("pace1", -123, 250, 500, -1)
    assert Lesson(answers=(packed,)).outcomes() == [Outcome("pace1", -0.123, 0.25, 0.5, -1)]


def test_a_width_is_never_nothing() -> None:
    assert Lesson(answers=(pack(Outcome("start", 0.0, 0.0, 1e-9, 0)),)).outcomes() == [
        Outcome("start", 0.0, 0.001, 0.001, 0)
    ]


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
