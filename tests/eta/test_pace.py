"""The pace of a running stage."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headway.eta.pace import (
    EDGES,
    MAX_SAMPLES,
    N_READINGS,
    OWN_MEMORY,
    PRIOR_ERROR,
    PRIOR_TAIL,
    RECENT_STEPS,
    Course,
    ErrorTable,
    _median_with,
    edge_of,
)


def course(*reports: tuple[float, float], began: float = 0.0) -> Course:
    stage = Course(began)
    for now, progress in reports:
        stage.observe(progress, now)
    return stage


def test_of_a_steady_stage_all_readings_say_the_same() -> None:
    stage = course(*((100.0 + t, t / 100) for t in range(1, 51)), began=100.0)
    assert (*stage.seen[:2], stage.longest) == (50.0, 0.5, 1.0)
    assert stage.seen.readings(50.0) == pytest.approx([100.0] * N_READINGS)


def test_a_slow_first_step_rules_the_mean_pace_only() -> None:
    stage = course((20.0, 0.1), (21.0, 0.2), (22.0, 0.3), (23.0, 0.4))
    whole, later, recent, typical = stage.seen.readings(23.0)
    assert whole == pytest.approx(23.0 / 0.4)
    assert later == recent == typical == pytest.approx(29.0)


def test_what_became_slower_is_seen_by_the_last_third_first() -> None:
    fast = [(float(t), t / 100) for t in range(1, 61)]
    stage = course(*fast, *((60.0 + 3.0 * t, 0.6 + t / 100) for t in range(1, 31)))
    whole, later, recent, typical = stage.seen.readings(150.0)
    assert recent == pytest.approx(180.0, rel=0.01), "ten steps of three seconds"
    assert whole == pytest.approx(150.0 / 0.9)
    assert later < recent
    assert typical == pytest.approx(180.0), "the median of the last steps"


def test_one_report_has_one_pace() -> None:
    assert course((5.0, 0.25)).seen.readings(5.0) == pytest.approx([20.0] * N_READINGS)


@pytest.mark.parametrize("reports", [((5.0, 0.25),), tuple((float(t), t / 20) for t in range(1, 11))])
def test_silence_makes_every_reading_grow(reports: tuple[tuple[float, float], ...]) -> None:
    stage = course(*reports)
    at_once = stage.seen.readings(stage.seen.updated)
    soon = stage.seen.readings(stage.seen.updated + 0.5 * stage.longest)
    late = stage.seen.readings(stage.seen.updated + 5.0 * stage.longest)
    for reading, same, more in zip(at_once, soon, late, strict=True):
        assert same == pytest.approx(reading), "the next step is not due yet"
        assert more >= reading + 4.0 * stage.longest - 1e-9 or more > 1.25 * reading


def test_what_adds_nothing_is_not_heard() -> None:
    stage = course((5.0, 0.25))
    for progress in (0.25, 0.1, math.nan, -1.0, -math.inf):
        stage.observe(progress, 6.0)
    assert stage.seen[:2] == (5.0, 0.25)
    stage.observe(7.0, 8.0)
    assert stage.seen[:2] == (8.0, 1.0)


def test_a_clock_that_was_set_back_stands_still() -> None:
    stage = course((5.0, 0.25), (3.0, 0.5))
    assert stage.seen[:2] == (5.0, 0.5)
    assert stage.seen.readings(1.0) == pytest.approx((10.0, 5.0, 5.0, 10.0)), "half of the steps took no time"


def test_each_edge_is_passed_once_and_the_last_one_counts_when_several_are() -> None:
    stage = course((1.0, 0.01), (2.0, 0.05), (3.0, 0.06), (50.0, 0.5), (96.0, 0.96), (100.0, 1.0))
    assert [EDGES[edge] for edge, _ in stage.crossed] == [0.04, 0.5, 0.93]
    assert stage.crossed[0][1][0] == pytest.approx(math.log(40.0))
    assert edge_of(0.001) == -1
    assert course((1.0, 0.001)).crossed == []


@given(st.lists(st.floats(-1e3, 1e3), max_size=30), st.floats(-1e3, 1e3))
def test_the_median_with_one_more(values: list[float], more: float) -> None:
    assert _median_with(sorted(values), more) == pytest.approx(statistics.median([*values, more]))


@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0.001, 0.3)), max_size=40), st.floats(0, 50),
    st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)).map(sorted), st.floats(0, 50),
)  # fmt: skip
@example([(0.0, 0.25), (0.0, 0.25), (1.0, 0.25), (1.0, 0.25)], 1.0, [0.5, 0.75], 1.0)
def test_more_progress_never_makes_a_reading_longer(
    steps: list[tuple[float, float]], gap: float, last: list[float], silence: float
) -> None:
    now, said = 0.0, []
    stages = Course(0.0), Course(0.0)
    for seconds, share in steps:
        now += seconds
        for stage in stages:
            stage.observe(stage.seen.progress + share * (1.0 - stage.seen.progress), now)
    for stage, share in zip(stages, last, strict=True):
        stage.observe(stage.seen.progress + share * (1.0 - stage.seen.progress), now + gap)
        said.append(stage.seen.readings(now + gap + silence))
    for less, more in zip(*said, strict=True):
        assert more <= less * (1 + 1e-9)


def test_the_memory_of_a_long_stage_is_bounded() -> None:
    stage = course(*((float(t), t / 10_000) for t in range(1, 9_000)))
    assert len(stage._samples) <= MAX_SAMPLES
    assert len(stage._steps) == len(stage._ordered) == RECENT_STEPS - 1
    assert len(stage.crossed) <= len(EDGES)
    assert stage.seen.readings(stage.seen.updated) == pytest.approx([10_000.0] * N_READINGS, rel=0.01)


@given(
    st.lists(st.tuples(st.floats(0, 50), st.integers(0, 10**6).map(lambda n: n / 10**6)), max_size=100),
    st.floats(0, 1_000),
    st.floats(0, 1_000),
)
def test_readings_grow_with_silence_and_three_are_beyond_what_has_passed(
    steps: list[tuple[float, float]], silence: float, more: float
) -> None:
    now, stage = 0.0, Course(0.0)
    for gap, progress in steps:
        now += gap
        stage.observe(progress, now)
    if not stage.seen.progress:
        return
    sooner, later = stage.seen.readings(now + silence), stage.seen.readings(now + silence + more)
    for one, other in zip(sooner, later, strict=True):
        assert 0.0 <= one <= other * (1 + 1e-9) < math.inf
    assert min(sooner[1:]) >= (now + silence) * (1 - 1e-9)


def test_the_reading_that_was_right_is_chosen() -> None:
    own, shared = ErrorTable(), ErrorTable()
    for _ in range(30):
        own.add(6, (0.5, -0.01, 0.4, -0.5), OWN_MEMORY)
    choice = own.best(shared, 6)
    assert choice.which == 1
    assert choice.bias == pytest.approx(-0.01, abs=0.01)
    for swing in (0.4, -0.4) * 50:
        own.add(6, (swing, swing, 0.0, swing), OWN_MEMORY)
    assert own.best(shared, 6).which == 2, "what was chosen once is chosen anew"


def test_an_error_that_is_always_the_same_is_a_bias() -> None:
    own, shared = ErrorTable(), ErrorTable()
    for table in (own, shared):
        for _ in range(200):
            table.add(6, (math.log(2),) * N_READINGS, 400.0)
    choice = own.best(shared, 6)
    assert choice.bias == pytest.approx(math.log(2), abs=0.02)
    assert choice.error < 0.1


def test_what_is_not_known_of_a_template_is_that_of_all() -> None:
    own, shared = ErrorTable(), ErrorTable()
    assert own.best(shared, 6)[1:4] == pytest.approx((0.0, PRIOR_ERROR[6], PRIOR_TAIL))
    for _ in range(30):
        shared.add(6, (0.5, 0.0, 0.5, 0.5), 400.0)
    assert own.best(shared, 6).which == 1
    assert own.best(shared, 5).error == pytest.approx(PRIOR_ERROR[5]), "edges are apart"


def test_one_outlier_hardly_moves_what_is_believed() -> None:
    own, shared = ErrorTable(), ErrorTable()
    for _ in range(40):
        own.add(6, (0.01,) * N_READINGS, OWN_MEMORY)
    before = own.best(shared, 6)
    own.add(6, (9.0,) * N_READINGS, OWN_MEMORY)
    after = own.best(shared, 6)
    assert (after.bias, after.error) == pytest.approx((before.bias, before.error), abs=0.02)
    assert after.tail > before.tail
