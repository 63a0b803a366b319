"""The values and their JSON."""

from __future__ import annotations

import math

import numpy as np
import pytest

from headway.errors import InvalidParamsError, InvalidTaskIdError
from headway.models import (
    MAX_VALUES_BYTES,
    StageProgress,
    StageStatus,
    check_task_id,
    decode_summary,
    error_text,
    plain_values,
    shorten,
)
from headway.stages import STAGE_DEFINITIONS
from headway.timestamps import Timestamp
from headway.transitions import create

NOW = Timestamp(1_795_363_200.25)


@pytest.mark.parametrize("task_id", ["a", "A.b_c-9", "7", "x" * 128])
def test_an_id_of_letters_digits_and_three_marks_is_one(task_id: str) -> None:
    assert check_task_id(task_id) == task_id


@pytest.mark.parametrize(
    "task_id", ["", ".a", "-a", "a/b", "../x", "a b", "é", "x" * 129, "a\n", "{a}", None, 7]
)
def test_anything_else_is_refused_and_named(task_id: object) -> None:
    with pytest.raises(InvalidTaskIdError, match="expected a task id of 1 to 128") as caught:
        check_task_id(task_id)
    assert caught.value.task_id == task_id


def test_a_stage_knows_how_long_it_has_been_running() -> None:
    stage = StageProgress(id="a", name="A", weight=1.0)
    assert stage.elapsed(NOW) is None
    running = StageProgress(
        id="a", name="A", weight=1.0, status=StageStatus.IN_PROGRESS, started_at=Timestamp(NOW - 2)
    )
    assert running.elapsed(NOW) == 2.0
    assert running.elapsed(NOW - 5) == 0.0, "a clock that was set back"
    over = StageProgress(id="a", name="A", weight=1.0, started_at=NOW, duration=1.5)
    assert over.elapsed(NOW + 60) == 1.5


def test_a_summary_is_read_from_a_tasks_json() -> None:
    task = create("a-1", "sdxl", STAGE_DEFINITIONS["image_generation"], now=NOW, name="Cat")
    summary = decode_summary(task.to_json())
    assert (summary.task_id, summary.name, summary.status, summary.created_at) == (
        "a-1",
        "Cat",
        "queued",
        NOW,
    )


def test_fields_of_a_later_version_are_ignored() -> None:
    task = create("a-1", "sdxl", STAGE_DEFINITIONS["default"], now=NOW)
    data = task.to_json()[:-1] + b',"new_in_9":{"x":1}}'
    assert type(task).from_json(data) == task


def test_numpy_values_become_plain_numbers() -> None:
    values = {"steps": np.int64(30), "cfg": np.float32(7.5), "sizes": [np.uint8(3)]}
    assert plain_values(values, what="params") == {"steps": 30, "cfg": 7.5, "sizes": [3]}
    assert plain_values({"nan": math.nan}, what="params") == {"nan": None}


@pytest.mark.parametrize("value", [object(), {1, object()}, lambda: 0])
def test_a_value_without_json_form_is_refused(value: object) -> None:
    with pytest.raises(InvalidParamsError, match="expected params to be JSON values"):
        plain_values({"x": value}, what="params")


def test_too_many_values_are_refused() -> None:
    with pytest.raises(InvalidParamsError, match=f"at most {MAX_VALUES_BYTES} bytes"):
        plain_values({"x": "y" * MAX_VALUES_BYTES}, what="params")


def test_an_error_is_said_as_a_traceback_ends() -> None:
    assert error_text(ValueError("bad seed")) == "ValueError: bad seed"
    assert error_text(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert len(error_text(ValueError("x" * 9_999))) == 4_000


def test_a_long_text_ends_in_an_ellipsis() -> None:
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"
