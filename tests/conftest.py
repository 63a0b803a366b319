"""What every test shares: one private Valkey, an environment of its own, and processes that end.

No test touches the user's data: the environment points into a temporary folder for the whole session. A test
that asks for `settings`, `redis` or `open_tracker` finds the session's server empty. Other processes find the
same server through ``HEADWAY_DATA_DIR``.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

from headway import diagnostics
from headway.settings import Settings
from headway.store.embedded import EmbeddedServer
from headway.store.tasks import TaskStore
from headway.tracker import ProgressTracker
from tests import examples

DEADLINE_S = 20.0
POLL_S = 0.005

# Machines are shared: how long an example takes says nothing of the code.
settings.register_profile(
    "headway",
    deadline=None,
    derandomize=examples.ARE_THE_SAME,
    max_examples=examples.examples(examples.USUAL),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("headway")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test on an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(scope="session", autouse=True)
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The session's data folder; nothing in the environment points anywhere else."""
    folder = tmp_path_factory.mktemp("hw")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("HEADWAY_")]:
            patch.delenv(name)
        patch.setenv("HEADWAY_DATA_DIR", str(folder / "data"))
        for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(folder / name.lower()))
        yield folder / "data"


@pytest.fixture(autouse=True)
def unsaid() -> None:
    """What was said once in another test is said again."""
    diagnostics._said.clear()


@pytest.fixture(scope="session")
def server(data_dir: Path) -> Iterator[EmbeddedServer]:
    """The session's Valkey, found by every process through the environment."""
    server = EmbeddedServer(data_dir)
    server.ensure()
    yield server
    server.release()


@pytest.fixture
def redis(server: EmbeddedServer) -> Iterator[Redis]:
    """A plain client of the session's Valkey, which is empty."""
    server.ensure()  # a test may have killed it
    with Redis.from_url(server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def settings(data_dir: Path, redis: Redis) -> Settings:
    """Settings that lead to the session's Valkey, which is empty."""
    return Settings(data_dir=data_dir)


@pytest.fixture
def open_tracker(settings: Settings) -> Callable[..., ProgressTracker]:
    """Make trackers: ``async with open_tracker() as tracker``."""
    return lambda **options: ProgressTracker(TaskStore(settings), **options)


@pytest.fixture
def start_python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python on a script, with text pipes; what still runs after the test is killed.

    Positional arguments become ``sys.argv[1:]``, keyword arguments environment variables, ``None`` for one
    that is not to be there.
    """
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: object, **variables: str | None) -> subprocess.Popen[str]:
        environment = {**os.environ, **variables}
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            env={name: value for name, value in environment.items() if value is not None},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        with process:
            pass  # closes the pipes, and waits


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., Any]:
    """Wait for a condition in a test without an event loop; give what it returned at last."""

    def wait(condition: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
        deadline = time.monotonic() + deadline_s
        while not (found := condition()):
            assert time.monotonic() < deadline, (
                f"not true within {deadline_s} s: {inspect.getsource(condition)}"
            )
            time.sleep(POLL_S)
        return found

    return wait


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """Wait for a condition on an event loop: ``await eventually(lambda: ...)``."""

    async def wait(condition: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
        deadline = time.monotonic() + deadline_s
        while not (found := condition()):
            assert time.monotonic() < deadline, (
                f"not true within {deadline_s} s: {inspect.getsource(condition)}"
            )
            await asyncio.sleep(POLL_S)
        return found

    return wait
