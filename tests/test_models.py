"""The values and their JSON."""

from __future__ import annotations

from headway.models import StageProgress, StageStatus, decode_summary
from headway.stages import STAGE_DEFINITIONS
from headway.timestamps import Timestamp
from headway.transitions import create

NOW = Timestamp(1_795_363_200.25)


def test_a_stage_knows_how_long_it_has_been_running() -> None:
    stage = StageProgress(id="a", name="A", weight=1.0)
    assert stage.elapsed(NOW) is None
    running = StageProgress(
        id="a", name="A", weight=1.0, status=StageStatus.IN_PROGRESS, started_at=Timestamp(NOW - 2)
    )
    assert running.elapsed(NOW) == 2.0
    assert running.elapsed(NOW - 5) == 0.0, "a clock that was set back"
    over = StageProgress(id="a", name="A", weight=1.0, started_at=NOW, duration=1.5)
    assert over.elapsed(NOW + 60) == 1.5


def test_a_summary_is_read_from_a_tasks_json() -> None:
    task = create("a-1", "sdxl", STAGE_DEFINITIONS["image_generation"], now=NOW, name="Cat")
    summary = decode_summary(task.to_json())
    assert (summary.task_id, summary.name, summary.status, summary.created_at) == (
        "a-1",
        "Cat",
        "queued",
        NOW,
    )


def test_fields_of_a_later_version_are_ignored() -> None:
    task = create("a-1", "sdxl", STAGE_DEFINITIONS["default"], now=NOW)
    data = task.to_json()[:-1] + b',"new_in_9":{"x":1}}'
    assert type(task).from_json(data) == task
