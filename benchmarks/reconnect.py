"""How soon a view is right again once a killed Jupyter server is back: real Chromium, a real server.

A worker that is no kernel of the server reports 50 steps a second. The server is killed with SIGKILL and
started again on its port, after a pause of 0 to 8 s. A sample begins with the first HTTP answer of the new
server and ends when a page shows as many steps as Redis had then, or more. The pages are served by that
server and hold the widget's own bundle; a JupyterLab around each would not fit this machine. Beside them,
pages with a plain WebSocket and the same back-off say when theirs was open again: Chromium holds a socket
back after a dozen failures, so they fall behind where the outage was long. Prints one JSON line.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.browser import chromium
from tests.browser.conftest import CHROMIUM_FLAGS
from tests.browser.restarts import STEPS, RestartableServer

TASK = "bench-1"
PAGES = 10
PLAIN_PAGES = 3
RESTARTS = 11
LONGEST_PAUSE_S = 8.0
# Between two restarts, so that each begins with live pages.
LIVE_S = 1.5
# A page that is not right by then counts as this late.
PATIENCE_S = 15.0

# Every rise of what is shown, with the browser's clock, which is this machine's.
RECORD = f"""
    window.seen = [];
    const steps = {STEPS};
    const look = () => {{
        const now = steps();
        if (now > (window.seen.at(-1)?.[1] ?? -1)) window.seen.push([Date.now(), now]);
    }};
    new MutationObserver(look).observe(document, {{ subtree: true, childList: true, characterData: true }});
"""
PLAIN = """<!doctype html><script>
    window.seen = [];
    let tries = 0;
    const connect = () => {
        const socket = new WebSocket(`ws://${location.host}/headway/ws/progress?token=TOKEN`);
        socket.onopen = () => { tries = 0; window.seen.push([Date.now(), 0]); };
        socket.onclose = () => {
            const longest = Math.min(800, 100 * 2 ** tries++);
            setTimeout(connect, longest * (0.5 + 0.5 * Math.random()));
        };
    };
    connect();
</script>"""


class Watcher:
    """One page, and what it saw."""

    def __init__(self, browser: Browser, url: str, *, record: str = "") -> None:
        # A context each: pages of one process share Chromium's patience with sockets. And without motion:
        # a person looks at one page, and here all are drawn, without a graphics card.
        self.page: Page = browser.new_context(reduced_motion="reduce").new_page()
        self.page.add_init_script(record)
        self.page.goto(url)
        self.page.wait_for_function("() => window.seen.length > 0", timeout=1_000 * PATIENCE_S)

    def forget(self) -> None:
        """Drop what was seen so far."""
        self.page.evaluate("() => { window.seen.length = 0 }")

    def right_after(self, answered_at: float, done: int) -> float:
        """Seconds from the server's first answer to that many steps."""
        right = "done => window.seen.find(([, steps]) => steps >= done)?.[0]"
        deadline = time.time() + PATIENCE_S
        while time.time() < deadline:
            at_ms = self.page.evaluate(right, done)
            if at_ms is not None:
                return max(0.0, at_ms / 1_000 - answered_at)
            self.page.wait_for_timeout(20)
        return PATIENCE_S


@contextmanager
def running_server() -> Iterator[RestartableServer]:
    with tempfile.TemporaryDirectory(prefix="hw", ignore_cleanup_errors=True) as folder:
        server = RestartableServer(Path(folder), module="jupyter_server")
        with server.worker(TASK):
            server.start()
            server.back_at(TASK)
            yield server
        server.end()


def measure(server: RestartableServer, browser: Browser) -> tuple[list[float], list[float]]:
    """Return the samples of our pages and of the plain ones."""
    (server.pages / "plain.html").write_text(PLAIN.replace("TOKEN", server.server.token))
    ours_url, plain_url = (server.server.url + path for path in (server.add_page(TASK), "static/plain.html"))
    ours = [Watcher(browser, ours_url, record=RECORD) for _ in range(PAGES)]
    plain = [Watcher(browser, plain_url) for _ in range(PLAIN_PAGES)]
    samples: tuple[list[float], list[float]] = ([], [])
    for _ in range(RESTARTS):
        server.kill()
        for watcher in ours + plain:
            watcher.forget()
        time.sleep(random.uniform(0.0, LONGEST_PAUSE_S))
        server.start()
        answered_at, done = server.back_at(TASK)
        samples[0].extend(watcher.right_after(answered_at, done) for watcher in ours)
        samples[1].extend(watcher.right_after(answered_at, 0) for watcher in plain)
        time.sleep(LIVE_S)
    return samples


def percentiles_ms(samples: list[float]) -> dict[str, float]:
    ranked = sorted(samples)
    at = {f"p{p}_ms": ranked[min(len(ranked) - 1, len(ranked) * p // 100)] for p in (50, 99)}
    return {name: round(1e3 * value, 1) for name, value in {**at, "max_ms": ranked[-1]}.items()}


def main() -> None:
    began = time.monotonic()
    with running_server() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=CHROMIUM_FLAGS)
        ours, plain = measure(server, browser)
        browser.close()
    plain_figures = {f"plain_socket_{name}": value for name, value in percentiles_ms(plain).items()}
    print(
        json.dumps(
            {
                "benchmark": "reconnect",
                "page": "minimal page of the Jupyter server with the widget bundle",
                "samples": len(ours),
                "restarts": RESTARTS,
                **percentiles_ms(ours),
                **plain_figures,
                "took_s": round(time.monotonic() - began, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
