"""A real JupyterLab with the extension, and a real Chromium that looks at it."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from headway.demo import Server, notebook_url, start_server
from tests.browser import chromium

ARTIFACTS = Path(__file__).parents[2] / "test-artifacts"
# Without these Chromium, run as root on a machine without a network, refuses or waits.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Lab:
    """The server, its notebooks' folder, and pages that look at them."""

    def __init__(self, server: Server, folder: Path, browser: Browser) -> None:
        self.server = server
        self.folder = folder
        self._browser = browser

    def write_notebook(self, name: str, *cells: str) -> Path:
        notebook = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        )
        notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
        path = self.folder / name
        nbformat.write(notebook, path)
        return path

    def open(
        self, notebook: Path, *, width: int = 1200, height: int = 900, dark: bool = False
    ) -> NotebookPage:
        context = self._browser.new_context(viewport={"width": width, "height": height})
        page = context.new_page()
        page.goto(notebook_url(self.server, notebook) + "&reset")
        page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell", timeout=60_000)
        # In any case, because the server remembers the theme of the page before.
        theme = "JupyterLab Dark" if dark else "JupyterLab Light"
        page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
        page.wait_for_selector(f"body[data-jp-theme-name='{theme}']", state="attached")
        page.evaluate("jupyterapp.shell.collapseLeft()")
        result = NotebookPage(page)
        result.wait_for_kernel("idle")
        return result

    def end_sessions(self) -> None:
        for session in json.loads(self.request("api/sessions")):
            self.request(f"api/sessions/{session['id']}", method="DELETE")

    def request(self, path: str, *, method: str = "GET") -> bytes:
        request = urllib.request.Request(self.server.url + path, method=method, headers=self.server.headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            return bytes(response.read())


class NotebookPage:
    """One notebook in one browser tab."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def wait_for_kernel(self, status: str) -> None:
        kernel = "jupyterapp.shell.currentWidget?.context?.sessionContext?.session?.kernel"
        self.page.wait_for_function(f"status => {kernel}?.status === status", arg=status, timeout=60_000)

    def is_running(self, index: int) -> bool:
        """Whether the cell waits for the kernel; the kernel's own status is idle while a subshell rests."""
        prompt = self.page.locator(".jp-NotebookPanel .jp-CodeCell .jp-InputPrompt").nth(index)
        return "*" in (prompt.text_content() or "")

    def run_cell(self, index: int = 0) -> None:
        self.page.locator(".jp-NotebookPanel .jp-CodeCell .jp-InputArea-editor").nth(index).click()
        self.page.keyboard.press("Shift+Enter")

    def shot(self, name: str) -> None:
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / f"{name}.png")

    def close(self) -> None:
        self.page.context.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    # Else JupyterLab asks, in every picture, whether to fetch its news.
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    start = folder / "notebooks" / "start.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), start)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADWAY_DATA_DIR", str(folder / "data"))
        patch.setenv("JUPYTERLAB_SETTINGS_DIR", str(folder / "settings"))
        patch.setenv("JUPYTERLAB_WORKSPACES_DIR", str(folder / "workspaces"))
        patch.setenv("JUPYTER_CONFIG_DIR", str(folder / "config"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        for name in [name for name in os.environ if name.startswith("COV_CORE")]:
            patch.delenv(name)
        with start_server(start, open_browser=False, arguments=["--LabApp.expose_app_in_browser=True"]) as (
            _,
            server,
        ):
            yield Lab(server, start.parent, browser)


@pytest.fixture
def open_notebook(lab: Lab) -> Iterator[Callable[..., NotebookPage]]:
    opened: list[NotebookPage] = []

    def open_(*args: object, **kwargs: object) -> NotebookPage:
        page = lab.open(*args, **kwargs)  # type: ignore[arg-type]
        opened.append(page)
        return page

    yield open_
    for page in opened:
        page.close()
    lab.end_sessions()
