"""A process of its own that does what a test tells it, a line of Python at a time.

Its main thread waits for the next line between two of them, while Headway's threads go on, as in a notebook
between two cells.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SCRIPT = """
import json, os, sys, time
import headway

names = {"headway": headway, "os": os, "time": time}
for line in sys.stdin:
    answer = {}
    try:
        code = json.loads(line)
        try:
            answer["value"] = eval(code, names)
        except SyntaxError:
            exec(code, names)
    except BaseException as error:
        answer["error"], answer["message"] = type(error).__name__, str(error)
    print(json.dumps(answer, default=str), flush=True)
"""


class Puppet:
    """The other end of such a process.

    Parameters
    ----------
    process
        Runs `SCRIPT`.
    errors
        What it writes on its standard error.
    """

    def __init__(self, process: subprocess.Popen[str], errors: Any) -> None:
        self.process = process
        self._errors = errors

    def begin(self, code: str) -> None:
        """Tell it to run some code, and do not wait."""
        assert self.process.stdin is not None
        print(json.dumps(code), file=self.process.stdin, flush=True)

    def end(self) -> dict[str, Any]:
        """Wait for what it began, and give its value or its error."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the process ended: {self.errors()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def do(self, code: str) -> Any:
        """Run some code; give the value of an expression."""
        self.begin(code)
        answer = self.end()
        assert "error" not in answer, f"{code}: {answer['error']}: {answer['message']}"
        return answer.get("value")

    def fail(self, code: str) -> str:
        """Run some code that raises, and give the name of what it raised."""
        self.begin(code)
        answer = self.end()
        assert "error" in answer, f"{code} raised nothing, and gave {answer.get('value')!r}"
        name: str = answer["error"]
        return name

    def pause(self) -> None:
        """Let it stand still, all threads of it."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it, as the kernel does when memory runs out."""
        self.process.kill()
        self.process.wait()

    def leave(self) -> None:
        """Let it end by itself, as a script that is over does."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)

    def errors(self) -> str:
        """Give what it wrote on its standard error so far."""
        self._errors.seek(0)
        return str(self._errors.read())


@contextmanager
def start_puppet(**variables: str) -> Iterator[Puppet]:
    """Run a puppet until the end of the ``with`` block; it is killed there.

    Parameters
    ----------
    **variables
        Of its environment, beside those of this process.
    """
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            yield Puppet(process, errors)
        finally:
            process.kill()
            with process:
                pass  # closes the pipes, and waits
