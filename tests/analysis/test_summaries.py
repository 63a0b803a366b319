"""The figures that say how good predictions were."""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
import pytest

from headway.analysis import (
    accuracy_frame,
    calibration,
    drift,
    history_frame,
    summarize,
    wilson_interval,
)
from headway.errors import UsageError
from headway.records import TaskHistory
from tests.analysis.records import T0, record, told
from tests.analysis.synthetic import make_records

DAY_S = 86_400.0
FIGURES = [
    "tasks",
    "predictions",
    "within_20",
    "within_20_low",
    "within_20_high",
    "median_error",
    "median_left_error",
    "coverage",
    "coverage_low",
    "coverage_high",
    "median_width",
    "pinball",
]


def four_tasks() -> list[TaskHistory]:
    """Tasks of 100 s; of the halves, predicted with 50 s left, one is 60 % of the total too long."""
    begin = told(0.0, 90.0, 110.0, 130.0, share=0.0)
    halves = [
        told(50.0, 40.0, 50.0, 60.0, share=0.5),
        told(50.0, 40.0, 45.0, 49.0, share=0.5),
        told(50.0, 60.0, 110.0, 200.0, share=0.5),
        told(50.0, 45.0, 60.0, 75.0, share=0.5),
    ]
    templates = ["portrait", "portrait", "clip", "clip"]
    return [
        record(f"t-{index}", at=index * DAY_S, template_id=template, predictions=(begin, half), category=None)
        for index, (template, half) in enumerate(zip(templates, halves, strict=True))
    ]


def test_the_figures_are_those_worked_out_by_hand() -> None:
    frame = summarize(accuracy_frame(four_tasks()), by="share")
    assert frame.columns.tolist() == FIGURES
    half = frame.loc[0.5]
    assert (half["tasks"], half["predictions"]) == (4, 4)
    assert half["within_20"] == 0.75
    # Errors of the total: 0, 0.05, 0.6, 0.1; of the time left: 0, 0.1, 1.2, 0.2.
    assert half["median_error"] == pytest.approx(0.075)
    assert half["median_left_error"] == pytest.approx(0.15)
    assert half["coverage"] == 0.5
    # Widths: 0.2, 0.09, 1.4, 0.3.
    assert half["median_width"] == pytest.approx(0.25)
    # Losses in seconds, with 50 s left: 1 + 0 + 1; 1 + 2.5 + 0.9; 9 + 30 + 15; 0.5 + 5 + 2.5.
    assert half["pinball"] == pytest.approx((2.0 + 4.4 + 54.0 + 8.0) / 4 / 100)
    # Wilson's interval of 3 in 4: a published value, 0.301 to 0.954.
    assert (half["within_20_low"], half["within_20_high"]) == pytest.approx((0.3006, 0.9544), abs=1e-4)
    assert (half["coverage_low"], half["coverage_high"]) == pytest.approx((0.1500, 0.8500), abs=1e-4)


def test_without_groups_there_is_one_row_of_all() -> None:
    frame = summarize(accuracy_frame(four_tasks()))
    assert frame.index.tolist() == [0]
    assert frame.loc[0, ["tasks", "predictions", "within_20"]].tolist() == [4, 8, 7 / 8]


def test_the_interval_is_as_wide_as_the_number_of_tasks_makes_it_not_of_predictions() -> None:
    one = summarize(accuracy_frame(four_tasks()))
    low, high = wilson_interval(7 / 8, 4)
    assert one.loc[0, ["within_20_low", "within_20_high"]].tolist() == pytest.approx([low, high])


def test_groups_are_by_any_columns_and_nothing_is_lost() -> None:
    frame = accuracy_frame(four_tasks())
    both = summarize(frame, by=["template_id", "share"])
    assert both.index.names == ["template_id", "share"]
    assert both["predictions"].tolist() == [2, 2, 2, 2]
    assert both.loc[("clip", 0.5), "within_20"] == 0.5
    assert summarize(frame, by="category")["predictions"].tolist() == [8], "missing is a group"


def test_shares_leave_out_what_was_kept_for_stages_and_stages_the_others() -> None:
    predictions = (told(0.0, 1.0, 100.0, 200.0, share=0.0), told(9.0, 1.0, 2.0, 3.0, stage="generation"))
    frame = accuracy_frame([record("a-1", predictions=predictions)])
    assert summarize(frame, by="share").index.tolist() == [0.0]
    assert summarize(frame, by="stage").index.tolist() == ["generation"]
    assert summarize(frame, by=["template_id", "share"])["predictions"].tolist() == [1]


def test_of_nothing_there_are_no_figures() -> None:
    empty = accuracy_frame([])
    frame = summarize(empty)
    assert frame.loc[0, ["tasks", "predictions"]].tolist() == [0, 0]
    assert frame.drop(columns=["tasks", "predictions"]).isna().all(axis=None)
    assert frame.dtypes.astype(str).tolist() == ["int64"] * 2 + ["float64"] * 10
    for by in ("template_id", ["template_id", "share"]):
        grouped = summarize(empty, by=by)
        assert len(grouped) == 0
        assert grouped.columns.tolist() == FIGURES
    assert len(drift(empty)) == len(drift(empty, 10)) == 0


def test_one_prediction_of_one_task_has_figures_without_nan() -> None:
    frame = summarize(
        accuracy_frame([record("a-1", predictions=(told(0.0, 90.0, 100.0, 110.0, share=0.0),))])
    )
    assert np.isfinite(frame.to_numpy(float)).all()
    assert frame.loc[0, "within_20_low"] == pytest.approx(0.2065, abs=1e-4), "one of one says little"
    assert frame.loc[0, "within_20_high"] == 1.0


