"""The view where the WebSocket, or the whole extension, is missing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser

from headway.demo import start_server
from tests.browser.conftest import Lab, NotebookPage
from tests.browser.test_live_view import GENERATION, PERCENT, PICTURE

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def percents_until_the_end(view: NotebookPage) -> tuple[list[int], set[str | None]]:
    """Watch the first card until its task is over."""
    percents, pictures = [], set()
    while view.page.evaluate("document.querySelector('.hw-card').dataset.status") == "in_progress":
        percents.append(int(view.page.evaluate(PERCENT)))
        pictures.add(view.page.evaluate(PICTURE))
        view.page.wait_for_timeout(100)
    return percents, pictures - {None}


def test_blocked_websockets_make_it_ask_by_rest(lab: Lab, open_notebook: Callable[..., NotebookPage]) -> None:
    view = open_notebook(lab.write_notebook("blocked.ipynb", GENERATION.replace("TASK_ID", '"blocked-1"')))
    view.page.route_web_socket("**/headway/ws/progress*", lambda socket: socket.close())
    # The kernel sends one state a second over the comm, too: those are not what this is about.
    asked: list[str] = []
    view.page.on("request", lambda request: asked.append(request.url))
    view.run_cell()
    view.page.wait_for_selector(".hw-card", timeout=30_000)
    percents, pictures = percents_until_the_end(view)
    assert sum("/headway/tasks/blocked-1/progress" in url for url in asked) >= 8
    assert sum(later > earlier for earlier, later in pairwise(percents)) >= 8
    assert percents == sorted(percents)
    assert len(pictures) >= 5
    view.page.wait_for_function(f"() => ({PERCENT})() === '100'")


def test_without_the_extension_the_kernel_itself_moves_the_view(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_DATA_DIR", str(tmp_path / "data"))
    start = tmp_path / "start.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), start)
    arguments = [
        "--LabApp.expose_app_in_browser=True",
        "--ServerApp.jpserver_extensions=headway=False",
    ]
    with start_server(start, open_browser=False, arguments=arguments) as (_, server):
        lab = Lab(server, tmp_path, browser)
        notebook = lab.write_notebook("comm.ipynb", GENERATION.replace("TASK_ID", '"comm-1"'))
        view = lab.open(notebook)
        answers: list[tuple[str, int]] = []
        view.page.on("response", lambda response: answers.append((response.url, response.status)))
        view.run_cell()
        view.page.wait_for_selector(".hw-card", timeout=30_000)
        percents, pictures = percents_until_the_end(view)
        view.page.wait_for_function(f"() => ({PERCENT})() === '100'")
        view.close()
    assert not [url for url, status in answers if "/headway/" in url and status == 200]
    assert sum(later > earlier for earlier, later in pairwise(percents)) >= 30
    assert len(pictures) >= 5
