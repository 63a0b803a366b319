"""How much longer something takes that outlived all of its kind."""

from __future__ import annotations

import math

import pytest

from headway.eta.survival import MAX_Z, MIN_SIGMA, RESIDUAL, Left, residual_life


def scale(left: Left) -> float:
    """Return the scale that a residual life has, the same by each of its quantiles."""
    scales = [value / share for value, share in zip(left, RESIDUAL, strict=True)]
    assert scales == pytest.approx([scales[0]] * 3)
    return scales[0]


def test_at_the_median_it_is_the_spread_of_what_has_passed() -> None:
    assert scale(residual_life(100.0, math.log(100.0), 0.5)) == pytest.approx(50.0)


def test_one_sigma_beyond_it_is_half_of_that() -> None:
    assert scale(residual_life(math.e, 0.0, 1.0)) == pytest.approx(math.e / 2)


def test_before_the_median_it_is_as_at_the_median() -> None:
    assert scale(residual_life(1.0, math.log(1_000.0), 0.5)) == pytest.approx(0.5)


def test_runs_that_all_took_the_same_do_not_make_it_sure() -> None:
    assert scale(residual_life(10.0, math.log(10.0), 0.0)) == pytest.approx(10 * MIN_SIGMA)


def test_it_never_ends_and_in_the_long_run_it_grows() -> None:
    scales = [scale(residual_life(10.0**n, 0.0, 0.3)) for n in range(1, 9)]
    assert scales == sorted(scales)
    assert scales[-1] == pytest.approx(10.0**8 * 0.3 / (MAX_Z + 1))


def test_what_follows_is_added_to_all_three() -> None:
    assert Left(1.0, 2.0, 4.0).plus(10.0) == (11.0, 12.0, 14.0)
