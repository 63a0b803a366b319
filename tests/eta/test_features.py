"""What of a task's parameters can be compared."""

from __future__ import annotations

import math
from typing import Any

import pytest

from headway.eta.features import LEAST_LIKENESS, MAX_LABELS, MAX_NUMBERS, likeness, read_features


def test_numbers_are_compared_on_a_log_scale_with_their_sign() -> None:
    numbers = read_features("sdxl", {"steps": 30, "shift": -1.5, "hires": True, "zero": 0}).numbers
    assert numbers == {
        "steps": pytest.approx(math.log(31)),
        "shift": pytest.approx(-math.log(2.5)),
        "hires": pytest.approx(math.log(2)),
        "zero": 0.0,
    }


def test_short_texts_are_labels_and_long_ones_and_lists_have_a_length() -> None:
    features = read_features(
        "sdxl-Turbo", {"sampler": "Euler a", "text": "word " * 20, "loras": ["x", "y", "z"]}, device="H100"
    )
    assert features.words == {"sdxl", "turbo", "sampler", "euler", "a", "device", "h", "100"}
    assert features.numbers == {
        "text.length": pytest.approx(math.log(101)),
        "loras.length": pytest.approx(math.log(4)),
    }


def test_seed_and_prompt_say_nothing() -> None:
    one = read_features("sdxl", {"steps": 30, "seed": 1, "prompt": "a cat", "negative_prompt": "dog"})
    assert one == read_features("sdxl", {"steps": 30, "seed": 2, "prompt": "a bird"})


def test_equal_parameters_are_told_from_unequal_ones_in_any_order() -> None:
    one = read_features("sdxl", {"steps": 30, "model": {"a": [1, None]}})
    assert one.exact == read_features("sdxl", {"model": {"a": [1, None]}, "steps": 30}).exact
    assert one.exact != read_features("sdxl", {"steps": 30, "model": {"a": [2, None]}}).exact


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, None, {"a": 1}, object()])
def test_what_is_no_finite_number_has_none(value: Any) -> None:
    features = read_features("sdxl", {"x": value, "steps": 30})
    assert features.numbers == {"steps": pytest.approx(math.log(31))}


@pytest.mark.parametrize("value", ["\ud800", {1, object()}, object(), 1j])
def test_parameters_without_json_form_are_read_all_the_same(value: Any) -> None:
    assert read_features("sdxl", {"x": value, "steps": 30}).numbers["steps"] == pytest.approx(math.log(31))


def test_parameters_that_hold_themselves_or_are_nested_deep_are_read_all_the_same() -> None:
    loop: list[Any] = []
    loop.append(loop)
    nested: dict[str, Any] = {}
    for _ in range(100_000):
        nested = {"a": nested}
    assert read_features("sdxl", {"loop": loop}).exact == read_features("sdxl", {"nested": nested}).exact == 0


def test_keys_that_are_no_texts_are_read_as_texts() -> None:
    keys: Any = {1: 2, None: 3}
    assert set(read_features("sdxl", keys).numbers) == {"1", "None"}


def test_a_thousand_parameters_are_bounded() -> None:
    features = read_features(
        "sdxl", {f"n{i}": i for i in range(1_000)} | {f"w{i}": "x" for i in range(1_000)}
    )
    assert len(features.numbers) == MAX_NUMBERS
    assert len(features.words) <= 2 + 3 * MAX_LABELS


def test_likeness_is_the_square_of_the_words_in_common() -> None:
    ab, bc, de = frozenset("ab"), frozenset("bc"), frozenset("de")
    assert likeness(ab, ab) == pytest.approx(1 + LEAST_LIKENESS)
    assert likeness(ab, bc) == pytest.approx(1 / 9 + LEAST_LIKENESS)
    assert likeness(ab, de) == likeness(frozenset(), frozenset()) == LEAST_LIKENESS
