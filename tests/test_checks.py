"""What may be given, and what is made of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headway.checks import (
    MAX_VALUES_BYTES,
    check_fraction,
    check_task_id,
    error_text,
    metadata_json,
    parse_fraction,
    plain_values,
    shorten,
)
from headway.errors import InvalidParamsError, InvalidProgressError, InvalidTaskIdError


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


def test_numpy_values_become_plain_numbers() -> None:
    values = {"steps": np.int64(30), "cfg": np.float32(7.5), "sizes": [np.uint8(3)]}
    assert plain_values(values, what="params") == {"steps": 30, "cfg": 7.5, "sizes": [3]}
    assert plain_values({"nan": math.nan}, what="params") == {"nan": None}


@pytest.mark.parametrize("value", [object(), {1, object()}, lambda: 0])
def test_a_value_without_json_form_is_refused(value: object) -> None:
    with pytest.raises(InvalidParamsError, match="expected params to be JSON values"):
        plain_values({"x": value}, what="params")


def test_what_goes_with_a_log_entry_is_kept_whatever_it_is() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    given = {"path": Path("/tmp/x.png"), "sigma": 0.5, "broken": Broken(), "long": "y" * 20_000, "last": [1]}
    assert json.loads(metadata_json(given)) == {
        "path": "/tmp/x.png",
        "sigma": 0.5,
        "broken": "<Broken>",
        "long": "y" * 499 + "…",
        "last": [1],
    }
    many = json.loads(metadata_json({f"{number}": "z" * 6_000 for number in range(4)}))
    assert [len(value) for value in many.values()] == [6_000, 6_000, 1, 1]
    assert metadata_json({"array": np.zeros(3)}) == b'{"array":"[0. 0. 0.]"}'


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


def test_a_percentage_is_guessed_at() -> None:
    with pytest.raises(InvalidProgressError, match=r"for a percentage, pass 45 / 100"):
        check_fraction(45)


@pytest.mark.parametrize(
    ("done", "total"), [(-1, 10), (11, 10), (5, 0), (5, -1), (1.5, 10), (True, 10), (5, 2.5)]
)
def test_counts_that_do_not_fit_are_refused(done: Any, total: Any) -> None:
    with pytest.raises(InvalidProgressError, match="expected"):
        parse_fraction(None, done=done, total=total)
