"""How long it takes from the click on Stop to the exception in the loop: real JupyterLab, a busy kernel.

One cell runs task after task, each an endless loop of small steps of pure Python; Chromium clicks Cancel
and Stop in the card of each. A sample begins with the click and ends where `TaskCancelled` is caught in the
kernel. Beside it, in the same notebook, the kernel's own interrupt, asked for by the page and ended where
`KeyboardInterrupt` is caught: it stops whatever the kernel runs, and needs its page. Prints one JSON line, in
milliseconds.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from playwright.sync_api import Page, sync_playwright

from headway.demo import start_server

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.browser import chromium
from tests.browser.conftest import CHROMIUM_FLAGS, Lab

ROUNDS = 30
CELL = f"""\
import json, time
import headway

def steps():
    while True:
        sum(range(20_000))
        yield

caught = []
for number in range({ROUNDS}):
    try:
        with headway.task("cancel", task_id=f"cancel-{{number}}", show=False) as task:
            headway.show(task)
            for _ in task.track(steps()):
                pass
    except headway.TaskCancelled:
        caught.append(time.time())
    while True:
        try:
            for _ in steps():
                open("waiting", "w").write(str(number))
        except KeyboardInterrupt:
            caught.append(time.time())
            break
json.dump(caught, open("caught.json", "w"))
"""
CLICK = """selector => {
    const buttons = [...document.querySelectorAll(selector)].filter(button => !button.hidden);
    if (buttons.length === 0) return null;
    const at = Date.now();
    buttons.at(-1).click();
    return at;
}"""
INTERRUPT = """() => {
    const at = Date.now();
    jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.interrupt();
    return at;
}"""
PATIENCE_S = 20.0


def clicked_at(page: Page, task_id: str, button: str) -> float:
    """Click a button of a task's card as soon as it is there; return when, in seconds."""
    deadline = time.monotonic() + PATIENCE_S
    selector = f"[data-task-id='{task_id}'][data-status='in_progress'] {button}"
    while time.monotonic() < deadline:
        at_ms = page.evaluate(CLICK, selector)
        if at_ms is not None:
            return float(at_ms) / 1e3
        page.wait_for_timeout(20)
    raise TimeoutError(f"no {button} of {task_id}")


def wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not (path.exists() and path.read_text() == text):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path.name} does not say {text}")
        time.sleep(0.01)


def percentiles(values_s: list[float]) -> dict[str, float]:
    ordered = sorted(values_s)
    return {
        f"p{share}_ms": round(1e3 * ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 1)
        for share in (50, 95)
    } | {"max_ms": round(1e3 * ordered[-1], 1)}


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="hw", ignore_cleanup_errors=True) as name,
        sync_playwright() as play,
    ):
        folder = Path(name)
        (folder / "notebooks").mkdir()
        for variable in ("DATA", "SETTINGS", "WORKSPACES"):
            prefix = "HEADWAY" if variable == "DATA" else "JUPYTERLAB"
            os.environ[f"{prefix}_{variable}_DIR"] = str(folder / variable.lower())
        notebook = folder / "notebooks" / "cancel.ipynb"
        nbformat.write(nbformat.v4.new_notebook(), notebook)
        arguments = ["--LabApp.expose_app_in_browser=True"]
        with start_server(notebook, open_browser=False, arguments=arguments) as (_, server):
            browser = play.chromium.launch(executable_path=chromium.find(), args=CHROMIUM_FLAGS)
            lab = Lab(server, notebook.parent, browser)
            view = lab.open(lab.write_notebook("cancel.ipynb", CELL))
            view.run_cell()
            asked = []
            for number in range(ROUNDS):
                task_id = f"cancel-{number}"
                view.page.wait_for_selector(f"[data-task-id='{task_id}'] .hw-fact")  # it is stored, and moves
                view.page.wait_for_timeout(1_000 * random.uniform(0.2, 0.4))
                clicked_at(view.page, task_id, ".hw-cancel-start")
                asked.append(clicked_at(view.page, task_id, ".hw-cancel-stop"))
                wait_for(folder / "notebooks" / "waiting", str(number))
                asked.append(float(view.page.evaluate(INTERRUPT)) / 1e3)
            view.page.wait_for_function("() => !document.body.innerText.includes('[*]')", timeout=60_000)
            caught = json.loads((folder / "notebooks" / "caught.json").read_text())
            browser.close()
    late = [found - at for found, at in zip(caught, asked, strict=True)]
    print(
        json.dumps(
            {
                "benchmark": "cancel",
                "rounds": ROUNDS,
                **percentiles(late[::2]),
                "interrupt": percentiles(late[1::2]),
            }
        )
    )


if __name__ == "__main__":
    main()
