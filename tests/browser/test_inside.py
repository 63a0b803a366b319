"""Inside a running task, in a real notebook: previews to look through, resources, logs, the tab's title."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Lab, NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

GENERATION = """\
import time
import numpy as np
import headway

rng = np.random.default_rng(7)
yy, xx = np.mgrid[0:384, 0:384] / 384
kept = []
trace = '''Traceback (most recent call last):
  File "pipeline.py", line 88, in decode
    image = vae.decode(latents)
torch.OutOfMemoryError: CUDA out of memory'''
with headway.task(
    "sdxl-portrait",
    category="image_generation",
    name="Portrait of a cat",
    params={"steps": 200, "width": 1024},
    task_id="inside-1",
) as task:
    with task.stage("model_loading", message="reading 6.9 GB of weights"):
        for _ in range(8):
            kept.append(np.ones(6_000_000))
            time.sleep(0.25)
    for step in task.track(range(200), stage="generation", message="denoising"):
        time.sleep(0.07)
        task.log(f"step {step}", level="debug", sigma=round(14.6 * 0.97**step, 4))
        if step % 50 == 30:
            task.log(trace, level="error")
            task.log("decoding again in tiles of 512 pixels", level="warning", tiles=9)
        picture = 0.5 + 0.5 * np.sin(12 * np.hypot(xx - 0.5, yy - 0.5) - step / 9)
        mixed = picture * step / 200 + rng.random((384, 384)) * (1 - step / 200)
        task.preview(np.stack([mixed**1.6, mixed, 0.35 + 0.65 * mixed], axis=-1))
    with task.stage("post_processing", message="upscaling"):
        time.sleep(1.0)
"""

IS_BACK = """() => {
    const { ariaValueNow, ariaValueMax, ariaValueText } = document.querySelector('.hw-preview-scrubber');
    return Number(ariaValueNow) < 0.5 * Number(ariaValueMax) && ariaValueText.includes('%');
}"""


def test_a_task_can_be_looked_into_while_it_runs_and_afterwards(
    lab: Lab, open_notebook: Callable[..., NotebookPage], tmp_path: Path
) -> None:
    view = open_notebook(lab.write_notebook("inside.ipynb", GENERATION), height=1_400)
    page = view.page
    view.run_cell()
    page.wait_for_selector(".hw-card .hw-foot:not([hidden])", timeout=30_000)
    page.get_by_role("button", name="Resources").click()
    page.get_by_role("button", name="Logs").click()
    page.wait_for_function("() => document.title.includes(' % ')")

    page.wait_for_function("() => document.querySelectorAll('.hw-resource').length >= 2", timeout=20_000)
    page.wait_for_function("() => document.querySelectorAll('.hw-log-row').length > 10", timeout=20_000)
    error = page.locator(".hw-log-row", has_text="OutOfMemoryError").first
    error.wait_for(timeout=30_000)
    assert page.locator(".hw-log-row").count() < 60, "only what is seen is there"

    # The history of its previews: on the strip at the lower edge the pointer looks back, and a click opens
    # what it shows; above the strip it opens the newest.
    scrubber = page.locator(".hw-preview-scrubber")
    scrubber.wait_for(timeout=30_000)
    box = scrubber.bounding_box()
    assert box is not None
    page.wait_for_function("() => Number(document.querySelector('.hw-card .hw-digits').textContent) >= 45")
    x, above, strip = (
        box["x"] + 0.3 * box["width"],
        box["y"] + 0.5 * box["height"],
        box["y"] + box["height"] - 20,
    )
    page.mouse.move(x, above)
    page.wait_for_function(
        "() => Number(document.querySelector('.hw-preview-scrubber').ariaValueMax) >= 3", timeout=30_000
    )
    assert (scrubber.get_attribute("aria-valuetext") or "").startswith("newest")
    page.mouse.click(x, above)
    page.wait_for_selector("dialog.hw-dialog[open]")
    assert (scrubber.get_attribute("aria-valuetext") or "").startswith("newest")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.hw-dialog", state="detached")
    page.mouse.move(x, strip)
    page.wait_for_function(IS_BACK)
    view.shot("inside-1200-light")
    page.mouse.click(x, strip)
    page.wait_for_selector("dialog.hw-dialog[open]")
    assert page.evaluate(IS_BACK), "the click opens what is pointed at"
    with page.expect_download() as download:
        page.locator(".hw-dialog a").click()
    download.value.save_as(tmp_path / "preview")
    assert (tmp_path / "preview").read_bytes()[:2] == b"\xff\xd8", "a JPEG"
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.hw-dialog", state="detached")

    page.wait_for_function(
        "() => document.querySelector('.hw-card').dataset.status === 'completed'", timeout=60_000
    )
    page.wait_for_function("() => !document.title.includes(' % ')")
    previews: list[dict[str, Any]] = []
    deadline = time.monotonic() + 10.0
    while not previews or previews[-1]["media_type"] != "image/webp":  # encoded once the task is over
        assert time.monotonic() < deadline, f"the last one is not full-size: {previews[-1:]}"
        time.sleep(0.1)
        previews = json.loads(lab.request("headway/tasks/inside-1/previews"))
    assert (previews[-1]["width"], previews[0]["width"]) == (384, 256)
    assert len(json.loads(lab.request("headway/tasks/inside-1/resources"))["samples"]) >= 10
    assert view.errors == []
