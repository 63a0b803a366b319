"""Pictures on their way: what is taken, how it is encoded, and what is only warned about."""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from redis import Redis

from headway import diagnostics
from headway.store import keys
from headway.worker.previews import PREVIEW_PIXELS, encode_jpeg, to_image
from headway.worker.reporter import Reporter
from headway.worker.task import Task


def decoded(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("size", [(1024, 1024), (3000, 500), (100, 60), (256, 256), (7, 2000)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "CMYK"])
def test_any_image_becomes_a_small_jpeg_of_its_shape(size: tuple[int, int], mode: str) -> None:
    image = decoded(encode_jpeg(Image.new(mode, size)))
    assert (image.format, max(image.size)) == ("JPEG", min(PREVIEW_PIXELS, max(size)))
    assert image.width / image.height == pytest.approx(size[0] / size[1], rel=0.35, abs=1)


def test_what_is_transparent_lies_on_white() -> None:
    assert decoded(encode_jpeg(Image.new("RGBA", (32, 32), (255, 0, 0, 0)))).getpixel((9, 9)) == (
        255,
        255,
        255,
    )


@pytest.mark.parametrize("shape", [(64, 48), (64, 48, 1), (64, 48, 3), (64, 48, 4), (2000, 1600, 3)])
def test_an_array_is_copied_so_that_the_job_may_go_on_writing(shape: tuple[int, ...]) -> None:
    array = np.full(shape, 200, dtype="uint8")
    image = to_image(array)
    array[:] = 0
    assert np.asarray(image).max() == 200
    assert image.width / image.height == pytest.approx(shape[1] / shape[0], rel=0.01)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((8, 8), dtype="float32"), r"got float32 of shape \(8, 8\)"),
        (np.zeros((8, 8, 2), dtype="uint8"), r"got uint8 of shape \(8, 8, 2\)"),
        (np.zeros(8, dtype="uint8"), r"of shape \(8,\)"),
        (np.zeros((0, 8), dtype="uint8"), "at least one pixel"),
        ("a picture", "got str"),
        (None, "got NoneType"),
    ],
)
def test_what_cannot_be_shown_is_named(picture: object, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        to_image(picture)


def test_a_bad_picture_is_warned_about_once_and_the_task_goes_on(
    new_task: Callable[..., Task], caplog: pytest.LogCaptureFixture
) -> None:
    diagnostics._said.clear()
    with new_task() as task:
        for _ in task.track(range(5), stage="generation"):
            task.preview(np.zeros((8, 8), dtype="float32"))
    assert len(caplog.records) == 1
    assert "got float32 of shape (8, 8)" in caplog.text


def test_the_newest_picture_is_stored_and_named_and_the_last_one_at_the_end(
    new_task: Callable[..., Task], reporter: Reporter, redis: Redis, wait_until: Callable[..., Any]
) -> None:
    with new_task() as task:
        for shade in (10, 20, 30):
            task.preview(np.full((64, 64), shade, dtype="uint8"))
        wait_until(lambda: task.progress.preview_url)
        task.preview(np.full((64, 64), 240, dtype="uint8"))
    assert reporter.flush() == []
    url = task.progress.preview_url
    assert url is not None
    number = url.rpartition("/")[2]
    assert url == f"headway/tasks/{task.task_id}/previews/{number}"
    first = int(10 * task.progress.created_at)
    assert first < int(number) <= first + 2, "what came too fast was dropped, the last one was not"
    data = redis.hget(keys.previews(task.task_id), number)
    assert isinstance(data, bytes)
    assert decoded(data).getpixel((32, 32)) == pytest.approx(240, abs=2)


def test_at_most_one_picture_a_second_is_encoded(new_task: Callable[..., Task]) -> None:
    began = time.monotonic()
    with new_task() as task:
        while time.monotonic() - began < 2.5:
            task.preview(np.zeros((64, 64), dtype="uint8"))
            time.sleep(0.01)
        slot = task._outbox.previews
        assert slot._number <= int(10 * task.progress.created_at) + 2


def test_a_picture_that_does_not_encode_is_warned_about(
    new_task: Callable[..., Task], reporter: Reporter, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    diagnostics._said.clear()
    whole = BytesIO()
    Image.effect_noise((256, 256), 90).save(whole, "PNG")
    path = tmp_path / "cut.png"
    path.write_bytes(whole.getvalue()[:2_000])
    with Image.open(path) as cut, new_task() as task:  # opened, and not yet read
        task.preview(cut)
        task.complete()
        assert reporter.flush() == []
    assert task.progress.preview_url is None
    assert f"no preview for task {task.task_id}" in caplog.text
