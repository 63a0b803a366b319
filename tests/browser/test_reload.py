"""What a cell shows when its page, or its kernel, is gone and back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Lab, NotebookPage
from tests.browser.test_live_view import GENERATION, PERCENT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_a_reload_and_a_kernel_restart_leave_the_view_as_true_as_before(
    lab: Lab, open_notebook: Callable[..., NotebookPage]
) -> None:
    view = open_notebook(lab.write_notebook("reload.ipynb", GENERATION.replace("TASK_ID", '"reload-1"')))
    page = view.page
    view.run_cell()
    page.wait_for_selector(".hw-card", timeout=30_000)
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    page.wait_for_selector(".hw-card .hw-digits", timeout=60_000)
    page.wait_for_function(f"() => Number(({PERCENT})()) > 10", timeout=10_000)
    before = int(page.evaluate(PERCENT))
    assert before < 90, "the kernel is still busy"
    page.wait_for_function(f"before => Number(({PERCENT})()) > before", arg=before, timeout=5_000)

    page.evaluate("void jupyterapp.commands.execute('notebook:restart-kernel')")
    page.locator(".jp-Dialog button.jp-mod-warn").click()
    view.wait_for_kernel("idle")
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    page.wait_for_selector(".hw-card .hw-digits", timeout=60_000)
    # What the notebook saved is drawn at once, and what the server knows a moment later.
    page.wait_for_function(f"before => Number(({PERCENT})()) >= before", arg=before, timeout=5_000)
