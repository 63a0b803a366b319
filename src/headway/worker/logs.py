"""`LogHandler`: what other code says through `logging` becomes entries of a task's log."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import TYPE_CHECKING, Self

from headway.checks import MAX_ERROR_CHARS
from headway.diagnostics import warn_once
from headway.logs import level_of

if TYPE_CHECKING:
    from headway.worker.task import Task

# Of these a task hears nothing: what Headway says of itself would be logged for ever.
OWN_LOGGER = "headway"
OWN_THREADS = "headway-"
# A message that is followed by a traceback leaves it three quarters of an entry.
MAX_MESSAGE_BEFORE_TRACE = MAX_ERROR_CHARS // 4


class LogHandler(logging.Handler):
    """Forwards records to the log of a task.

    Attach it as any handler, or for the length of a ``with`` block::

        with headway.LogHandler(task, logger="diffusers", level="debug"):
            ...

    The logger's own level decides first, and that of the root logger is WARNING unless it was set. A level
    becomes the highest of debug, info, warning and error that it reaches; the logger's name goes with the
    entry, and a traceback below the message, from which the beginning is cut where it is too long. What
    Headway says itself is left out. It never raises, and may be used from any thread.

    Parameters
    ----------
    task
        Whose log it is.
    logger
        What a ``with`` block attaches it to, by name or itself; the root logger by default.
    level
        Only records of this level or above, as `logging` names or numbers them; all by default.

    Raises
    ------
    ValueError, TypeError
        When the level is not one.
    """

    def __init__(
        self,
        task: Task,
        *,
        logger: logging.Logger | str | None = None,
        level: int | str = logging.NOTSET,
    ) -> None:
        super().__init__(level.upper() if isinstance(level, str) else level)
        self._task = task
        self._logger = logger if isinstance(logger, logging.Logger) else logging.getLogger(logger)

    def __enter__(self) -> Self:
        self._logger.addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._logger.removeHandler(self)
        self.close()

    def emit(self, record: logging.LogRecord) -> None:
        """Add the record to the task's log."""
        if is_own(record):
            return
        try:
            text = self.format(record) if self.formatter is not None else text_of(record)
            self._task.log(text, level_of(record.levelno), logger=record.name)
        except Exception as error:  # whatever an argument's __str__ raises, the caller only wanted to log
            warn_once(
                f"log:{record.name}",
                "a record of logger %s does not reach task %s: %s",
                record.name,
                self._task.task_id,
                type(error).__name__,
            )


def is_own(record: logging.LogRecord) -> bool:
    """Whether it is Headway itself that logs, or what its threads call."""
    name = record.name
    return (
        name == OWN_LOGGER
        or name.startswith(f"{OWN_LOGGER}.")
        or (record.threadName or "").startswith(OWN_THREADS)
    )


def text_of(record: logging.LogRecord) -> str:
    """Return a record's message, with the traceback, or the stack, below it."""
    message = record.getMessage()
    traces = []
    if record.exc_info and record.exc_info[0] is not None:
        traces.append(record.exc_text or _FORMATTER.formatException(record.exc_info))
    elif record.exc_text and not record.exc_info:
        traces.append(record.exc_text)  # came from another process
    if record.stack_info:
        traces.append(record.stack_info)
    return with_trace(message, "\n".join(traces)) if traces else message


def with_trace(message: str, trace: str) -> str:
    """Put a traceback below a message; of one that is too long the end is kept, where the error stands."""
    if len(message) + len(trace) + 1 <= MAX_ERROR_CHARS:
        return f"{message}\n{trace}"
    message = message[:MAX_MESSAGE_BEFORE_TRACE]
    room = MAX_ERROR_CHARS - len(message) - 2
    return f"{message}\n…{trace[-room:]}" if len(trace) > room else f"{message}\n{trace}"


_FORMATTER = logging.Formatter()
