"""A Jupyter server to be killed and started again, a worker that outlives it, and a page that shows both."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import headway
from headway.demo import Server

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
# Between two questions whether the server is back: what is measured from then on is late by no more.
PROBE_S = 0.005
TOTAL = 30_000

# 50 steps a second, for ten minutes at most.
WORKER = f"""
import sys, time, headway
with headway.task("restart", task_id=sys.argv[1], name="Long haul", show=False) as task:
    for done in range(1, {TOTAL} + 1):
        task.update(done=done, total={TOTAL}, message="going on, whatever becomes of the server")
        time.sleep(0.02)
"""

# The widget's own bundle, with a model that never says anything: what is seen came from the server.
PAGE = """<!doctype html>
<html>
  <head>
    <meta charset="utf-8" />
    <script id="jupyter-config-data" type="application/json">{config}</script>
    <link rel="stylesheet" href="widget.css" />
    <script type="module">
      import widget from "./widget.js";
      const traits = {{ task_ids: {task_ids}, states: {{}}, previews: {{}} }};
      const model = {{ get: (trait) => traits[trait], on() {{}}, off() {{}} }};
      widget.render({{ model, el: document.querySelector("main") }});
    </script>
  </head>
  <body><main></main></body>
</html>
"""

# How many steps the view shows to be done.
STEPS = """() => {
    const text = document.querySelector('.hw-card .hw-fact-value')?.textContent ?? '-1';
    return Number(text.split(' / ')[0].replaceAll(',', ''));
}"""
NOTE = "() => document.querySelector('.hw-card .hw-link')?.textContent ?? ''"


class RestartableServer:
    """A Jupyter server with a port, a token and data that stay the same.

    Parameters
    ----------
    folder
        Holds all of its data; the notebooks are in ``notebooks``.
    module
        What to run: ``"jupyterlab"``, or ``"jupyter_server"``, which starts sooner.
    """

    def __init__(self, folder: Path, *, module: str) -> None:
        self.folder = folder
        self.notebooks = folder / "notebooks"
        self.pages = folder / "pages"
        for made in (self.notebooks, self.pages):
            made.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.server = Server(url=f"http://127.0.0.1:{self.port}/", token="restart")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("COV_CORE")},
            "HEADWAY_DATA_DIR": str(folder / "data"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "IPYTHONDIR": str(folder / "ipython"),
        }
        self._command = [
            *(sys.executable, "-m", module, "--no-browser", "--allow-root"),
            f"--ServerApp.root_dir={self.notebooks}",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            "--ServerApp.jpserver_extensions=headway=True",
            f"--ServerApp.extra_static_paths=['{self.pages}']",
            f"--IdentityProvider.token={self.server.token}",
            *(["--LabApp.expose_app_in_browser=True"] if module == "jupyterlab" else []),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to start it; `back_at` waits for it."""
        assert self._process is None
        self._process = subprocess.Popen(
            self._command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def end(self) -> None:
        """End it as it should end, after its workers: the last owner of the private Redis stops that too."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            finally:
                self.kill()

    def back_at(self, task_id: str) -> tuple[float, int]:
        """Wait for its first HTTP answer, whatever it is.

        Returns
        -------
        time, done
            When it came, in seconds since the epoch, and the steps that Redis had for the task right after.
        """
        answered_at: float | None = None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(
                    self._progress_request(task_id), timeout=START_TIMEOUT_S
                ) as response:
                    answered_at = answered_at or time.time()
                    state = json.load(response)
                    return answered_at, max(stage["done"] or 0 for stage in state["stages"])
            except HTTPError as error:
                answered_at = answered_at or time.time()
                error.close()
            except OSError:
                pass
            time.sleep(PROBE_S)
        raise TimeoutError(f"the server did not come up within {START_TIMEOUT_S:.0f} s")

    def add_page(self, task_id: str) -> str:
        """Make a page that shows the task as a widget does; return its address below the base URL."""
        for name in ("widget.js", "widget.css"):
            shutil.copy(Path(headway.__file__).parent / "static" / name, self.pages)
        config = json.dumps({"baseUrl": "/", "wsUrl": "", "token": self.server.token})
        page = PAGE.format(config=config, task_ids=json.dumps([task_id]))
        (self.pages / f"{task_id}.html").write_text(page)
        (self.pages / "elsewhere.html").write_text("<!doctype html><title>Elsewhere</title>")
        return f"static/{task_id}.html"

    @contextmanager
    def worker(self, task_id: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the task in a process that is no kernel of the server, for the length of the block."""
        process = subprocess.Popen([sys.executable, "-c", WORKER, task_id], env=self.environment)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _progress_request(self, task_id: str) -> urllib.request.Request:
        return urllib.request.Request(
            f"{self.server.url}headway/tasks/{task_id}/progress", headers=self.server.headers
        )
