"""Showing tasks in the cell of a notebook: the widget, its updates, and what the saved notebook keeps."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from headway.diagnostics import warn_once
from headway.models import TaskProgress
from headway.worker.reporter import REPORTER
from headway.worker.task import Task

if TYPE_CHECKING:
    from headway.store.previews import StoredPreview


def in_notebook() -> bool:
    """Whether this code runs in a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")


def new_view() -> NotebookView | None:
    """Return what shows a task of this process; ``None`` outside a notebook."""
    return NotebookView() if in_notebook() else None


class NotebookView:
    """Shows one task in the cell that runs, and not twice in the same one."""

    def __init__(self) -> None:
        self._shown_in: int | None = None

    def __call__(self, task: Task) -> None:
        """Show the task, unless this cell shows it already."""
        cell = sys.modules["IPython"].get_ipython().execution_count
        if cell == self._shown_in:
            return
        try:
            show_in_cell([task.progress])
        except Exception as error:  # a broken front end must not stop the job
            warn_once(
                "view", "the task cannot be shown here, but goes on: %s: %s", type(error).__name__, error
            )
        self._shown_in = cell


def show_in_cell(states: list[TaskProgress]) -> None:
    """Show tasks live in the cell that runs."""
    from IPython.display import display

    from headway.widget import TaskWidget

    widget = TaskWidget([state.task_id for state in states], states)
    running = {state.task_id for state in states if not state.status.is_over}
    output = display(widget, display_id=True)  # type: ignore[no-untyped-call]  # IPython's has no annotations

    def receive(states: list[TaskProgress], previews: dict[str, StoredPreview]) -> None:
        widget.receive(states, previews)
        over = {state.task_id for state in states if state.status.is_over}
        if over & running:
            running.difference_update(over)
            output.update(widget)  # what the notebook keeps: the end state, once a task has one

    if running:
        REPORTER.listen(receive, list(running))
