"""Keys pressed in a card, in a real JupyterLab: what stays there, and what the notebook still gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Lab, NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

WORDY = """\
import headway
with headway.task("wordy", name="Wordy", task_id="keys-1") as task:
    for step in range(200):
        task.log(f"step {step}")
"""

CELLS = """() => {
    const notebook = jupyterapp.shell.currentWidget.content;
    return [notebook.widgets.length, notebook.activeCellIndex];
}"""
IS_SAVED = "() => !jupyterapp.shell.currentWidget.context.model.dirty"


def top(page: Page) -> Any:
    """Where the list is, once it no longer scrolls."""
    entries = page.locator(".hw-log-list")
    before, now = None, entries.evaluate("list => list.scrollTop")
    while now != before:
        page.wait_for_timeout(300)
        before, now = now, entries.evaluate("list => list.scrollTop")
    return now


def test_keys_stay_in_the_card_and_chords_reach_the_notebook(
    lab: Lab, open_notebook: Callable[..., NotebookPage]
) -> None:
    view = open_notebook(lab.write_notebook("keys.ipynb", WORDY, "1", "2"))
    page = view.page
    view.run_cell()
    page.wait_for_selector(".hw-card[data-status='completed']", timeout=30_000)
    logs = page.get_by_role("button", name="Logs")
    logs.click()
    page.wait_for_selector(".hw-log-row")
    before = page.evaluate(CELLS)

    logs.focus()
    for key in ["a", "b", "x", "d", "d", "Control+Backspace", "j", "Escape"]:
        page.keyboard.press(key)
        assert page.evaluate(CELLS) == before, key
        assert logs.evaluate("node => node === document.activeElement"), key

    # A list scrolls by its own keys.
    entries = page.locator(".hw-log-list")
    entries.focus()
    lowest = top(page)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.wait_for_function(f"() => document.querySelector('.hw-log-list').scrollTop < {lowest}")
    higher = top(page)
    page.keyboard.press("ArrowDown")
    page.wait_for_function(f"() => document.querySelector('.hw-log-list').scrollTop > {higher}")
    page.keyboard.press("j")
    assert page.evaluate(CELLS) == before

    page.evaluate("jupyterapp.shell.currentWidget.context.model.dirty = true")
    page.keyboard.press("Control+s")
    page.wait_for_function(IS_SAVED)
    page.keyboard.press("b")
    assert page.evaluate(CELLS) == before

    page.keyboard.press("Tab")
    assert not entries.evaluate("node => node === document.activeElement")
    assert view.errors == []
