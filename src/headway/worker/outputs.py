"""`OutputCapture`: what a block prints becomes entries of a task's log, and is still printed.

The stream's own ``write`` is wrapped while any capture is open, so that whoever holds the stream already, a
logging handler or a progress bar, is heard too, and the stream stays what it is. Each capture hears what is
written in the context (`contextvars`) in which its block began, and in what it calls: other threads, and
other tasks of asyncio, print without being heard.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from headway.diagnostics import warn_once
from headway.worker.terminal import Line, Terminal

if TYPE_CHECKING:
    from headway.worker.task import Task

STREAMS = ("stdout", "stderr")
# Parts of a line that are put together at its end; more of them are looked at before.
MAX_PARTS = 64

# The captures of this context, the outermost first.
_open: ContextVar[tuple[OutputCapture, ...]] = ContextVar("headway_captures", default=())


class OutputCapture:
    """Logs what a ``with`` block prints; see the module, and `headway.worker.terminal` for what is a line.

    What goes to stdout and stderr is of level info, but for tracebacks and Python's warnings, which are known
    by their looks: on stderr also progress bars and greetings are printed. Captures may be nested, and end in
    any order; each of them hears what is printed. It never raises into what prints.

    Parameters
    ----------
    task
        Whose log it is.
    clock
        Monotonic seconds.
    """

    def __init__(self, task: Task, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._task = task
        self._clock = clock
        self._lock = threading.RLock()
        self._is_open = False
        self._is_logging = False
        self._taps: list[_Tap] = []
        self._terminals: dict[str, Terminal] = {}
        self._parts: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        self._terminals = {name: Terminal() for name in STREAMS}
        self._parts = {name: [] for name in STREAMS}
        self._is_open = True
        self._taps = [tap for name in self._terminals if (tap := _tap(name, getattr(sys, name))) is not None]
        _open.set((*_open.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _open.set(tuple(capture for capture in _open.get() if capture is not self))
        for tap in self._taps:
            tap.release()
        with self._lock:
            self._is_open = False  # also for contexts that were copied from this one
            for name, terminal in self._terminals.items():
                rest = terminal.write("".join(self._parts[name]), self._clock())
                self._log(name, [*rest, *terminal.close()])

    def hear(self, name: str, text: str) -> None:
        """Take what was written to the stream of that name."""
        with self._lock:
            if not self._is_open or self._is_logging:
                return
            parts = self._parts[name]
            if "\n" not in text and "\r" not in text and len(parts) < MAX_PARTS:
                parts.append(text)  # `print` writes its arguments one by one
                return
            if parts:
                text = "".join(parts) + text
                parts.clear()
            lines = self._terminals[name].write(text, self._clock())
            if lines:
                self._log(name, lines)

    def _log(self, name: str, lines: Iterable[Line]) -> None:
        self._is_logging = True  # what the log itself says is not logged
        try:
            for level, text in lines:
                self._task.log(text, level, stream=name)
        except Exception as error:  # a job that prints must not end because of that
            warn_once(
                f"output:{self._task.task_id}",
                "some output does not reach the log of task %s: %r",
                self._task.task_id,
                error,
            )
        finally:
            self._is_logging = False


class _Tap:
    """A stream whose ``write`` is wrapped, while any capture is open."""

    def __init__(self, name: str, stream: Any) -> None:
        self.name = name
        self.stream = stream
        self.users = 0
        self._before = vars(stream).get("write")
        write = stream.write

        def wrapped(text: str) -> Any:
            written = write(text)
            if isinstance(text, str):
                for capture in _open.get():
                    capture.hear(name, text)
            return written

        self._wrapped = wrapped
        vars(stream)["write"] = wrapped

    def release(self) -> None:
        """Unwrap the stream when nobody else captures it; one that was wrapped again meanwhile stays so."""
        with _taps_lock:
            self.users -= 1
            if self.users:
                return
            del _taps[id(self.stream)]
            attributes = vars(self.stream)
            if attributes.get("write") is not self._wrapped:
                return
            if self._before is None:
                del attributes["write"]
            else:
                attributes["write"] = self._before


# By the identity of the stream, which a tap keeps alive.
_taps: dict[int, _Tap] = {}
_taps_lock = threading.Lock()


def _tap(name: str, stream: Any) -> _Tap | None:
    with _taps_lock:
        tap = _taps.get(id(stream))
        if tap is None:
            try:
                tap = _taps[id(stream)] = _Tap(name, stream)
            except (TypeError, AttributeError) as error:  # there is none, as under pythonw
                warn_once(f"tap:{name}", "what is written to %s cannot be logged: %r", name, error)
                return None
        tap.users += 1
        return tap
