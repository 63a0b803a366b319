"""The view when its server is killed, its line goes dead or its page is put away: quiet, soon right again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import nbformat
import pytest
from playwright.sync_api import Browser, Page

from tests.browser import chromium
from tests.browser.conftest import CHROMIUM_FLAGS, Lab, NotebookPage
from tests.browser.restarts import NOTE, STEPS, RestartableServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

TASK = "haul-1"
# A link counts as dead after 4 s, looked at every half.
MOST_UNNOTICED_S = 5.0
MOST_WRONG_S = 2.0
MOVING = """() => document.querySelector('.hw-card').getAnimations({subtree: true})
    .filter(animation => animation.playState === 'running').length"""


class SilentProxy:
    """Passes TCP on until it is told to swallow everything, without closing anything."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._pumps: set[asyncio.Task[None]] = set()
        self._muted: set[asyncio.StreamReader] = set()
        self._readers: set[asyncio.StreamReader] = set()
        self.port = 0

    def __enter__(self) -> SilentProxy:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def mute(self) -> None:
        """Swallow what the connections of now send from now on; new ones work."""
        self._loop.call_soon_threadsafe(lambda: self._muted.update(self._readers))

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self._target)
        for source, sink in ((reader, there[1]), (there[0], writer)):
            pump = self._loop.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self._readers.add(source)
        try:
            with suppress(OSError):
                while data := await source.read(65_536):
                    if source not in self._muted:
                        sink.write(data)
                        await sink.drain()
        finally:
            self._readers.discard(source)
            self._muted.discard(source)
            sink.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestartableServer]:
    server = RestartableServer(tmp_path_factory.mktemp("restart"), module="jupyterlab")
    # Else JupyterLab asks, in every picture, whether to fetch its news.
    settings = server.folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    with server.worker(TASK):
        server.start()
        server.back_at(TASK)
        yield server
    server.end()


def wait_until_it_moves(page: Page) -> int:
    page.wait_for_function(f"() => ({STEPS})() > 0", timeout=30_000)
    before = int(page.evaluate(STEPS))
    page.wait_for_function(f"before => ({STEPS})() > before", arg=before, timeout=10_000)
    return int(page.evaluate(STEPS))


def watch_note(page: Page, seconds: float) -> list[str]:
    """What the note read, each text once."""
    seen: list[str] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        note = str(page.evaluate(NOTE))
        if seen[-1:] != [note]:
            seen.append(note)
        page.wait_for_timeout(50)
    return seen


def notebook_with_the_view(lab: Lab) -> NotebookPage:
    path = lab.write_notebook("watch.ipynb", "# The task runs elsewhere.")
    notebook = nbformat.read(path, 4)
    shown = {
        "application/vnd.headway.tasks+json": {"task_ids": [TASK], "states": {}},
        "text/plain": "a task",
    }
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data=shown)]
    nbformat.write(notebook, path)
    return lab.open(path)


def test_a_killed_server_is_missed_quietly_and_its_return_is_seen_at_once(
    server: RestartableServer, browser: Browser
) -> None:
    view = notebook_with_the_view(Lab(server.server, server.notebooks, browser))
    wait_until_it_moves(view.page)
    server.kill()
    view.page.wait_for_function(
        f"() => ({NOTE})().startsWith('reconnecting · state of ')", timeout=1_000 * MOST_UNNOTICED_S
    )
    steps = view.page.evaluate(STEPS)
    ages = [int(note.split()[-3]) for note in watch_note(view.page, 3.2)]
    assert ages == list(range(ages[0], ages[0] + len(ages)))
    assert len(ages) >= 3
    assert view.page.evaluate("() => document.querySelector('.hw-card').hasAttribute('data-still')")
    assert view.page.evaluate(MOVING) == 0
    assert view.page.evaluate(STEPS) == steps
    view.shot("reconnecting-1200-light")

    server.start()
    answered_at, done = server.back_at(TASK)
    view.page.wait_for_function(f"done => ({STEPS})() >= done", arg=done, timeout=10_000)
    assert time.time() - answered_at < MOST_WRONG_S
    view.page.wait_for_function(f"() => ({NOTE})() === ''", timeout=2_000)
    wait_until_it_moves(view.page)
    assert view.errors == []
    view.close()


def test_a_link_that_goes_dead_is_noticed_and_replaced(server: RestartableServer, browser: Browser) -> None:
    page = browser.new_page()
    with SilentProxy(server.port) as proxy:
        page.goto(f"http://127.0.0.1:{proxy.port}/{server.add_page(TASK)}")
        before = wait_until_it_moves(page)
        proxy.mute()
        muted_at = time.monotonic()
        page.wait_for_timeout(500)
        stuck = int(page.evaluate(STEPS))
        page.wait_for_function(f"before => ({STEPS})() > before", arg=stuck, timeout=10_000)
        assert time.monotonic() - muted_at < MOST_UNNOTICED_S + 0.5
        assert page.evaluate(STEPS) - before > 150, "it really was dead for about four seconds"
        wait_until_it_moves(page)
        page.close()


def test_a_page_that_comes_back_from_the_back_forward_cache_is_right_at_once(
    server: RestartableServer, browser: Browser
) -> None:
    # Playwright turns that cache off.
    caching = browser.browser_type.launch(
        executable_path=chromium.find(),
        args=CHROMIUM_FLAGS,
        ignore_default_args=["--disable-back-forward-cache"],
    )
    try:
        page = caching.new_page()
        page.goto(server.server.url + server.add_page(TASK))
        wait_until_it_moves(page)
        page.evaluate("addEventListener('pageshow', event => window.wasKept = event.persisted)")
        page.goto(server.server.url + "static/elsewhere.html")
        page.wait_for_timeout(1_500)
        page.go_back(wait_until="commit")  # a page that was kept is not loaded again
        assert page.evaluate("window.wasKept") is True
        before = int(page.evaluate(STEPS))
        page.wait_for_function(
            f"before => ({STEPS})() > before + 50", arg=before, timeout=1_000 * MOST_WRONG_S
        )
        assert page.evaluate(NOTE) == ""
    finally:
        caching.close()
