"""The weighted sample of earlier runs that a task is compared with."""

from __future__ import annotations

import math
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.eta.features import read_features
from headway.eta.pool import N_EXPERTS, N_OWN, Pool, build_pool
from headway.eta.runs import WARM, Family, log_durations

KEYS = count()


def pool(*rows: tuple[float, ...], weights: tuple[float, ...] | None = None, runs: int = 9) -> Pool:
    shares = np.ones(len(rows)) if weights is None else np.array(weights)
    return Pool(np.log(np.array(rows)), shares / shares.sum(), runs=runs, same=0)


def learned(
    family: Family, name: str, seconds: float | list[float], params: dict[str, object] | None = None
) -> None:
    key = next(KEYS)
    durations = [seconds] if isinstance(seconds, float) else seconds
    family.learn(
        family.template(name), read_features(name, params or {}), log_durations(durations), at=key, key=key
    )


def experts_of(sample: Pool | None) -> Any:
    assert sample is not None
    return sample.experts


def built(family: Family, name: str, params: dict[str, object] | None = None) -> Pool:
    sample = build_pool(family, family.template(name), read_features(name, params or {}), scored=False)
    assert sample is not None
    return sample


def test_the_median_is_a_run() -> None:
    assert pool((10.0,), (20.0,), (90.0,)).typical(0) == pytest.approx(20.0)
    assert pool((10.0,), (20.0,), (90.0,), weights=(1, 1, 9)).typical(0) == pytest.approx(90.0)


def test_before_the_beginning_the_quantiles_are_those_of_the_runs() -> None:
    low, median, high = pool(*((float(s),) for s in range(100, 201))).left(0, None, 0.0)
    assert (low, median, high) == pytest.approx((110.0, 150.0, 190.0), rel=0.03)


def test_what_has_passed_rules_out_the_shorter_runs() -> None:
    sample = pool(*((float(s),) for s in range(100, 201)))
    assert sample.left(0, None, 50.0) == pytest.approx([v - 50 for v in sample.left(0, None, 0.0)])
    assert sample.left(0, None, 150.0).median == pytest.approx(25.0, abs=2.0), "150 to 200 remain"


def test_two_modes_stay_two() -> None:
    sample = pool(*[(10.0,)] * 5, *[(100.0,)] * 4)
    low, median, high = sample.left(0, None, 0.0)
    assert (low, median, high) == pytest.approx((10.0, 10.0, 100.0), rel=0.2)
    assert sample.left(0, None, 20.0).median == pytest.approx(80.0, rel=0.1), "it is a cold one"


def test_what_outlived_all_runs_takes_a_part_of_that_again() -> None:
    sample = pool(*[(10.0,)] * 20)
    lefts = [sample.left(0, None, elapsed) for elapsed in (20.0, 50.0, 1_000.0)]
    assert all(left.low > 0.0 for left in lefts)
    assert lefts[0].median < lefts[1].median < lefts[2].median < 1_000.0


def test_the_rest_is_that_of_the_same_runs() -> None:
    sample = pool((10.0, 1.0), (20.0, 2.0), (30.0, 3.0))
    assert sample.left(0, 1, 0.0).median == pytest.approx(22.0)
    assert sample.left(0, 1, 25.0).median == pytest.approx(8.0, rel=0.3), "the last run remains, for the most"
    assert sample.left(0, 1, 5_000.0).median > sample.typical(1)


def test_few_runs_know_less_than_many() -> None:
    few, many = pool((10.0,), runs=1), pool(*[(10.0,)] * 50, runs=50)
    assert few.left(0, None, 0.0).high > 1.1 * many.left(0, None, 0.0).high


def test_the_stages_to_come_are_expected_as_they_were() -> None:
    sample = pool((1.0, 10.0, 2.0), (1.0, 10.0, 2.0))
    names = ("a", "b", "c")
    medians = {stage.id: stage.median for stage in sample.expected(names, 0)}
    assert medians == pytest.approx({"b": 10.0, "c": 2.0})
    assert len(sample.expected(names, -1)) == 3
    assert sample.expected(names, 2) == ()


@given(
    st.lists(st.tuples(st.floats(1e-3, 1e8), st.floats(1e-3, 1e8)), min_size=1, max_size=20),
    st.lists(st.floats(0, 1e9), min_size=1, max_size=5),
    st.sampled_from([None, 1]),
)
def test_what_is_left_is_in_order_and_an_end_never_comes_nearer_by_much(
    rows: list[tuple[float, float]], instants: list[float], rest: int | None
) -> None:
    sample = pool(*rows)
    for elapsed in instants:
        low, median, high = sample.left(0, rest, elapsed)
        assert low >= -1e-6
        assert low <= median <= high < math.inf


