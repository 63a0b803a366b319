"""Frames of tasks and of their stages."""

from __future__ import annotations

import pandas as pd
import pytest

from headway.analysis import history_frame, stages_frame
from headway.errors import UsageError
from headway.models import TaskStatus
from headway.records import StageRecord, TaskHistory
from tests.analysis.records import STAGES, record
from tests.analysis.synthetic import make_records

TEXT = str(pd.Series(dtype="str").dtype)  # "str" since pandas 3, "object" before
DTYPES = {
    "task_id": TEXT,
    "template_id": "category",
    "template_version": "category",
    "category": "category",
    "status": "category",
    "attempt": "int32",
    "device": "category",
    "host": "category",
    "submitted_at": "datetime64[us, UTC]",
    "finished_at": "datetime64[us, UTC]",
    "wait_s": "float64",
    "run_s": "float64",
    "total_s": "float64",
    "peak_rss_bytes": "Int64",
    "peak_gpu_memory_bytes": "Int64",
    "params": "object",
}
STAGE_DTYPES = {
    "task_id": TEXT,
    "template_id": "category",
    "finished_at": "datetime64[us, UTC]",
    "stage": "category",
    "position": "int32",
    "duration_s": "float64",
    "status": "category",
    "share": "float64",
}


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def test_a_task_is_a_row_with_its_times() -> None:
    task = record(
        "a-1",
        total_s=100.25,
        category="image_generation",
        params={"steps": 30, "loras": ["x"]},
        attempt=2,
        status=TaskStatus.FAILED,
        stages=STAGES,
        template_version="7",
        device="NVIDIA H100",
        host="ice",
        peak_rss_bytes=2**40 + 1,
    )
    row = history_frame([task.to_json()]).iloc[0].to_dict()
    assert pd.isna(row.pop("peak_gpu_memory_bytes"))
    assert row == {
        "task_id": "a-1",
        "template_id": "portrait",
        "template_version": "7",
        "category": "image_generation",
        "status": "failed",
        "attempt": 2,
        "device": "NVIDIA H100",
        "host": "ice",
        "submitted_at": pd.Timestamp("2027-01-15T08:00:00Z"),
        "finished_at": pd.Timestamp("2027-01-15T08:01:40.25Z"),
        "wait_s": 10.0,
        "run_s": 90.25,
        "total_s": 100.25,
        "peak_rss_bytes": 2**40 + 1,
        "params": {"steps": 30, "loras": ["x"]},
    }


@pytest.mark.parametrize(
    "records", [[], [record("a-1", device="H100", host="ice", category="x", template_version="1")]]
)
def test_columns_and_dtypes_are_the_documented_ones_even_of_nothing(records: list[TaskHistory]) -> None:
    assert dtypes(history_frame(records)) == DTYPES
    assert dtypes(stages_frame(records)) == STAGE_DTYPES
    assert history_frame(records)["status"].cat.categories.tolist() == list(TaskStatus)


def test_without_a_queue_nobody_knows_the_wait_and_all_of_it_is_the_run() -> None:
    frame = history_frame([record("a-1"), record("b-1", stages=(StageRecord(id="queue"),))])
    assert frame["wait_s"].isna().tolist() == [True, True]
    assert frame["run_s"].tolist() == [100.0, 100.0]


def test_a_wait_that_another_clock_measured_longer_than_the_task_leaves_no_negative_run() -> None:
    frame = history_frame([record("a-1", total_s=9.0, stages=STAGES)])
    assert frame["run_s"].tolist() == [0.0]


def test_a_clock_that_was_set_back_makes_no_negative_total() -> None:
    assert history_frame([record("a-1", total_s=-5.0)])["total_s"].tolist() == [0.0]


def test_rows_are_in_the_order_in_which_tasks_finished() -> None:
    records = [
        record("slow", total_s=50.0),
        record("late", at=90.0, total_s=1.0),
        record("fast", total_s=5.0),
    ]
    assert history_frame(iter(records))["task_id"].tolist() == ["fast", "slow", "late"]
    assert [params["n"] for params in history_frame(with_numbers(records))["params"]] == [2, 0, 1]


def with_numbers(records: list[TaskHistory]) -> list[TaskHistory]:
    return [
        record(
            task.task_id,
            at=task.submitted_at - records[0].submitted_at,
            total_s=task.total_s,
            params={"n": n},
        )
        for n, task in enumerate(records)
    ]


def test_json_and_values_make_the_same_frames() -> None:
    records = make_records(300)
    texts = [task.to_json() for task in records]
    mixed = [
        task if index % 2 else text for index, (task, text) in enumerate(zip(records, texts, strict=True))
    ]
    for make in (history_frame, stages_frame):
        expected = make(texts)
        pd.testing.assert_frame_equal(make(records), expected)
        pd.testing.assert_frame_equal(make(mixed), expected)


