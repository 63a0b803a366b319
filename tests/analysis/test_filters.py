"""Which tasks a frame is made of."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from headway.analysis import accuracy_frame, history_frame, stages_frame
from headway.errors import UsageError
from headway.models import TaskStatus
from headway.records import StageRecord
from tests.analysis.records import T0, record, told

PARTS = {
    "stages": (StageRecord(id="generation", duration_s=1.0),),
    "predictions": (told(0.0, 1.0, 2.0, 3.0, share=0.0),),
}
RECORDS = [
    record("a", category="image_generation", device="H100", **PARTS),
    record("b", at=100.0, template_id="clip", category="video_generation", device="L4", **PARTS),
    record("c", at=200.0, template_id="voice", status=TaskStatus.FAILED, device="H100", **PARTS),
]  # finished 100, 200 and 300 s after T0


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "abc"),
        ({"template_id": "clip"}, "b"),
        ({"template_id": ["clip", "voice", "unknown"]}, "bc"),
        ({"template_id": set()}, ""),
        ({"category": "image_generation"}, "a"),
        ({"category": ("image_generation", "video_generation")}, "ab"),
        ({"device": "H100"}, "ac"),
        ({"device": {"L4", "A100"}}, "b"),
        ({"status": "failed"}, "c"),
        ({"status": TaskStatus.COMPLETED}, "ab"),
        ({"status": ["failed", TaskStatus.CANCELLED]}, "c"),
        ({"device": "H100", "status": "completed"}, "a"),
        ({"since": T0 + 200}, "bc"),
        ({"until": T0 + 200}, "a"),
        ({"since": T0 + 200, "until": T0 + 200}, ""),
        ({"since": T0 + 100.000001, "until": T0 + 300.000001}, "bc"),
    ],
)
def test_each_filter_leaves_its_tasks(filters: dict[str, object], expected: str) -> None:
    history = history_frame(RECORDS, **filters)  # type: ignore[arg-type]
    assert "".join(history["task_id"]) == expected
    stages = stages_frame(RECORDS, **filters)  # type: ignore[arg-type]
    assert "".join(stages["task_id"]) == expected
    accuracy = accuracy_frame(RECORDS, **{"status": None, **filters})  # type: ignore[arg-type]
    assert "".join(accuracy["task_id"]) == expected


@pytest.mark.parametrize(
    "since",
    [
        "2027-01-15T08:03:20Z",
        "2027-01-15T08:03:20",
        "2027-01-15T09:03:20+01:00",
        datetime(2027, 1, 15, 8, 3, 20, tzinfo=UTC),
        datetime(2027, 1, 15, 8, 3, 20),
        datetime(2027, 1, 15, 3, 3, 20, tzinfo=timezone(timedelta(hours=-5))),
        pd.Timestamp("2027-01-15T08:03:20"),
        pd.Timestamp("2027-01-15T08:03:20", tz="UTC"),
        T0 + 200,
        int(T0) + 200,
        np.float64(T0 + 200),
        np.int64(T0 + 200),
    ],
)
def test_a_moment_is_read_from_all_that_people_have(since: object) -> None:
    assert "".join(history_frame(RECORDS, since=since)["task_id"]) == "bc"  # type: ignore[arg-type]


def test_a_date_is_its_midnight() -> None:
    assert len(history_frame(RECORDS, since="2027-01-15", until="2027-01-16")) == 3
    assert len(history_frame(RECORDS, until="2027-01-15")) == 0


@pytest.mark.parametrize(
    "moment",
    ["yesterday", "", True, float("nan"), float("inf"), 1e18, pd.NaT, b"2027", date(2027, 1, 1), [1]],
)
@pytest.mark.parametrize("name", ["since", "until"])
def test_anything_else_is_no_moment(name: str, moment: object) -> None:
    with pytest.raises(UsageError, match=f"expected {name}= as a datetime"):
        history_frame(RECORDS, **{name: moment})  # type: ignore[arg-type]


def test_an_end_before_its_beginning_is_refused() -> None:
    with pytest.raises(UsageError, match="expected since= before until="):
        history_frame(RECORDS, since=T0 + 1, until=T0)


@pytest.mark.parametrize("names", [7, b"clip", ["clip", 7], [None], object()])
@pytest.mark.parametrize("name", ["template_id", "category", "device", "status"])
def test_what_is_no_name_is_refused(name: str, names: object) -> None:
    for frame in (history_frame, stages_frame, accuracy_frame):
        with pytest.raises(UsageError, match=f"expected {name}= as a text or a collection of texts"):
            frame(RECORDS, **{name: names})  # type: ignore[operator]


def test_an_unknown_status_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"expected a status of queued, .*, lost, got 'done'"):
        history_frame(RECORDS, status=["failed", "done"])
