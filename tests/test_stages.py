"""Which stages a task has, and what they weigh."""

from __future__ import annotations

import math

import pytest

from headway.errors import InvalidStagesError
from headway.models import Stage, StageProgress, StageStatus
from headway.stages import STAGE_DEFINITIONS, StageManager, overall_progress, parse_stages


def weights(stages: tuple[Stage, ...]) -> dict[str, float]:
    return {stage.id: stage.weight for stage in stages}


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        (
            "image_generation",
            {"queue": 0.05, "model_loading": 0.15, "generation": 0.70, "post_processing": 0.10},
        ),
        (
            "video_generation",
            {"queue": 0.02, "model_loading": 0.08, "frame_generation": 0.80, "video_encoding": 0.10},
        ),
        (
            "audio_generation",
            {"queue": 0.05, "text_processing": 0.10, "synthesis": 0.75, "normalization": 0.10},
        ),
        ("text_generation", {"queue": 0.05, "preparation": 0.15, "execution": 0.70, "finalization": 0.10}),
        (None, {"queue": 0.05, "preparation": 0.15, "execution": 0.70, "finalization": 0.10}),
    ],
)
def test_each_category_has_its_stages(category: str | None, expected: dict[str, float]) -> None:
    assert weights(StageManager().get_stages_for_template("any", category)) == expected
    assert math.isclose(sum(expected.values()), 1.0)


def test_stage_names_are_written_for_people() -> None:
    names = [stage.name for stage in STAGE_DEFINITIONS["image_generation"]]
    assert names == ["Queue", "Model loading", "Generation", "Post-processing"]


def test_a_template_can_have_weights_of_its_own() -> None:
    manager = StageManager()
    manager.set_weights("sdxl", {"model_loading": 0.5})
    found = weights(manager.get_stages_for_template("sdxl", "image_generation"))
    assert found == {"queue": 0.05, "model_loading": 0.5, "generation": 0.70, "post_processing": 0.10}
    assert weights(manager.get_stages_for_template("other", "image_generation"))["model_loading"] == 0.15


def test_a_template_can_have_stages_of_its_own() -> None:
    manager = StageManager()
    manager.set_stages("upscale", {"load": 1, "tiles": 8, "blend": 1})
    assert weights(manager.get_stages_for_template("upscale")) == {"load": 1, "tiles": 8, "blend": 1}


def test_a_weight_for_a_stage_that_is_not_there_is_refused() -> None:
    manager = StageManager()
    manager.set_weights("sdxl", {"denoising": 0.5})
    with pytest.raises(InvalidStagesError, match="got denoising"):
        manager.get_stages_for_template("sdxl", "image_generation")


@pytest.mark.parametrize("weight", [0, -1, math.nan, math.inf, "1"])
def test_a_weight_that_is_not_above_zero_is_refused(weight: float) -> None:
    with pytest.raises(InvalidStagesError, match="expected a weight above 0"):
        StageManager().set_weights("sdxl", {"generation": weight})
    with pytest.raises(InvalidStagesError):
        parse_stages({"a": weight})


@pytest.mark.parametrize(
    "stages", [{}, {1: 2}, [], [Stage(id="a", name="A", weight=1), Stage(id="a", name="B", weight=1)], ["a"]]
)
def test_no_stages_or_two_alike_are_refused(stages: object) -> None:
    with pytest.raises(InvalidStagesError):
        parse_stages(stages)  # type: ignore[arg-type]


def test_overall_progress_is_the_mean_by_weight_without_skipped_stages() -> None:
    stages = [
        StageProgress(id="a", name="A", weight=1.0, status=StageStatus.SKIPPED),
        StageProgress(id="b", name="B", weight=1.0, status=StageStatus.COMPLETED, progress=1.0),
        StageProgress(id="c", name="C", weight=3.0, status=StageStatus.IN_PROGRESS, progress=0.5),
    ]
    assert overall_progress(stages) == 100 * (1 + 1.5) / 4
    assert overall_progress(stages[:1]) == 0.0
