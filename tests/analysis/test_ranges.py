"""Whether ranges promise what they keep."""

from __future__ import annotations

import math

import numpy as np
import pytest

from headway.analysis import accuracy_frame, calibration, summarize
from headway.errors import UsageError
from headway.records import TaskHistory
from tests.analysis.records import record, told
from tests.analysis.synthetic import make_records


def one(left_s: float, low_s: float, median_s: float, high_s: float) -> TaskHistory:
    return record("a-1", total_s=left_s, predictions=(told(0.0, low_s, median_s, high_s, share=0.0),))


def inside(task: TaskHistory, level: float) -> bool:
    return bool(calibration(accuracy_frame([task]), [level])["measured"].iloc[0])


def test_the_level_that_was_told_is_the_coverage() -> None:
    frame = accuracy_frame(make_records(800))
    row = calibration(frame, [0.8]).iloc[0]
    figures = summarize(frame).loc[0]
    assert row["measured"] == figures["coverage"]
    assert (row["low"], row["high"]) == (figures["coverage_low"], figures["coverage_high"])
    assert (row["tasks"], row["predictions"]) == (figures["tasks"], figures["predictions"])


def test_other_levels_are_read_off_a_log_normal_distribution() -> None:
    # The 75 % quantile, end of the range of 50 %, is 100 * (200 / 100) ** (0.6745 / 1.2816) = 144.0 s;
    # the 25 % quantile, on the narrower side, 100 * (80 / 100) ** 0.5263 = 88.9 s.
    assert inside(one(143.9, 80.0, 100.0, 200.0), 0.5)
    assert not inside(one(144.1, 80.0, 100.0, 200.0), 0.5)
    assert inside(one(89.0, 80.0, 100.0, 200.0), 0.5)
    assert not inside(one(88.8, 80.0, 100.0, 200.0), 0.5)
    # The 97.5 % quantile: 100 * 2 ** (1.95996 / 1.28155) = 288.7 s.
    assert inside(one(288.6, 80.0, 100.0, 200.0), 0.95)
    assert not inside(one(288.8, 80.0, 100.0, 200.0), 0.95)


def test_calibrated_predictions_lie_on_the_diagonal() -> None:
    random, spread = np.random.default_rng(3), 0.4
    lefts = 60.0 * np.exp(random.normal(0.0, spread, 4_000))
    reach = math.exp(1.281552 * spread)
    frame = accuracy_frame([one(left, 60.0 / reach, 60.0, 60.0 * reach) for left in lefts])
    frame["task_id"] = [str(index) for index in range(len(frame))]
    curve = calibration(frame)
    assert curve["nominal"].tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert np.abs(curve["measured"] - curve["nominal"]).max() < 0.025
    assert ((curve["low"] < curve["measured"]) & (curve["measured"] < curve["high"])).all()


@pytest.mark.parametrize(
    ("left_s", "expected"), [(50.0, [True, True]), (50.1, [False, False]), (49.9, [False, False])]
)
def test_a_range_without_width_holds_at_every_level_or_at_none(left_s: float, expected: list[bool]) -> None:
    task = one(left_s, 50.0, 50.0, 50.0)
    assert [inside(task, 0.01), inside(task, 0.99)] == expected


def test_a_range_that_begins_at_nothing_has_figures_without_nan() -> None:
    frame = accuracy_frame([one(0.0, 0.0, 0.0, 0.0), one(5.0, 0.0, 0.0, 10.0), one(5.0, 0.0, 10.0, 10.0)])
    assert calibration(frame, [0.8])["measured"].tolist() == [1.0]


def test_of_nothing_nothing_was_measured() -> None:
    curve = calibration(accuracy_frame([]), [0.5, 0.8])
    assert curve["nominal"].tolist() == [0.5, 0.8]
    assert curve[["measured", "low", "high"]].isna().all(axis=None)
    assert curve["predictions"].tolist() == [0, 0]
    assert calibration(accuracy_frame([]), []).columns.tolist() == curve.columns.tolist()


@pytest.mark.parametrize(
    "levels", [[0.0], [1.0], [0.5, 80], [float("nan")], 0.5, "half", ["half"], [0.5, None], None]
)
def test_what_is_no_level_is_refused(levels: object) -> None:
    with pytest.raises(UsageError, match="expected a list of levels between 0 and 1"):
        calibration(accuracy_frame([]), levels)  # type: ignore[arg-type]
