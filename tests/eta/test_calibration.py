"""Ranges that hold as often as they say."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.eta.calibration import (
    COLD,
    CORRECTED,
    ENOUGH,
    ENOUGH_OWN,
    MAX_MISSED,
    MAX_REACH,
    MIN_MISSED,
    MISSED,
    Calibration,
    Outcome,
    Scores,
    correct,
)
from headway.eta.lessons import Lesson, pack
from headway.eta.survival import Left


def outcome(off: float, *, unit: float = 1.0, missed: int = 0, kind: str = "start") -> Outcome:
    return Outcome(kind, off, unit, unit, missed)


def scores(*offs: float, kept: int = 100) -> Scores:
    known = Scores(kept)
    for off in offs:
        known.add(outcome(off))
    return known


def test_a_score_is_the_error_in_units_of_the_side_that_it_is_on() -> None:
    known = Scores(10)
    known.add(Outcome("start", 1.0, 0.5, 2.0, 1))
    known.add(Outcome("start", -1.0, 0.5, 2.0, -1))
    assert list(known.ordered) == [-2.0, 0.5]


def test_quantiles_are_read_between_the_scores() -> None:
    known = scores(*range(9, 0, -1))
    assert [known.quantile(level) for level in (0.1, 0.5, 0.9)] == [1.0, 5.0, pytest.approx(9.0)]
    assert known.quantile(0.55) == pytest.approx(5.5)
    assert (known.quantile(0.0), known.quantile(1.0)) == (1.0, 9.0)


def test_the_oldest_score_leaves_first() -> None:
    known = scores(5.0, 1.0, 3.0, 2.0, 4.0, kept=3)
    assert list(known.ordered) == [2.0, 3.0, 4.0]
    assert len(known) == 3
    assert known.n == 5


def test_how_often_ranges_held_is_counted() -> None:
    known = Scores(100)
    for missed in (0, 0, 1, -1):
        known.add(outcome(0.0, missed=missed))
    assert known.held == pytest.approx(0.5)


def test_a_side_that_is_missed_is_moved_out_and_never_without_bounds() -> None:
    known = Scores(100)
    known.add(outcome(0.0, missed=1))
    assert known.high_missed < MISSED < known.low_missed
    for _ in range(1_000):
        known.add(outcome(0.0, missed=1))
    assert (known.low_missed, known.high_missed) == (MAX_MISSED, MIN_MISSED)


def corrected(
    own: Calibration, shared: Calibration, raw: Left, kind: str = "start"
) -> tuple[float, float, float]:
    """Return the ends of the range and the median that such an answer is moved to."""
    answer, median = correct(own.factors(shared, kind), kind, 0.0, raw)
    return answer.low, median, answer.high


TEN = Left(10.0, 10.0, 10.0)


def test_before_enough_was_scored_the_range_is_a_guess_and_the_median_stays() -> None:
    own, shared = Calibration(), Calibration()
    answer, median = correct(own.factors(shared, "start"), "start", 3.0, TEN)
    assert (answer.kind, answer.elapsed, answer.raw, median) == ("start", 3.0, 10.0, 10.0)
    assert answer.high == pytest.approx(10.0 * math.exp(COLD * answer.up))
    assert answer.low == pytest.approx(10.0 * math.exp(-COLD * answer.down))
    assert own.factors(shared, "start").held is None


def test_an_answer_that_is_wider_itself_gets_a_wider_range() -> None:
    own, shared = Calibration(), Calibration()
    wide, _ = correct(own.factors(shared, "start"), "start", 0.0, Left(5.0, 10.0, 40.0))
    narrow, _ = correct(own.factors(shared, "start"), "start", 0.0, TEN)
    assert wide.down == pytest.approx(narrow.down + 0.5 * math.log(2))
    assert wide.up == pytest.approx(narrow.up + 0.5 * math.log(4))


def test_answers_that_were_always_half_the_truth_are_moved_half_of_the_way() -> None:
    own, shared = Calibration(), Calibration()
    for _ in range(ENOUGH):
        shared.of("start").add(outcome(math.log(2), missed=1))
    answer, median = correct(own.factors(shared, "start"), "start", 0.0, TEN)
    assert median == pytest.approx(10.0 * 2 ** (CORRECTED * answer.up))
    assert answer.high == pytest.approx(10.0 * 2**answer.up)
    assert answer.low == 10.0, "none was too long"
    assert own.factors(shared, "start").held == 0.0


def test_answers_that_were_always_twice_the_truth_are_moved_down() -> None:
    own, shared = Calibration(), Calibration()
    for _ in range(ENOUGH):
        shared.of("start").add(outcome(-math.log(2), missed=-1))
    answer, median = correct(own.factors(shared, "start"), "start", 0.0, TEN)
    assert median == pytest.approx(10.0 * 2 ** (-CORRECTED * answer.down))
    assert answer.high == 10.0


def test_kinds_are_calibrated_apart() -> None:
    own, shared = Calibration(), Calibration()
    for _ in range(ENOUGH):
        shared.of("start").add(outcome(1.0))
    assert own.factors(shared, "start").held == 1.0
    assert own.factors(shared, "final").held is None
    assert corrected(own, shared, TEN, "final")[1] == 10.0


def test_a_template_of_many_answers_is_calibrated_by_its_own() -> None:
    own, shared = Calibration(), Calibration()
    for _ in range(ENOUGH_OWN):
        own.of("start").add(outcome(0.0))
        shared.of("start").add(outcome(2.0, missed=1))
    assert corrected(own, shared, TEN) == (10.0, 10.0, 10.0)
    assert own.factors(shared, "start").held == 1.0


def test_what_was_scored_since_counts_at_once() -> None:
    own, shared = Calibration(), Calibration()
    for _ in range(ENOUGH):
        shared.of("start").add(outcome(0.0))
    before = corrected(own, shared, TEN)
    for _ in range(2 * ENOUGH):
        shared.of("start").add(outcome(2.0, missed=1))
    assert corrected(own, shared, TEN)[1] > before[1]


def test_no_end_is_farther_away_than_is_of_use() -> None:
    own, shared = Calibration(), Calibration()
    for off in (9.0, -9.0) * ENOUGH:
        shared.of("start").add(outcome(off, unit=1e-3))
    low, median, high = corrected(own, shared, Left(0.0, 10.0, 1e9))
    assert high == pytest.approx(10.0 * math.exp(MAX_REACH))
    assert low == pytest.approx(10.0 * math.exp(-MAX_REACH))
    assert low <= median <= high


def test_ranges_of_log_normal_truths_hold_eight_times_in_ten_whatever_they_were_found_to_be() -> None:
    rng = random.Random(7)
    own, shared, held = Calibration(), Calibration(), 0
    for number in range(1_200):
        answer, _ = correct(own.factors(shared, "start"), "start", 0.0, Left(9.9, 10.0, 10.1))
        truth = 10.0 * rng.lognormvariate(0.0, 0.5)
        held += number >= 200 and answer.low <= truth <= answer.high
        for calibration in (own, shared):
            calibration.of("start").add(Lesson(answers=(pack(answer, truth),)).outcomes()[0])
    assert held / 1_000 == pytest.approx(0.8, abs=0.04)


lengths = st.floats(1e-3, 1e4)


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.floats(1e-3, 3)), max_size=60),
    st.tuples(lengths, lengths, lengths), st.tuples(lengths, lengths, lengths),
)  # fmt: skip
def test_what_is_sooner_as_it_was_found_is_sooner_as_it_is_said(
    offs: list[tuple[float, float]], one: tuple[float, float, float], more: tuple[float, float, float]
) -> None:
    own, shared = Calibration(), Calibration()
    for off, unit in offs:
        shared.of("start").add(outcome(off, unit=unit, missed=1 if off > 0.0 else -1))
    sooner = corrected(own, shared, Left(*sorted(one)))
    later = corrected(own, shared, Left(*sorted(map(sum, zip(sorted(one), sorted(more), strict=True)))))
    for first, last in zip(sooner, later, strict=True):
        assert first <= last * (1 + 1e-9)
