"""Cancelling from the view while the kernel is busy, in the notebook that runs and in another one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Lab, NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

GENERATION = """\
import headway

def steps():
    while True:
        sum(range(20_000))
        yield

cleaned = []
try:
    with headway.task("endless", task_id=TASK_ID) as task:
        try:
            for _ in task.track(steps(), message="drawing"):
                pass
        finally:
            cleaned.append(task.task_id)
except headway.TaskCancelled as cancelled:
    print("stopped by", cancelled.by, "and cleaned", *cleaned)
"""
STATUS = "status => document.querySelector('.hw-card')?.dataset.status === status"


def stop(page: NotebookPage) -> None:
    page.page.locator(".hw-cancel-start:visible").click()
    page.page.locator(".hw-cancel-stop:visible").click()


def test_a_click_ends_the_loop_of_a_busy_kernel(lab: Lab, open_notebook: Callable[..., NotebookPage]) -> None:
    page = open_notebook(lab.write_notebook("cancel.ipynb", GENERATION.replace("TASK_ID", '"endless-1"')))
    page.run_cell()
    page.page.wait_for_selector(".hw-card .hw-fact", timeout=30_000)
    assert page.is_running(0)
    stop(page)
    page.page.wait_for_selector("text=stopped by somebody in the browser and cleaned endless-1")
    page.page.wait_for_function(STATUS, arg="cancelled")
    page.page.wait_for_function("() => !document.body.innerText.includes('[*]')")
    card = page.page.locator(".hw-card")
    assert "Cancelled by somebody in the browser" in card.inner_text()
    assert not card.locator(".hw-cancel-start").is_visible()
    page.shot("cancelled-1200-light")
    assert page.errors == []


def test_a_click_in_another_notebook_ends_it_too(
    lab: Lab, open_notebook: Callable[..., NotebookPage]
) -> None:
    page = open_notebook(lab.write_notebook("cancel.ipynb", GENERATION.replace("TASK_ID", '"endless-2"')))
    other = open_notebook(
        lab.write_notebook("other.ipynb", 'import headway\nheadway.show("endless-2")'), dark=True
    )
    page.run_cell()
    page.page.wait_for_selector(".hw-card .hw-fact", timeout=30_000)  # it moves, so it is stored
    other.run_cell()
    other.page.wait_for_function(STATUS, arg="in_progress", timeout=30_000)
    stop(other)
    page.page.wait_for_selector("text=stopped by somebody in the browser and cleaned endless-2")
    for view in (page, other):
        view.page.wait_for_function(STATUS, arg="cancelled")
    other.shot("cancelled-elsewhere-1200-dark")
