"""The view in a cell, as a person sees it: real JupyterLab, real Chromium, a busy kernel."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.browser.conftest import Lab, NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PERCENT = "() => document.querySelector('.hw-card .hw-digits')?.textContent ?? null"
STATUS = "() => document.querySelector('.hw-card')?.dataset.status ?? null"
PICTURE = "() => document.querySelector('.hw-card .hw-picture')?.src ?? null"

GENERATION = """\
import time
import numpy as np
import headway

rng = np.random.default_rng(7)
yy, xx = np.mgrid[0:384, 0:384] / 384
with headway.task(
    "sdxl-portrait",
    category="image_generation",
    name="Portrait of a cat",
    params={"steps": 200, "width": 1024},
    task_id=TASK_ID,
) as task:
    with task.stage("model_loading", message="reading 6.9 GB of weights"):
        time.sleep(1.5)
    for step in task.track(range(200), stage="generation", message="denoising"):
        time.sleep(0.09)
        if step % 5 == 0:
            picture = 0.5 + 0.5 * np.sin(12 * np.hypot(xx - 0.5, yy - 0.5) - step / 9)
            noise = rng.random((384, 384))
            mixed = picture * step / 200 + noise * (1 - step / 200)
            tint = np.stack([mixed ** 1.6, mixed, 0.35 + 0.65 * mixed], axis=-1)
            task.preview((255 * tint).astype("uint8"))
    with task.stage("post_processing", message="upscaling"):
        time.sleep(1.0)
"""


def test_the_view_moves_while_the_kernel_is_busy_and_a_second_notebook_agrees(
    lab: Lab, open_notebook: Callable[..., NotebookPage]
) -> None:
    notebook = lab.write_notebook("generate.ipynb", GENERATION.replace("TASK_ID", '"cat-1"'), "task")
    other = lab.write_notebook("watch.ipynb", 'import headway\nheadway.show("cat-1")')
    first, second = open_notebook(notebook), open_notebook(other)
    first.run_cell()
    first.page.wait_for_selector(".hw-card", timeout=30_000)
    second.run_cell()
    second.page.wait_for_selector(".hw-card", timeout=30_000)
    for view in (first, second):  # what the kernel drew first may be of the moment before it began
        view.page.wait_for_function(f"() => Number(({PERCENT})()) > 0")

    percents, pictures, disagreements = [], set(), []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and first.page.evaluate(STATUS) == "in_progress":
        here, there = first.page.evaluate(PERCENT), second.page.evaluate(PERCENT)
        if first.is_running(0):
            percents.append(int(here))
            if there.isdigit():
                disagreements.append(abs(int(here) - int(there)))
        pictures.add(first.page.evaluate(PICTURE))
        if len(percents) == 60:
            first.shot("running-1200-light")
            second.shot("running-second-notebook")
        first.page.wait_for_timeout(50)

    rises = sum(later > earlier for earlier, later in pairwise(percents))
    assert rises >= 30, percents
    assert percents == sorted(percents), "the percent never falls"
    assert len(pictures - {None}) >= 5
    assert max(disagreements) <= 3, "two tabs show the same task"
    for view in (first, second):
        view.page.wait_for_function("() => document.querySelector('.hw-card').dataset.status === 'completed'")
        view.page.wait_for_function(f"() => ({PERCENT})() === '100'")
    first.page.wait_for_function("() => !document.body.innerText.includes('[*]')")
    first.shot("completed-1200-light")
    first.run_cell(1)
    first.page.wait_for_function("() => document.querySelectorAll('.hw-card').length === 2")
    assert first.errors == []
    assert second.errors == []
