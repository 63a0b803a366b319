"""History and pace, put together."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.eta.blend import REACH, Prior, blend, limit_of

logs = st.floats(-10, 25)
sigmas = st.floats(0.01, 5)
odds = st.floats(0.005, 0.5)


def test_history_and_pace_that_agree_are_weighed_by_their_precision() -> None:
    history, log_s, most = Prior(math.log(100.0), 0.1, 0.005), math.log(100.0), limit_of(0.005)
    both = blend(history, log_s, 0.1, most)
    assert both.log_s == pytest.approx(log_s)
    assert both.pace_share == pytest.approx(0.5, abs=0.001)
    assert both.high - log_s == pytest.approx(REACH * 0.1 / math.sqrt(2))
    assert log_s - both.low == pytest.approx(REACH * 0.1 / math.sqrt(2))
    assert blend(history, log_s + 0.01, 0.01, most).pace_share > 0.95
    assert blend(history, log_s + 0.01, 1.0, most).pace_share < 0.05


def test_where_they_disagree_the_one_that_is_seldom_wrong_wins() -> None:
    past, log_s = math.log(100.0), math.log(300.0)
    seldom, often = limit_of(0.005), limit_of(0.5)
    assert blend(Prior(past, 0.1, 0.5), log_s, 0.1, seldom).log_s == pytest.approx(log_s, abs=0.1)
    assert blend(Prior(past, 0.1, 0.005), log_s, 0.2, often).log_s == pytest.approx(past, abs=0.1)


def test_a_precise_pace_far_off_is_believed_and_an_outlier_of_a_vague_one_is_not() -> None:
    history, most = Prior(math.log(10.0), 0.05, 0.01), limit_of(0.05)
    assert blend(history, math.log(100.0), 0.1, most).pace_share > 0.9
    assert blend(history, math.log(20.0), 0.5, most).pace_share < 0.1


def test_where_they_disagree_the_range_reaches_toward_both() -> None:
    slower = blend(Prior(math.log(100.0), 0.1, 0.005), math.log(150.0), 0.3, limit_of(0.5))
    faster = blend(Prior(math.log(150.0), 0.1, 0.005), math.log(100.0), 0.3, limit_of(0.5))
    assert slower.high - slower.log_s > 1.05 * (slower.log_s - slower.low)
    assert faster.log_s - faster.low == pytest.approx(slower.high - slower.log_s)


@pytest.mark.parametrize(("share", "sigmas_off"), [(0.01, 1.945), (0.05, 1.399), (0.1, 1.140), (0.5, 0.436)])
def test_the_limit_is_that_of_the_least_favourable_distribution(share: float, sigmas_off: float) -> None:
    """Huber (1981), Robust Statistics, exhibit 4.3."""
    assert limit_of(share) == pytest.approx(sigmas_off, abs=1e-3)


def test_odds_beyond_reason_have_a_limit_too() -> None:
    assert limit_of(0.0) == limit_of(0.005)
    assert limit_of(1.0) == limit_of(0.5)


@given(logs, sigmas, odds, logs, sigmas, odds)
def test_the_blend_lies_between_the_two(
    past: float, past_sigma: float, past_odds: float, pace: float, sigma: float, pace_odds: float
) -> None:
    both = blend(Prior(past, past_sigma, past_odds), pace, sigma, limit_of(pace_odds))
    assert min(past, pace) - 1e-6 <= both.log_s <= max(past, pace) + 1e-6
    assert 0.0 <= both.pace_share <= 1.0 + 1e-9
    assert -math.inf < both.low < both.log_s < both.high < math.inf


@given(logs, sigmas, odds, st.tuples(logs, logs).map(sorted), sigmas, odds)
def test_a_faster_pace_never_means_a_later_end(
    past: float, past_sigma: float, past_odds: float, paces: list[float], sigma: float, pace_odds: float
) -> None:
    faster, slower = (
        blend(Prior(past, past_sigma, past_odds), pace, sigma, limit_of(pace_odds)) for pace in paces
    )
    for sooner, later in zip(faster[:3], slower[:3], strict=True):
        assert sooner <= later + 1e-9
