"""The demo: a notebook on a real JupyterLab server, for people with a browser and machines without."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import msgspec
from jupyter_core.paths import jupyter_runtime_dir
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from headway.errors import HeadwayError
from headway.models import TaskProgress, TaskStatus, encode_json
from headway.timestamps import Timestamp

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 2.0
# The three tasks of the quickstart take about a minute; a slow machine may take ten times as long.
NOTEBOOK_TIMEOUT_S = 900.0
# How often new tasks are looked for.
DISCOVERY_S = 0.2


class DemoError(HeadwayError):
    """The demo could not be run; the message says what stopped it."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A running Jupyter server.

    Parameters
    ----------
    url
        Its base URL, with a slash at the end.
    token
        Lets the demo in.
    """

    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"token {self.token}"}

    async def request(self, path: str, *, method: str = "GET", body: object = None) -> Any:
        """Make a REST call and return the JSON of its answer."""
        content = None if body is None else encode_json(body)
        request = HTTPRequest(self.url + path, method=method, body=content, headers=self.headers)
        response = await AsyncHTTPClient().fetch(request)
        return json.loads(response.body or b"null")

    @asynccontextmanager
    async def connect(self, path: str) -> AsyncIterator[WebSocketClientConnection]:
        """Open a WebSocket for the length of the block."""
        socket = await websocket_connect(HTTPRequest("ws" + self.url[4:] + path, headers=self.headers))
        try:
            yield socket
        finally:
            socket.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    while await socket.read_message() is not None:
                        pass


def run(notebook: Path) -> int:
    """Start JupyterLab on a notebook, print its address, and wait until it is stopped."""
    with start_server(notebook, open_browser=True) as (process, server):
        print(f"\n  Headway's demo: {notebook_url(server, notebook)}\n  Ctrl+C ends it.\n", flush=True)
        try:
            return process.wait()
        except KeyboardInterrupt:
            return 0


def run_headless(notebook: Path) -> int:
    """Execute a notebook on a server, printing each update of its tasks; 0 when all completed."""
    with start_server(notebook, open_browser=False) as (_, server):
        print(f"server {server.url}", flush=True)
        print(f"{'task':<34} {'stage':<18} {'done':>7}  time left", flush=True)
        try:
            tasks, updates = asyncio.run(execute_and_watch(server, notebook))
        except (ExceptionGroup, TimeoutError) as error:
            causes = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
            for cause in causes:
                print(f"failed: {type(cause).__name__}: {cause}", flush=True)
            return 1
    completed = [task for task in tasks if task.status is TaskStatus.COMPLETED]
    print(f"{updates} updates, {len(completed)} of {len(tasks)} tasks completed", flush=True)
    return 0 if tasks and len(completed) == len(tasks) else 1


@contextmanager
def start_server(
    notebook: Path, *, open_browser: bool, arguments: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[bytes], Server]]:
    """Run JupyterLab in the notebook's folder, on the first free port from 8888 on.

    Parameters
    ----------
    arguments
        Further words of JupyterLab's command line.

    Raises
    ------
    DemoError
        When it ends, or does not answer within 90 s.
    """
    command = [
        *(sys.executable, "-m", "jupyterlab", notebook.name),
        "--ServerApp.port_retries=100",
        "--ServerApp.answer_yes=True",
        # The demo is of this version of the extension, whatever else the user's configuration says.
        "--ServerApp.jpserver_extensions=headway=True",
        *arguments,
    ]
    if not open_browser:
        command.append("--no-browser")
    if os.getuid() == 0:
        command.append("--allow-root")
    log = sys.stderr if open_browser else subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=notebook.parent, stderr=log)  # noqa: S603 - our own words
    try:
        yield process, wait_for_server(process)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_server(process: subprocess.Popen[bytes]) -> Server:
    """Read where a server listens from the file that it writes about itself."""
    path = Path(jupyter_runtime_dir()) / f"jpserver-{process.pid}.json"
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoError(f"JupyterLab ended with status {process.returncode} instead of starting")
        if path.exists() and (text := path.read_text()):
            facts = json.loads(text)
            server = Server(url=facts["url"], token=facts["token"])
            if answers(server):  # the file may be there before anybody listens, and Redis comes last
                return server
        time.sleep(0.1)
    raise DemoError(f"JupyterLab did not start within {START_TIMEOUT_S:.0f} s")


def answers(server: Server) -> bool:
    """Whether the server listens, and its extension, where it has one, reaches Redis."""
    request = Request(f"{server.url}headway/tasks?limit=1", headers=server.headers)  # noqa: S310 - our own
    try:
        with urlopen(request, timeout=5.0):  # noqa: S310
            return True
    except HTTPError as error:
        return error.code == 404  # a server without the extension
    except OSError:
        return False


def notebook_url(server: Server, notebook: Path) -> str:
    """Return the address that opens the notebook in JupyterLab."""
    return f"{server.url}lab/tree/{quote(notebook.name)}?token={server.token}"


async def execute_and_watch(server: Server, notebook: Path) -> tuple[list[TaskProgress], int]:
    """Execute a notebook and print what becomes of the tasks that it makes.

    Returns
    -------
    tasks, updates
        Their last states, and how many updates came.
    """
    async with server.connect("headway/ws/progress") as socket, asyncio.timeout(NOTEBOOK_TIMEOUT_S):
        watch = Watch(server, socket)
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(watch.discover()), group.create_task(watch.receive())]
            await execute_notebook(server, notebook)
            await watch.finished()
            for worker in workers:
                worker.cancel()
    return list(watch.tasks.values()), watch.updates


class Watch:
    """Subscribes to new tasks and prints their updates."""

    def __init__(self, server: Server, socket: WebSocketClientConnection) -> None:
        self._server = server
        self._socket = socket
        self._since = Timestamp(time.time())
        self._known: set[str] = set()
        self._changed = asyncio.Event()
        self.tasks: dict[str, TaskProgress] = {}
        self.updates = 0

    async def discover(self) -> None:
        """Subscribe to tasks as they appear."""
        while True:
            listed = await self._server.request(f"headway/tasks?since={quote(self._since.to_iso())}")
            new = [
                task["task_id"]
                for task in listed["tasks"]
                if task["task_id"] not in self._known
                and Timestamp.from_iso(task["created_at"]) >= self._since
            ]
            if new:
                self._known.update(new)
                await self._socket.write_message(encode_json({"type": "subscribe", "task_ids": new}))
            await asyncio.sleep(DISCOVERY_S)

    async def receive(self) -> None:
        """Print each update."""
        while (message := await self._socket.read_message()) is not None:
            received = json.loads(message)
            if received["type"] != "progress.update":
                continue
            task = TaskProgress.from_json(encode_json(received["data"]))
            self.tasks[task.task_id] = task
            self.updates += 1
            print(line(task, now=time.time()), flush=True)
            self._changed.set()

    async def finished(self) -> None:
        """Wait until every task is over."""
        while not self.tasks or not all(task.status.is_over for task in self.tasks.values()):
            self._changed.clear()
            await self._changed.wait()


def line(task: TaskProgress, *, now: float) -> str:
    """Say in one line how far a task is: task, stage, percent, time left."""
    left_s = None if task.eta is None else task.eta.median - now
    left = "–" if left_s is None else f"{left_s:.0f} s left" if left_s >= 1.0 else "a moment left"
    stage = task.current_stage if not task.status.is_over else task.status.value
    return f"{task.task_id:<34} {stage or task.status.value:<18} {task.overall_progress:5.1f} %  {left}"


async def execute_notebook(server: Server, notebook: Path) -> None:
    """Run the notebook's code cells, one after the other, in a kernel of the server.

    Raises
    ------
    DemoError
        When a cell fails, with its traceback.
    """
    cells = json.loads(notebook.read_text())["cells"]
    body = {"path": notebook.name, "name": notebook.name, "type": "notebook", "kernel": {"name": "python3"}}
    session = await server.request("api/sessions", method="POST", body=body)
    try:
        async with server.connect(f"api/kernels/{session['kernel']['id']}/channels") as kernel:
            for cell in cells:
                code = "".join(cell["source"])
                if cell["cell_type"] == "code" and code.strip():
                    await execute(kernel, code)
    finally:
        await server.request(f"api/sessions/{session['id']}", method="DELETE")


async def execute(kernel: WebSocketClientConnection, code: str) -> None:
    """Run code in a kernel and wait for its reply."""
    id = uuid.uuid4().hex
    request = {
        "channel": "shell",
        "header": {
            "msg_id": id,
            "msg_type": "execute_request",
            "session": id,
            "username": "headway",
            "version": "5.3",
            "date": datetime.now(UTC).isoformat(),
        },
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False, "store_history": True, "allow_stdin": False},
        "buffers": [],
    }
    await kernel.write_message(json.dumps(request))
    while (message := await kernel.read_message()) is not None:
        reply = json.loads(message)
        if reply["parent_header"].get("msg_id") == id and reply["msg_type"] == "execute_reply":
            if reply["content"]["status"] == "ok":
                return
            raise DemoError("a cell failed:\n" + "\n".join(reply["content"].get("traceback", [])))
    raise DemoError("the kernel's connection was closed")