def test_while_nothing_has_completed_there_is_none() -> None:
    family = Family(("a",), N_EXPERTS)
    assert build_pool(family, family.template("x"), read_features("x", {}), scored=True) is None


def test_the_ways_of_weighing_are_scored_by_their_medians() -> None:
    family = Family(("a",), N_EXPERTS)
    for _ in range(3):
        learned(family, "x", 10.0)
    medians = experts_of(build_pool(family, family.template("x"), read_features("x", {}), scored=True))
    assert medians is not None
    assert np.exp(medians) == pytest.approx([10.0] * N_EXPERTS, rel=0.01)
    none = experts_of(build_pool(family, family.template("x"), read_features("x", {}), scored=False))
    assert none is None
    others = experts_of(build_pool(family, family.template("y"), read_features("y", {}), scored=True))
    assert others is not None
    assert np.isnan(others[:N_OWN]).all(), "it has no runs of its own"


def test_runs_with_the_same_parameters_come_first() -> None:
    family = Family(("a",), N_EXPERTS)
    for _ in range(10):
        learned(family, "x", 10.0, {"model": {"name": "small"}})
        learned(family, "x", 40.0, {"model": {"name": "large"}})
    small, large = (built(family, "x", {"model": {"name": name}}) for name in ("small", "large"))
    assert (small.runs, small.same) == (20, 10)
    assert small.typical(0) < large.typical(0)


def test_runs_with_other_words_come_last() -> None:
    family = Family(("a",), N_EXPERTS)
    for _ in range(20):
        learned(family, "x", 10.0, {"sampler": "euler"})
        learned(family, "x", 40.0, {"sampler": "heun"})
    assert built(family, "x", {"sampler": "euler"}).typical(0) == pytest.approx(10.0, rel=0.1)
    assert built(family, "x", {"sampler": "heun"}).typical(0) == pytest.approx(40.0, rel=0.1)


def test_a_template_without_runs_borrows_from_those_like_it() -> None:
    family = Family(("a",), N_EXPERTS)
    for _ in range(10):
        learned(family, "sdxl portrait", 10.0)
        learned(family, "flux landscape", 90.0)
    assert built(family, "sdxl landscape portrait").typical(0) == pytest.approx(10.0, rel=0.1)
    assert built(family, "sdxl portrait large").runs == 0


def test_a_warm_template_stands_on_its_own() -> None:
    family = Family(("a",), N_EXPERTS)
    for _ in range(2 * WARM):
        learned(family, "x", 10.0)
        learned(family, "y", 90.0)
    low, median, high = built(family, "x").left(0, None, 0.0)
    assert median == pytest.approx(10.0, rel=0.05)
    assert high < 20.0
    assert low > 5.0


def test_runs_are_carried_over_to_other_parameters() -> None:
    family = Family(("a",), N_EXPERTS)
    for number in range(40):
        steps = 10 + number % 20
        learned(family, "x", float(steps), {"steps": steps})
    assert built(family, "x", {"steps": 58}).typical(0) == pytest.approx(58.0, rel=0.2)


def test_a_run_cut_short_gives_its_weight_to_those_that_took_longer() -> None:
    family = Family(("a",), N_EXPERTS)
    for number in range(80):
        learned(family, "x", 10.0 + number * 17 % 40)
    before = built(family, "x").left(0, None, 0.0)
    family.template("x").censored.extend([math.log(25.0)] * 10)
    after = built(family, "x").left(0, None, 0.0)
    assert after.median > before.median
    family.template("x").censored.clear()
    family.template("x").censored.extend([math.log(9_999.0)] * 10)
    assert built(family, "x").left(0, None, 0.0) == pytest.approx(before)


def test_others_are_not_asked_once_a_warm_template_knows_better() -> None:
    family = Family(("a",), N_EXPERTS)
    for _ in range(2 * WARM):
        learned(family, "x", 10.0)
        learned(family, "y", 90.0)
    template = family.template("x")
    for _ in range(100):
        family.score(template, np.array([0.0] * N_OWN + [9.0] * (N_EXPERTS - N_OWN)), 0.0)
    medians = experts_of(build_pool(family, template, read_features("x", {}), scored=True))
    assert medians is not None
    assert np.isnan(medians).tolist() == [False] * N_OWN + [True] * (N_EXPERTS - N_OWN)
