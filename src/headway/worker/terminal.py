"""What a program writes to a terminal, as lines that are worth keeping: pure, with the clock as an argument.

A carriage return begins a line anew, so of a progress bar that is drawn again and again the last state
counts. While it goes on, one state a second is kept, at level debug, which is dropped first; its last state
always is. Bars below each other, which move the cursor up, are told apart by the text before their first
digit. A traceback is one entry, of level error; a warning that Python prints is one of level warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from headway.checks import MAX_ERROR_CHARS
from headway.logs import LogLevel

# A state of a bar that goes on is kept every so often.
BAR_INTERVAL_S = 1.0
# Bars that are told apart; beyond it the oldest are forgotten.
MAX_BARS = 16
# Of one write: of more lines the last are kept. As many as wait for the store.
MAX_LINES = 1_000
# A traceback that does not end, such as of a recursion, is kept in parts.
MAX_TRACE_LINES = 200

TRACEBACK = "Traceback (most recent call last):"
# Between a traceback and the one that it led to.
BETWEEN = ("During handling of the above exception", "The above exception was the direct cause")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")
_CURSOR_UP = re.compile(r"\x1b\[\d*A")
_WARNING = re.compile(r"\b[A-Z]\w*Warning: ")


class Line(NamedTuple):
    """A line that is to be logged."""

    level: LogLevel
    text: str


class _Bar:
    """One progress bar: the state that was kept last, when that was, and the newest one."""

    def __init__(self) -> None:
        self.kept = ""
        self.kept_at = float("-inf")
        self.newest = ""


class Terminal:
    """What is written to one stream, folded into lines; not safe for several threads at once."""

    def __init__(self) -> None:
        self._open = ""
        self._bars: dict[str, _Bar] = {}
        # Of bars below each other, whose line feeds only move the cursor.
        self._is_stacked = False
        self._trace: list[str] = []
        self._is_trace_over = False
        # Whether nothing waits that another line could belong to.
        self._is_plain = True

    def write(self, text: str, now: float) -> Sequence[Line]:
        """Take what was written and return the lines that are complete.

        Parameters
        ----------
        text
            Whatever was written: a part of a line, or many.
        now
            Monotonic seconds.
        """
        if self._is_plain and text.find("\n") == len(text) - 1 and not _is_special(text):
            text = text.rstrip()  # one line, as most of what is written is
            return (Line(LogLevel.INFO, text),) if text else ()
        lines = list(self._fold(text, now))
        self._is_plain = not (self._open or self._bars or self._trace)
        return lines

    def _fold(self, text: str, now: float) -> Iterator[Line]:
        if "\x1b" in text:
            self._is_stacked = self._is_stacked or _CURSOR_UP.search(text) is not None
            text = _CONTROL.sub("", text)
        *lines, last = (self._open + text).split("\n") if "\n" in text else [self._open + text]
        if len(lines) > MAX_LINES:
            yield Line(LogLevel.WARNING, f"… {len(lines) - MAX_LINES:,} lines were left out")
            lines = lines[-MAX_LINES:]
        for line in lines:
            if "\r" in line:
                yield from self._end_bar(line, now)
            else:
                yield from self._line(line)
        if "\r" in last:
            yield from self._draw_bar(_folded(last), now)
            last = _shown(last)
        if len(last) > MAX_ERROR_CHARS:
            yield from self._line(_folded(last))
            last = ""
        self._open = last
        if self._bars:
            yield from self._overdue(now)

    def close(self) -> Iterator[Line]:
        """Give what is left: a line that was not ended, the last states of bars, a traceback."""
        rest, self._open = self._open, ""
        if "\r" in rest:
            self._is_stacked = False
            yield from self._end_bar(rest, float("inf"))
        elif rest:
            yield from self._line(rest)
        yield from self._end_trace()
        for bar in self._bars.values():
            if bar.newest != bar.kept:
                yield Line(LogLevel.INFO, bar.newest)
        self._bars.clear()

    def _line(self, line: str) -> Iterator[Line]:
        line = line.rstrip()
        if self._trace:
            goes_on = not line or line[0] == " " or line.startswith((TRACEBACK, *BETWEEN))
            if goes_on and len(self._trace) < MAX_TRACE_LINES:
                self._trace.append(line)
                self._is_trace_over = False
                return
            if not self._is_trace_over and not goes_on:
                self._trace.append(line)  # the error itself
                self._is_trace_over = True
                return
            yield from self._end_trace()
        if line.startswith(TRACEBACK):
            self._trace, self._is_trace_over = [line], False
        elif line:
            is_warning = "Warning: " in line and _WARNING.search(line)
            yield Line(LogLevel.WARNING if is_warning else LogLevel.INFO, line)

    def _end_trace(self) -> Iterator[Line]:
        trace, self._trace = self._trace, []
        if trace:
            text = "\n".join(trace).rstrip()
            if len(text) > MAX_ERROR_CHARS:
                text = "…" + text[1 - MAX_ERROR_CHARS :]
            yield Line(LogLevel.ERROR, text)

    def _draw_bar(self, text: str, now: float) -> Iterator[Line]:
        """Take a state of a bar that goes on."""
        if text.strip():
            bar = self._bar(text)
            bar.newest = text
            if now - bar.kept_at >= BAR_INTERVAL_S and bar.newest != bar.kept:
                bar.kept, bar.kept_at = text, now
                yield Line(LogLevel.DEBUG, text)

    def _end_bar(self, line: str, now: float) -> Iterator[Line]:
        """Take the last state of a bar, unless the line feed only leads to the next bar."""
        text = _folded(line)
        if "\r" not in line.removesuffix("\r"):  # lines that end as on Windows
            yield from self._line(text)
        elif self._is_stacked:
            yield from self._draw_bar(text, now)
        elif text:
            bar = self._bars.pop(_name(text), None)
            if bar is None or bar.kept != text:
                yield Line(LogLevel.INFO, text)

    def _overdue(self, now: float) -> Iterator[Line]:
        for bar in self._bars.values():
            if bar.newest != bar.kept and now - bar.kept_at >= BAR_INTERVAL_S:
                bar.kept, bar.kept_at = bar.newest, now
                yield Line(LogLevel.DEBUG, bar.newest)

    def _bar(self, text: str) -> _Bar:
        name = _name(text)
        bar = self._bars.get(name)
        if bar is None:
            if len(self._bars) >= MAX_BARS:
                del self._bars[next(iter(self._bars))]
            bar = self._bars[name] = _Bar()
        return bar


def _is_special(line: str) -> bool:
    """Whether a line must be looked at more closely."""
    return "\r" in line or "\x1b" in line or "Warning: " in line or line.startswith(TRACEBACK)


def _folded(line: str) -> str:
    """Return what a line shows that carriage returns have begun anew; a bar that wiped itself, as it was."""
    parts = (part.rstrip() for part in reversed(line.split("\r")))
    return next((part for part in parts if part), "")


def _shown(line: str) -> str:
    """Return what such a line shows now, with the carriage returns that what follows must know of."""
    shown = next((part for part in reversed(line.split("\r")) if part), "").rstrip()
    return f"\r{shown}\r" if shown and line.endswith("\r") else f"\r{shown}" if shown else ""


def _name(text: str) -> str:
    """Return what tells one bar from another: what stands before its first digit."""
    return re.split(r"\d", text, maxsplit=1)[0].rstrip()
