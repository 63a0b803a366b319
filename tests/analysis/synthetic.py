"""Records as a studio would have them: a few templates, some months, and a predictor that learns."""

from __future__ import annotations

import numpy as np

from headway.models import StageStatus, TaskStatus
from headway.records import ASKED_AT, Prediction, StageRecord, TaskHistory
from headway.timestamps import Timestamp

BEGAN = 1_790_000_000.0
MONTH_S = 30 * 86_400.0
#: Of each template: category, device, usual seconds of its stages, spread (of the logarithm) of the second.
TEMPLATES: dict[str, tuple[str, str, dict[str, float], float]] = {
    "portrait": (
        "image_generation",
        "NVIDIA H100",
        {"model_loading": 6.0, "generation": 32.0, "post_processing": 4.0},
        0.16,
    ),
    "clip": (
        "video_generation",
        "NVIDIA H100",
        {"model_loading": 12.0, "frame_generation": 190.0, "video_encoding": 18.0},
        0.22,
    ),
    "voice": (
        "audio_generation",
        "NVIDIA L4",
        {"text_processing": 0.6, "synthesis": 7.0, "normalization": 0.9},
        0.35,
    ),
}


def make_records(count: int, *, seed: int = 7, failed: float = 0.04) -> list[TaskHistory]:
    """Return so many records, in the order of their submission."""
    random = np.random.default_rng(seed)
    submitted = np.sort(random.uniform(0.0, MONTH_S, count))
    names = random.choice(list(TEMPLATES), count, p=[0.5, 0.2, 0.3])
    seen = dict.fromkeys(TEMPLATES, 0)
    return [
        _make_record(random, index, str(name), float(at), seen, failed)
        for index, (name, at) in enumerate(zip(names, submitted, strict=True))
    ]


def _make_record(
    random: np.random.Generator, index: int, name: str, at: float, seen: dict[str, int], failed: float
) -> TaskHistory:
    category, device, stages, spread = TEMPLATES[name]
    faster = 0.8 if name == "portrait" and at > 0.6 * MONTH_S else 1.0  # a new driver
    steps = int(random.choice([20, 30, 50], p=[0.2, 0.6, 0.2]))
    noise = float(random.normal(0.0, spread))
    seconds = {"queue": float(random.exponential(1.5))}
    for place, (stage, usual) in enumerate(stages.items()):
        own = float(np.exp(random.normal(0.0, 0.1)))
        seconds[stage] = usual * own * faster * (steps / 30 * np.exp(noise) if place == 1 else 1.0)
    total = sum(seconds.values())
    has_failed = random.random() < failed
    runs = seen[name]
    predictions = [] if runs == 0 else _predict(random, seconds, total, spread, runs)
    seen[name] += not has_failed
    records = [StageRecord(id=stage, duration_s=round(took, 3)) for stage, took in seconds.items()]
    if has_failed:
        records[-1] = StageRecord(id=records[-1].id, status=StageStatus.PENDING)
        records[-2] = StageRecord(
            id=records[-2].id, duration_s=records[-2].duration_s, status=StageStatus.FAILED
        )
    return TaskHistory(
        task_id=f"{name}-{index:06d}",
        template_id=name,
        category=category,
        params={"steps": steps, "width": 1024, "prompt": "a heron at dawn, in the style of an old print"},
        status=TaskStatus.FAILED if has_failed else TaskStatus.COMPLETED,
        submitted_at=Timestamp(BEGAN + at),
        finished_at=Timestamp(BEGAN + at + total),
        stages=tuple(records),
        device=device,
        host=f"studio-{index % 3}",
        peak_rss_bytes=int(random.integers(2, 9)) * 2**30,
        peak_gpu_memory_bytes=int(random.integers(10, 60)) * 2**30,
        predictions=tuple(predictions),
    )


def _predict(
    random: np.random.Generator, seconds: dict[str, float], total: float, spread: float, runs: int
) -> list[Prediction]:
    bias, found = float(random.normal(0.0, spread + 0.6 / (runs + 1))), []
    stages, begun = list(seconds), np.cumsum([0.0, *seconds.values()])
    asked = [(share * total, share, None) for share in ASKED_AT]
    asked += [(float(begun[place]), None, stages[place]) for place in (1, 2)]
    for elapsed, share, stage in sorted(asked, key=lambda one: one[0]):
        left = total - elapsed
        unknown = (1.0 - elapsed / total) ** 0.7
        median = left * np.exp(bias * unknown + random.normal(0.0, 0.03))
        width = np.exp(1.28 * (spread + 0.5 / (runs + 1)) * max(unknown, 0.15))
        found.append(
            Prediction(
                elapsed_s=round(elapsed, 3),
                low_s=round(median / width, 3),
                median_s=round(median, 3),
                high_s=round(median * width, 3),
                basis="its own pace" if elapsed > 0.3 * total else f"{min(runs, 50)} earlier runs",
                share=share,
                stage=stage,
            )
        )
    return found
