"""Every error that Headway raises: one tree, sorted by whose fault it is.

An error that is the caller's is raised at once, in the caller, before anything is stored. An error of the
store is raised only where somebody waits for an answer; reporting from a task never raises it.
"""

from __future__ import annotations

from difflib import get_close_matches


class HeadwayError(Exception):
    """Anything that Headway raises, but for `TaskCancelled`."""


class UsageError(HeadwayError, ValueError):
    """The caller asked for something that cannot be; the message says what was expected."""


class StoreError(HeadwayError):
    """Redis, or the way to it, failed."""


class InvalidTaskIdError(UsageError):
    """The task id does not have the form of one.

    Attributes
    ----------
    task_id
        What was given.
    """

    def __init__(self, task_id: object) -> None:
        self.task_id = task_id
        super().__init__(
            "expected a task id of 1 to 128 letters, digits, '_', '-' or '.', beginning with a letter or a "
            f"digit, got {str(task_id)[:160]!r}"
        )


class InvalidStagesError(UsageError):
    """A list of stages, or their weights, makes no sense."""


class UnknownStageError(UsageError):
    """The task has no stage of that name.

    Attributes
    ----------
    stage
        What was asked for.
    """

    def __init__(self, stage: object, known: tuple[str, ...]) -> None:
        self.stage = stage
        close = get_close_matches(str(stage), known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        super().__init__(
            f"expected one of the task's stages ({', '.join(known)}), got {stage!r}; {hint}"
            "the stages come from the task's category=, or from stages={name: weight, ...}"
        )


class StageOrderError(UsageError):
    """A stage was started before the running one was left, or after a later one had begun."""


class InvalidProgressError(UsageError):
    """A progress, a count or a total is out of its range, or not a number.

    Attributes
    ----------
    value
        What was given.
    """

    def __init__(self, message: str, value: object) -> None:
        self.value = value
        super().__init__(message)


class TotalMismatchError(InvalidProgressError):
    """A loop had more, or fewer, items than the total that was announced for it."""


class InvalidParamsError(UsageError):
    """Parameters or metadata that JSON cannot carry, or too many of them."""


class TaskStateError(UsageError):
    """The task is over, or not of this process, and cannot be reported on."""


class TaskCancelled(BaseException):
    """Somebody has asked for the end of the task; raised in the code that runs it.

    Like an interrupt it is not an `Exception`: code that goes on after a failed item stops all the same. It
    is raised once a request, so that clean-up code may go on reporting.

    Attributes
    ----------
    task_id
        The task.
    by
        Who asked.
    """

    def __init__(self, task_id: str, by: str) -> None:
        self.task_id = task_id
        self.by = by
        super().__init__(f"task {task_id!r} was cancelled by {by}")

    def __reduce__(self) -> tuple[type[TaskCancelled], tuple[str, str]]:
        """Travel between processes, as from a pool to whoever waits for its result."""
        return type(self), (self.task_id, self.by)

    def _render_traceback_(self) -> list[str]:
        """Say it in a line where a notebook would print where the code stood: nothing went wrong there."""
        return [f"TaskCancelled: {self}"]


class TaskNotFoundError(HeadwayError, LookupError):
    """No such task is stored; it never was, or its time is over.

    Attributes
    ----------
    task_id
        The id that was looked up.
    """

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(f"no task {task_id!r} is stored")


class TaskExistsError(HeadwayError):
    """A task of that id is stored already.

    Attributes
    ----------
    task_id
        The id that was to be created.
    """

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(f"expected a new task id, got {task_id!r}, which is stored already; choose another")


class StoreUnavailableError(StoreError):
    """Redis does not answer at present."""


class EmbeddedServerError(StoreUnavailableError):
    """The private Redis server could not be started."""
