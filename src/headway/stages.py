"""What stages a task has, what they weigh, and how far the task is as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from headway.errors import InvalidStagesError
from headway.models import Stage, StageProgress, StageStatus

# The stages of a task that names neither a category nor stages of its own.
DEFAULT_CATEGORY = "default"
# More would not be told apart in a bar.
MAX_STAGES = 64


def _stages(**weights: float) -> tuple[Stage, ...]:
    return tuple(Stage(id=id, name=readable_name(id), weight=weight) for id, weight in weights.items())


def readable_name(stage_id: str) -> str:
    """Turn ``"model_loading"`` into ``"Model loading"``."""
    words = stage_id.replace("_", " ").strip()
    return _READABLE.get(stage_id) or words[:1].upper() + words[1:]


_READABLE = {"post_processing": "Post-processing"}

#: The stages of each category, with the share of the time that they usually take.
STAGE_DEFINITIONS: Mapping[str, tuple[Stage, ...]] = {
    "image_generation": _stages(queue=0.05, model_loading=0.15, generation=0.70, post_processing=0.10),
    "video_generation": _stages(queue=0.02, model_loading=0.08, frame_generation=0.80, video_encoding=0.10),
    "audio_generation": _stages(queue=0.05, text_processing=0.10, synthesis=0.75, normalization=0.10),
    DEFAULT_CATEGORY: _stages(queue=0.05, preparation=0.15, execution=0.70, finalization=0.10),
}


class StageManager:
    """Knows the stages of every template.

    A template has the stages of its category, or the default ones, until it is given stages or weights of
    its own.
    """

    def __init__(self) -> None:
        self._stages: dict[str, tuple[Stage, ...]] = {}
        self._weights: dict[str, dict[str, float]] = {}

    def get_stages_for_template(self, template_id: str, category: str | None = None) -> tuple[Stage, ...]:
        """Return the stages of a template, in the order in which they run.

        Parameters
        ----------
        template_id
            The template.
        category
            Picks the default stages for a template without stages of its own: a key of
            `STAGE_DEFINITIONS`; any other, and ``None``, means queue, preparation, execution, finalization.

        Raises
        ------
        InvalidStagesError
            When weights were set for a stage that the category does not have.
        """
        stages = self._stages.get(template_id)
        if stages is None:
            stages = STAGE_DEFINITIONS.get(category or DEFAULT_CATEGORY, STAGE_DEFINITIONS[DEFAULT_CATEGORY])
        weights = self._weights.get(template_id)
        return reweighted(stages, weights) if weights else stages

    def set_stages(self, template_id: str, stages: Mapping[str, float] | Sequence[Stage]) -> None:
        """Give a template stages of its own; see `parse_stages`."""
        self._stages[template_id] = parse_stages(stages)

    def set_weights(self, template_id: str, weights: Mapping[str, float]) -> None:
        """Give some or all stages of a template other weights.

        Raises
        ------
        InvalidStagesError
            When a weight is not a finite number above 0.
        """
        self._weights[template_id] = {stage: check_weight(stage, weight) for stage, weight in weights.items()}


def parse_stages(stages: Mapping[str, float] | Sequence[Stage]) -> tuple[Stage, ...]:
    """Read stages from what people write.

    Parameters
    ----------
    stages
        ``{id: weight}`` in the order in which they run, or `Stage` values.

    Raises
    ------
    InvalidStagesError
        When there are none, or more than 64, or two of one id, or a weight that is not above 0.
    """
    if isinstance(stages, Mapping):
        named = all(isinstance(id, str) for id in stages)
        parsed = _stages(**stages) if named else ()
    else:
        parsed = tuple(stages)
    if not 1 <= len(parsed) <= MAX_STAGES or not all(isinstance(s, Stage) and s.id for s in parsed):
        raise InvalidStagesError(f"expected 1 to 64 stages as {{id: weight}} or Stage values, got {stages!r}")
    if len({stage.id for stage in parsed}) < len(parsed):
        raise InvalidStagesError(f"expected stages of different ids, got {[stage.id for stage in parsed]}")
    for stage in parsed:
        check_weight(stage.id, stage.weight)
    return parsed


def reweighted(stages: Iterable[Stage], weights: Mapping[str, float]) -> tuple[Stage, ...]:
    """Return the stages with some of their weights replaced.

    Raises
    ------
    InvalidStagesError
        When a weight names a stage that is not there.
    """
    stages = tuple(stages)
    unknown = weights.keys() - {stage.id for stage in stages}
    if unknown:
        known = ", ".join(stage.id for stage in stages)
        raise InvalidStagesError(f"expected weights for some of {known}, got {', '.join(sorted(unknown))}")
    return tuple(
        Stage(id=stage.id, name=stage.name, weight=weights.get(stage.id, stage.weight)) for stage in stages
    )


def check_weight(stage: str, weight: float) -> float:
    """Return a weight that is a finite number above 0.

    Raises
    ------
    InvalidStagesError
        For any other.
    """
    if isinstance(weight, (int, float)) and math.isfinite(weight) and weight > 0:
        return float(weight)
    raise InvalidStagesError(f"expected a weight above 0 for stage {stage!r}, got {weight!r}")


def overall_progress(stages: Iterable[StageProgress]) -> float:
    """Return how far a task is, 0 to 100.

    The mean of the stages' progress by weight. A skipped stage counts for nothing: its weight is taken from
    the whole.
    """
    counted = [stage for stage in stages if stage.status is not StageStatus.SKIPPED]
    whole = sum(stage.weight for stage in counted)
    if not whole:
        return 0.0
    return min(100.0, 100.0 * sum(stage.weight * stage.progress for stage in counted) / whole)
