"""The frame of predictions."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from headway.analysis import accuracy_frame
from headway.models import TaskStatus
from headway.records import ASKED_AT, TaskHistory
from tests.analysis.records import record, told
from tests.analysis.synthetic import make_records

TEXT = str(pd.Series(dtype="str").dtype)  # "str" since pandas 3, "object" before
DTYPES = {
    "task_id": TEXT,
    "template_id": "category",
    "category": "category",
    "device": "category",
    "host": "category",
    "status": "category",
    "submitted_at": "datetime64[us, UTC]",
    "finished_at": "datetime64[us, UTC]",
    "share": "float64",
    "stage": "category",
    "elapsed_s": "float64",
    "low_s": "float64",
    "median_s": "float64",
    "high_s": "float64",
    "left_s": "float64",
    "total_s": "float64",
    "error": "float64",
    "is_within_20": "bool",
    "is_covered": "bool",
    "width": "float64",
    "basis": "category",
    "completions": "int32",
}


@pytest.mark.parametrize(
    "records",
    [[], [record("a-1")], [record("a-1", device="x", host="y", predictions=(told(1.0, 1.0, 1.0, 1.0),))]],
)
def test_columns_and_dtypes_are_the_documented_ones_even_of_nothing(records: list[TaskHistory]) -> None:
    frame = accuracy_frame(records)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES
    assert len(frame) == sum(len(task.predictions) for task in records)


def test_a_prediction_is_a_row_beside_what_came_true() -> None:
    predictions = (
        told(0.0, 60.0, 125.0, 150.0, share=0.0, basis="3 earlier runs"),
        told(20.0, 90.0, 100.0, 120.0, stage="generation"),
        told(50.0, 40.0, 50.0, 60.0, share=0.5, basis="pace"),
    )
    frame = accuracy_frame([record("a-1", predictions=predictions).to_json()])
    assert frame["share"].tolist()[::2] == [0.0, 0.5]
    assert math.isnan(frame["share"][1])
    assert frame["stage"].isna().tolist() == [True, False, True]
    assert frame["stage"][1] == "generation"
    assert frame["left_s"].tolist() == [100.0, 80.0, 50.0]
    assert frame["total_s"].tolist() == [100.0] * 3
    assert frame["error"].tolist() == pytest.approx([0.25, 0.20, 0.0])
    assert frame["is_within_20"].tolist() == [False, True, True]
    assert frame["is_covered"].tolist() == [True, False, True]
    assert frame["width"].tolist() == pytest.approx([0.9, 0.3, 0.2])
    assert frame["basis"].tolist() == ["3 earlier runs", "history", "pace"]
    assert frame["status"].tolist() == ["completed"] * 3


@pytest.mark.parametrize("left_s", [100.0, 60.0, 150.0])
def test_the_ends_of_a_range_belong_to_it(left_s: float) -> None:
    frame = accuracy_frame([record("a-1", total_s=left_s, predictions=(told(0.0, 60.0, 99.0, 150.0),))])
    assert frame["is_covered"].tolist() == [True]


def test_only_completed_tasks_count_unless_others_are_asked_for() -> None:
    one = (told(0.0, 1.0, 2.0, 3.0, share=0.0),)
    records = [
        record(str(status), status=status, predictions=one)
        for status in (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)
    ]
    assert accuracy_frame(records)["task_id"].tolist() == ["completed"]
    assert len(accuracy_frame(records, status=None)) == 3
    assert accuracy_frame(records, status="cancelled")["task_id"].tolist() == ["cancelled"]


def test_a_task_of_no_duration_has_figures_without_nan() -> None:
    predictions = (told(0.0, 0.0, 0.0, 0.0, share=0.0), told(0.0, 1.0, 2.0, 3.0, share=0.1))
    frame = accuracy_frame([record("a-1", total_s=0.0, predictions=predictions)])
    assert frame["error"].tolist() == [0.0, math.inf]
    assert frame["width"].tolist() == [0.0, math.inf]
    assert frame["is_within_20"].tolist() == [True, False]
    assert frame["is_covered"].tolist() == [True, False]


def test_a_prediction_made_after_the_end_by_another_clock_had_nothing_left() -> None:
    frame = accuracy_frame([record("a-1", predictions=(told(101.0, 0.0, 1.0, 2.0, share=0.9),))])
    assert frame["left_s"].tolist() == [0.0]
    assert frame["is_covered"].tolist() == [True]
    assert frame["error"].tolist() == pytest.approx([0.02])


def test_tasks_without_predictions_have_no_rows_and_those_of_others_stay_theirs() -> None:
    records = [
        record("late", at=50.0, predictions=(told(1.0, 0.0, 10.0, 20.0), told(2.0, 0.0, 11.0, 20.0))),
        record("none", at=20.0),
        record("early", predictions=(told(3.0, 0.0, 12.0, 20.0),)),
    ]
    frame = accuracy_frame(records)
    assert frame["task_id"].tolist() == ["early", "late", "late"]
    assert frame["median_s"].tolist() == [12.0, 10.0, 11.0]
    assert frame["elapsed_s"].tolist() == [3.0, 1.0, 2.0]


def test_completions_count_what_was_known_of_the_template_when_the_task_was_submitted() -> None:
    one = (told(0.0, 1.0, 2.0, 3.0, share=0.0),)
    records = [
        record("first", at=0.0, predictions=one),
        record("while-it-runs", at=50.0, predictions=one),
        record("as-it-ends", at=100.0, predictions=one),  # in the same microsecond: not before
        record("just-after", at=100.000001, predictions=one),
        record("failed", at=0.0, status=TaskStatus.FAILED, predictions=one),
        record("other", at=300.0, template_id="a-clip", predictions=one),
        record("last", at=1000.0, predictions=()),
        record("very-last", at=2000.0, predictions=one),
    ]
    frame = accuracy_frame(records, status=None).set_index("task_id")
    assert frame["completions"].to_dict() == {
        "first": 0,
        "while-it-runs": 0,
        "as-it-ends": 0,
        "just-after": 1,
        "failed": 0,
        "other": 0,
        "very-last": 5,
    }
    filtered = accuracy_frame(records, since=records[-1].submitted_at)
    assert filtered["completions"].tolist() == [5], "a filter takes rows away and changes none"


def test_completions_are_those_that_counting_one_by_one_finds() -> None:
    records = make_records(200)
    frame = accuracy_frame(records).drop_duplicates("task_id").set_index("task_id")
    for task in records:
        if task.task_id in frame.index:
            expected = sum(
                other.template_id == task.template_id
                and other.status == "completed"
                and other.finished_at < task.submitted_at
                for other in records
            )
            assert frame.loc[task.task_id, "completions"] == expected


def test_json_and_values_make_the_same_frame_without_nan() -> None:
    records = make_records(2_300)  # more than one chunk
    frame = accuracy_frame([task.to_json() for task in records])
    pd.testing.assert_frame_equal(accuracy_frame(records), frame)
    numbers = frame.drop(columns="share").select_dtypes("number")
    assert np.isfinite(numbers.to_numpy()).all()
    assert set(frame["share"].dropna()) == set(ASKED_AT)
    assert (frame["share"].isna() == frame["stage"].notna()).all()


def test_a_frame_of_many_rows_is_small() -> None:
    frame = accuracy_frame(make_records(1_000))
    assert frame.memory_usage().sum() / len(frame) < 160, "bytes a row"
