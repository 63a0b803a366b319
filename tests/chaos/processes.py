"""The processes that faults happen to, apart from the store: workers and the Jupyter server."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from tests.chaos import reports
from tests.chaos.reports import Acked, Failed, Gone, Report, Started, Superseded

ROOT = Path(__file__).parents[2]
# A traceback, and some lines around it.
KEPT_LINES = 200
LAST_WORDS = 40
END_TIMEOUT_S = 10.0
START_TIMEOUT_S = 30.0
POLL_S = 0.05
# Asking a busy server again while it works at the last answer makes it busier.
REQUEST_TIMEOUT_S = 5.0
# Would lead to another store than the one of the test.
ELSEWHERE = "HEADWAY_REDIS_URL"
TRACEBACK = "Traceback (most recent call last)"


class Process:
    """A child in a session of its own, whose standard error is kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.errors: deque[str] = deque(maxlen=KEPT_LINES)
        self._has_complained = False
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _start(self, *words: str, environment: dict[str, str]) -> None:
        self.errors.clear()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, *words),
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name != ELSEWHERE} | environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl+C is for the orchestrator
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            asyncio.create_task(self._read(self._process.stdout, self._hear)),
            asyncio.create_task(self._read(self._process.stderr, self._complain)),
        ]

    async def _read(self, stream: asyncio.StreamReader, hear: Callable[[bytes], None]) -> None:
        while line := await stream.readline():
            hear(line)

    def _hear(self, line: bytes) -> None:
        pass

    def _complain(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        self._has_complained |= TRACEBACK in text
        self.errors.append(text)

    def take_complaint(self) -> str:
        """Return the last lines of standard error, once, when there is a new traceback among them."""
        has, self._has_complained = self._has_complained, False
        return self.last_words() if has else ""

    def last_words(self) -> str:
        return "\n".join(list(self.errors)[-LAST_WORDS:])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it still is one."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def kill(self) -> None:
        """End it at once, and read what it had still said.

        Raises
        ------
        TimeoutError
            When it has not ended 10 s later.
        """
        self.signal(signal.SIGKILL)
        if self._process is None:
            return
        async with asyncio.timeout(END_TIMEOUT_S):
            await self._process.wait()
            await asyncio.gather(*self._readers)
        # The pipe to it, which asyncio would close some time later.
        assert self._process.stdin is not None
        self._process.stdin.close()


class Worker(Process):
    """A process of ten tasks; see `worker`.

    Attributes
    ----------
    tasks
        What it runs, and which attempt of each it is.
    begun
        All that it has taken up, or could not take up, so far.
    acked_at
        When it last had something acknowledged; at first, when it was made.
    """

    def __init__(self, name: str, hear: Callable[[Worker, Report], None]) -> None:
        super().__init__(name)
        self.tasks: dict[str, int] = {}
        self.begun: set[str] = set()
        self.has_acked = False
        self.acked_at = time.monotonic()
        self._has_new_ack = asyncio.Event()
        self._to_tell = hear

    async def start(self, folder: Path, *, seed: int, task_ids: Sequence[str] = ()) -> None:
        words = ("-m", "tests.chaos.worker", "--name", self.name, "--seed", str(seed), *task_ids)
        await self._start(*words, environment={"HEADWAY_DATA_DIR": str(folder)})

    async def wait_for_ack(self, timeout_s: float) -> None:
        """Wait until the next thing is acknowledged, or the time is over."""
        self._has_new_ack.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._has_new_ack.wait()

    async def drain(self) -> None:
        """Let it begin no further task."""
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(ConnectionError):
            self._process.stdin.write(b"drain\n")
            await self._process.stdin.drain()

    def _hear(self, line: bytes) -> None:
        report = reports.decode(line)
        match report:
            case Started():
                self.tasks[report.task_id] = report.attempt
                self.begun.add(report.task_id)
            case Acked():
                self.has_acked, self.acked_at = True, report.at
                self._has_new_ack.set()
                if report.is_completed:
                    self.tasks.pop(report.task_id, None)
            case Superseded() | Gone() | Failed():
                self.begun.add(report.task_id)
                self.tasks.pop(report.task_id, None)
        self._to_tell(self, report)


class JupyterServer(Process):
    """A Jupyter server with nothing but the extension, always on the same port."""

    def __init__(self, folder: Path) -> None:
        super().__init__("server")
        self._folder = folder
        self._port = free_port()
        self._token = secrets.token_hex(16)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self._token}"}

    async def start(self) -> None:
        home = self._folder / "jupyter"
        home.mkdir(exist_ok=True)
        words = [
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self._port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={home}",
            f"--IdentityProvider.token={self._token}",
            "--ServerApp.jpserver_extensions=headway=True",
            "--no-browser",
            *(["--allow-root"] if os.getuid() == 0 else []),
        ]
        environment = {
            "HEADWAY_DATA_DIR": str(self._folder / "data"),
            "JUPYTER_NO_CONFIG": "1",  # no other extension: it starts in half the time
            **{f"JUPYTER_{kind}_DIR": str(home) for kind in ("CONFIG", "DATA", "RUNTIME")},
        }
        await self._start("-m", "tests.chaos.jupyter", *words, environment=environment)

    async def answers(self) -> bool:
        """Whether it listens, and its extension reaches Redis: it knows that a task is not there."""
        request = HTTPRequest(
            f"{self.url}headway/tasks/nobody/progress",
            headers=self.headers,
            connect_timeout=REQUEST_TIMEOUT_S,
            request_timeout=REQUEST_TIMEOUT_S,
        )
        try:
            response = await AsyncHTTPClient().fetch(request, raise_error=False)
        except (HTTPClientError, OSError):
            return False
        return response.code == 404 and b"TaskNotFoundError" in response.body

    async def wait(self) -> None:
        """Wait until it answers.

        Raises
        ------
        TimeoutError
            When it does not within 30 s; its last words are in the message.
        """
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self.answers():
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise TimeoutError(
                f"the server does not answer within {START_TIMEOUT_S:g} s:\n{self.last_words()}"
            ) from None


def free_port() -> int:
    """Return a port that nobody listens on, and that no outgoing connection is given later."""
    for port in range(20_000 + secrets.randbelow(5_000), 30_000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port from 20,000 to 30,000")
