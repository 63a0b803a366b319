"""Records whose figures can be worked out by hand."""

from __future__ import annotations

from typing import Any

from headway.models import StageStatus
from headway.records import Prediction, StageRecord, TaskHistory
from headway.timestamps import Timestamp

T0 = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC


def told(
    elapsed_s: float,
    low_s: float,
    median_s: float,
    high_s: float,
    *,
    share: float | None = None,
    stage: str | None = None,
    basis: str = "history",
) -> Prediction:
    return Prediction(
        elapsed_s=elapsed_s,
        low_s=low_s,
        median_s=median_s,
        high_s=high_s,
        basis=basis,
        share=share,
        stage=stage,
    )


def record(task_id: str, *, at: float = 0.0, total_s: float = 100.0, **fields: Any) -> TaskHistory:
    """Make a record submitted `at` seconds after `T0`; the template is ``portrait`` unless said otherwise."""
    return TaskHistory(
        **{
            "task_id": task_id,
            "template_id": "portrait",
            "submitted_at": Timestamp(T0 + at),
            "finished_at": Timestamp(T0 + at + total_s),
            **fields,
        }
    )


#: 100 s: 10 s in the queue, a stage that failed once it had taken 30 s and one that never began.
STAGES = (
    StageRecord(id="queue", duration_s=10.0),
    StageRecord(id="generation", duration_s=30.0, status=StageStatus.FAILED),
    StageRecord(id="post_processing", status=StageStatus.PENDING),
)