def test_a_task_of_no_duration_carries_no_mean_away() -> None:
    tasks = [*four_tasks(), record("zero", total_s=0.0, predictions=(told(0.0, 1.0, 2.0, 3.0, share=0.0),))]
    frame = summarize(accuracy_frame(tasks), by="share")
    begins = 4 * (1.0 + 5.0 + 3.0) / 100  # 100 s left, 90, 110 and 130 said
    assert frame.loc[0.0, "pinball"] == pytest.approx((begins + 10.0) / 5)
    assert frame["median_error"].notna().all()


@pytest.mark.parametrize(
    ("share", "trials", "low", "high"),
    # 0 and 10 of 10, 81 of 263: R. G. Newcombe, Statistics in Medicine 17, 1998, table I, method 3.
    [(0.0, 10, 0.0, 0.2775), (1.0, 10, 0.7225, 1.0), (81 / 263, 263, 0.2553, 0.3662)],
)
def test_the_interval_is_wilsons(share: float, trials: int, low: float, high: float) -> None:
    assert wilson_interval(share, trials) == pytest.approx((low, high), abs=1e-4)
    assert math.isnan(wilson_interval(math.nan, 0)[0])


def test_drift_goes_by_days() -> None:
    frame = drift(accuracy_frame(four_tasks()), "2D")
    assert frame.index.name == "began_at"
    assert str(frame.index.dtype) == "datetime64[us, UTC]"
    assert frame["tasks"].sum() == 4
    days = drift(accuracy_frame(four_tasks()))
    assert days.index.tolist() == [
        pd.Timestamp(T0 + index * DAY_S, unit="s", tz="UTC").floor("D") for index in range(4)
    ]
    assert days["within_20"].tolist() == [1.0, 1.0, 0.5, 1.0]


def test_drift_goes_by_numbers_of_tasks() -> None:
    frame = drift(accuracy_frame(four_tasks()), 3)
    assert frame["tasks"].tolist() == [3, 1]
    assert frame["predictions"].tolist() == [6, 2]
    assert frame.index[0] == pd.Timestamp(T0 + 100, unit="s", tz="UTC")
    assert frame.index[1] == pd.Timestamp(T0 + 3 * DAY_S + 100, unit="s", tz="UTC")


@pytest.mark.parametrize("window", ["often", "0D", "-1D", "1ME", "", 0, -1, True, None, 1.5])
def test_what_is_no_window_is_refused(window: object) -> None:
    with pytest.raises(UsageError, match="expected a window"):
        drift(accuracy_frame(four_tasks()), window)  # type: ignore[arg-type]


def test_frames_of_other_columns_are_refused() -> None:
    with pytest.raises(UsageError, match="with the columns colour"):
        summarize(accuracy_frame(four_tasks()), by="colour")
    for figures in (summarize, drift, calibration):
        with pytest.raises(UsageError, match=r"expected what accuracy_frame gives, with the columns .*low_s"):
            figures(history_frame(four_tasks()))
        with pytest.raises(UsageError, match="expected what accuracy_frame gives, got list"):
            figures(four_tasks())  # type: ignore[arg-type]


@pytest.mark.parametrize("by", [3, ["share", 3], accuracy_frame([])["device"], {"share": 1}])
def test_what_is_no_name_of_a_column_is_refused(by: object) -> None:
    with pytest.raises(UsageError, match="expected by= as the name of a column or a list of names"):
        summarize(accuracy_frame(four_tasks()), by=by)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["task", "within_20", "coverage", "tasks"])
def test_a_column_of_ones_own_groups_by_its_own_values(name: str) -> None:
    frame = accuracy_frame(four_tasks())
    figures = summarize(frame.assign(**{name: frame["task_id"] == frame["task_id"].iloc[0]}), by=name)
    assert figures.index.tolist() == [False, True]
    assert figures["predictions"].tolist() == [6, 2]


def test_each_attempt_of_a_task_is_a_run_of_its_own() -> None:
    attempts = [
        record(
            "same", attempt=1 + index, at=DAY_S * index, predictions=(told(0.0, 9.0, 90.0, 99.0, share=0.0),)
        )
        for index in range(4)
    ]
    frame = accuracy_frame(attempts)
    assert summarize(frame)["tasks"].tolist() == [4]
    assert calibration(frame, [0.8])["tasks"].tolist() == [4]
    assert drift(frame, 3)["tasks"].tolist() == [3, 1]


def test_a_frame_that_pandas_wrote_to_csv_and_read_again_has_the_same_figures() -> None:
    frame = accuracy_frame(four_tasks())
    read = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    pd.testing.assert_frame_equal(summarize(read, by="share"), summarize(frame, by="share"))
    for window in ("1D", 3):
        pd.testing.assert_frame_equal(drift(read, window), drift(frame, window))
    with pytest.raises(UsageError, match="expected times in the column finished_at"):
        drift(frame.assign(finished_at="yesterday"))


def test_groups_add_up_to_all() -> None:
    frame = accuracy_frame(make_records(500))
    whole, parts = summarize(frame).loc[0], summarize(frame, by=["template_id", "device", "host"])
    assert parts["predictions"].sum() == whole["predictions"] == len(frame)
    for name in ("within_20", "coverage", "pinball"):
        assert np.average(parts[name], weights=parts["predictions"]) == pytest.approx(whole[name])
