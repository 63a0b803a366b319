"""The options of a task's previews, and which of them are kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headway.errors import UsageError
from headway.store.previews import KEPT_PREVIEWS
from headway.worker.previews.captures import TextCapture
from headway.worker.previews.generator import PreviewGenerator
from headway.worker.previews.options import PreviewOptions
from tests.worker.pictures import decoded


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"live_pixels": 8}, "live_pixels to be from 16 to 1024, got 8"),
        ({"live_pixels": 256.5}, "live_pixels to be a whole number, got 256.5"),
        ({"jpeg_quality": 100}, "jpeg_quality to be from 1 to 95, got 100"),
        ({"final_pixels": -1}, "final_pixels"),
        ({"webp_quality": "high"}, "webp_quality to be from 1 to 100, got 'high'"),
        ({"every_percent": float("nan")}, "every_percent"),
        ({"min_interval_s": 0.05}, "min_interval_s to be from 0.1"),
        ({"min_interval_s": 20}, r"max_interval_s to be at least min_interval_s \(20\), got 10"),
        ({"budget": 1}, "budget"),
        ({"budget": True}, "budget"),
        ({"history_bytes": 1_000}, "history_bytes"),
        ({"latent": "sd9"}, "latent to be one of"),
    ],
)
def test_an_option_that_cannot_be_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PreviewOptions(**options)


def test_options_may_be_given() -> None:
    options = PreviewOptions(live_pixels=64, final_pixels=0, min_interval_s=0.1, latent="flux")
    preview = PreviewGenerator(options).generate(np.zeros((1, 16, 99, 99), "float32"), at=0, progress=0)
    assert (preview.facts.width, preview.facts.height) == (64, 64)


def test_the_last_one_is_a_full_size_webp() -> None:
    picture = np.random.default_rng(1).random((900, 1200, 3)).astype("float32")
    preview = PreviewGenerator().generate(picture, at=5.0, progress=100.0, is_final=True)
    image = decoded(preview.data)
    assert (image.format, image.size) == ("WEBP", (1200, 900))
    assert preview.facts.size_bytes == len(preview.data)
    bounded = PreviewGenerator(PreviewOptions(final_pixels=600)).generate(
        picture, at=0, progress=0, is_final=True
    )
    assert (bounded.facts.width, bounded.facts.height) == (600, 450)


@pytest.mark.parametrize(("is_final", "share"), [(False, 8), (True, 2)])
def test_a_picture_that_takes_too_many_bytes_is_made_smaller(is_final: bool, share: int) -> None:
    options = PreviewOptions(history_bytes=100_000, live_pixels=512)
    noise = Image.effect_noise((1024, 1024), 90)
    preview = PreviewGenerator(options).generate(noise, at=0, progress=0, is_final=is_final)
    assert 1_000 < len(preview.data) <= options.history_bytes // share


def texts(generator: PreviewGenerator, times: list[float]) -> list[Any]:
    return [
        generator.encode(TextCapture(f"at {at}"), at=at, progress=min(100.0, i)) for i, at in enumerate(times)
    ]


def test_previews_are_numbered_and_say_when_they_are_of() -> None:
    generator = PreviewGenerator(first_number=7)
    made = texts(generator, [10.0, 20.5])
    assert [preview.number for preview in made] == [7, 8]
    assert [facts.at for facts in generator.history] == [10.0, 20.5]
    assert [facts.progress for facts in generator.history] == [0.0, 1.0]


def test_a_history_that_is_full_still_spans_the_whole_task() -> None:
    generator = PreviewGenerator()
    texts(generator, [float(i) for i in range(5 * KEPT_PREVIEWS)])
    times = [facts.at for facts in generator.history]
    assert len(times) == KEPT_PREVIEWS
    assert (times[0], times[-1]) == (0.0, 5 * KEPT_PREVIEWS - 1)
    gaps = np.diff(times)
    assert gaps.max() <= 4 * gaps.min() + 20, "no part of it is left out"
    middle = [at for at in times if KEPT_PREVIEWS < at < 4 * KEPT_PREVIEWS]
    assert len(middle) == pytest.approx(0.6 * KEPT_PREVIEWS, rel=0.3)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=60))
def test_the_bytes_are_bounded_and_what_was_dropped_was_there(sizes: list[int]) -> None:
    generator = PreviewGenerator(PreviewOptions(history_bytes=100_000))
    there: set[int] = set()
    for at, size in enumerate(sizes):
        taken = TextCapture("")
        taken.text = 100 * size * "a"
        preview = generator.encode(taken, at=at, progress=0)
        there.add(preview.number)
        assert set(preview.dropped) < there
        there -= set(preview.dropped)
    history = generator.history
    assert [facts.number for facts in history] == sorted(there)
    assert {1, len(sizes)} <= there
    assert sum(facts.size_bytes for facts in history) <= 100_000