def test_a_total_is_that_of_the_record() -> None:
    records = make_records(300)
    frame = history_frame(records).set_index("task_id")
    assert all(abs(frame.loc[task.task_id, "total_s"] - task.total_s) < 1e-6 for task in records)


def test_parameters_that_are_scalars_become_columns() -> None:
    records = [
        record(
            "a-1", params={"steps": 30, "cfg": 7, "hd": True, "prompt": "cat", "seed": "x", "only": {"a": 1}}
        ),
        record("b-1", params={"steps": None, "cfg": 7.5, "seed": 3, "size": [1, 2]}),
        record("c-1", params={"size": 9}),
    ]
    frame = history_frame(records, params="columns")
    assert "params" not in frame
    columns = [name for name in frame if str(name).startswith("param_")]
    assert columns == ["param_cfg", "param_hd", "param_prompt", "param_seed", "param_size", "param_steps"]
    assert [str(frame[name].dtype) for name in columns] == [
        "Float64",
        "boolean",
        "string",
        "object",
        "Int64",
        "Int64",
    ]
    assert frame["param_cfg"].tolist()[:2] == [7.0, 7.5]
    assert frame["param_seed"].tolist()[:2] == ["x", 3]
    assert frame["param_size"].isna().tolist() == [True, True, False], "a list is no scalar"
    assert frame["param_steps"].isna().tolist() == [False, True, True]


def test_parameters_of_no_task_make_no_columns() -> None:
    assert history_frame([], params="columns").columns.tolist() == list(DTYPES)[:-1]
    with pytest.raises(UsageError, match='expected params="dicts"'):
        history_frame([], params="rows")  # type: ignore[arg-type]


def test_a_stage_is_a_row_with_its_share_of_the_task() -> None:
    frame = stages_frame([record("b-1", at=1.0), record("a-1", stages=STAGES, status=TaskStatus.FAILED)])
    assert frame["task_id"].tolist() == ["a-1"] * 3
    assert frame["stage"].tolist() == ["queue", "generation", "post_processing"]
    assert frame["position"].tolist() == [0, 1, 2]
    assert frame["duration_s"].tolist()[:2] == [10.0, 30.0]
    assert frame["share"].tolist()[:2] == [0.1, 0.3]
    assert frame["status"].tolist() == ["completed", "failed", "pending"]
    assert frame.loc[2, ["duration_s", "share"]].isna().all(), "it never began"


def test_stages_follow_their_tasks_through_sorting_and_filters() -> None:
    def stages(*durations: float) -> tuple[StageRecord, ...]:
        return tuple(StageRecord(id=f"s{place}", duration_s=took) for place, took in enumerate(durations))

    records = [
        record("late", at=500.0, stages=stages(7.0, 8.0)),
        record("other", template_id="clip", stages=stages(1.0)),
        record("early", stages=stages(4.0, 5.0, 6.0)),
    ]
    frame = stages_frame(records, template_id="portrait")
    assert frame["duration_s"].tolist() == [4.0, 5.0, 6.0, 7.0, 8.0]
    assert frame["position"].tolist() == [0, 1, 2, 0, 1]
    assert frame["task_id"].tolist() == ["early"] * 3 + ["late"] * 2


def test_a_task_of_no_duration_has_shares_without_nan() -> None:
    frame = stages_frame([record("a-1", total_s=0.0, stages=(StageRecord(id="a", duration_s=0.0),))])
    assert frame["share"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([b"{"], "expected the JSON of a TaskHistory at position 0"),
        ([record("a-1"), b'{"task_id":"x"}'], "position 1"),
        ([b"\xff"], "expected the JSON of a TaskHistory at position 0"),
        ([{"task_id": "x"}], "got dict at position 0"),
        (record("a-1"), "put it into a list"),
        (b"{}", "put it into a list"),
        (None, "expected a list of records, .* got NoneType"),
        (7, "expected a list of records, .* got int"),
        (history_frame([]), "expected a list of records, .* got DataFrame"),
        ([record("a-1").to_json().replace(b"2027-01-15T08", b"yesterday")], "ISO 8601"),
    ],
)
def test_what_is_no_record_is_refused_and_found(records: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        history_frame(records)  # type: ignore[arg-type]


def test_fields_of_a_later_version_are_ignored() -> None:
    data = record("a-1").to_json()[:-1] + b',"new_in_9":{"x":[1]}}'
    assert history_frame([data])["task_id"].tolist() == ["a-1"]
