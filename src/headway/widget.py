"""The anywidget: what a cell shows of tasks.

Where the page has a Jupyter server with the extension, the view asks it directly and moves while the kernel
is busy; the kernel then sends little over the comm. Elsewhere (VS Code, Colab, marimo) the comm is all there
is, and the kernel sends what changes, and the previews.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import msgspec
import traitlets

from headway.models import TaskProgress
from headway.settings import Settings

if TYPE_CHECKING:
    from headway.store.previews import StoredPreview

#: Drawn by the JupyterLab extension, also after a reload, a kernel restart, and in an untrusted notebook.
MIME_TYPE = "application/vnd.headway.tasks+json"

STATIC = Path(__file__).parent / "static"
# A comm message costs the kernel about 0.25 ms: with a server that the view can ask, one a second is enough
# for front ends that cannot reach it, and for the state that is saved in the notebook.
INTERVAL_S = 0.1
INTERVAL_WITH_SERVER_S = 1.0
# Every message carries all tasks of the widget: many tasks, fewer messages.
TASKS_PER_INTERVAL = 10
# So does every message of the previews: they take so much of the comm, and no more.
PREVIEW_BYTES_S = 2_000_000


class TaskWidget(anywidget.AnyWidget):
    """Shows one task, or a list of them, live.

    Made by `headway.show` and by a task that is the last line of a cell.

    Parameters
    ----------
    task_ids
        The tasks, in the order in which they are shown.
    states
        What is known of them now.
    """

    _esm = STATIC / "widget.js"
    _css = STATIC / "widget.css"

    task_ids = traitlets.List(traitlets.Unicode()).tag(sync=True)
    states = traitlets.Dict().tag(sync=True)
    previews = traitlets.Dict().tag(sync=True)

    def __init__(self, task_ids: Iterable[str], states: Iterable[TaskProgress] = (), **kwargs: Any) -> None:
        self._has_server = Settings.from_environment().has_server
        self._newest = {state.task_id: state for state in states}
        self._sent_at = time.monotonic()
        self._has_news = False
        self._previews: dict[str, StoredPreview] = {}
        self._previews_sent_at = 0.0
        self._has_previews = False
        super().__init__(task_ids=list(task_ids), states=_plain(self._newest), **kwargs)

    def __repr__(self) -> str:
        """Name the tasks only: this text is what a saved notebook keeps, long after their states."""
        return f"TaskWidget({', '.join(self.task_ids)})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Add, where there is a server to ask, what the JupyterLab extension draws without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None and self._has_server:
            bundle[0][MIME_TYPE] = {"task_ids": self.task_ids, "states": _plain(self._newest)}
        return bundle

    def receive(self, states: list[TaskProgress], previews: dict[str, StoredPreview]) -> None:
        """Take what the reporter has that is new, and send it when it is time to.

        Parameters
        ----------
        states
            The newest states of some of the widget's tasks; none, when it is only time to look at the clock.
        previews
            The newest of each task that has a new one.
        """
        self._newest |= {state.task_id: state for state in states}
        self._has_news = self._has_news or bool(states)
        interval_s = INTERVAL_WITH_SERVER_S if self._has_server else INTERVAL_S
        interval_s *= 1 + len(self._newest) // TASKS_PER_INTERVAL
        now = time.monotonic()
        is_due = now - self._sent_at >= interval_s or any(state.status.is_over for state in states)
        if self._has_news and is_due:
            self._sent_at, self._has_news = now, False
            self.states = _plain(self._newest)
        if not self._has_server:
            self._previews |= previews
            self._has_previews = self._has_previews or bool(previews)
            self._send_previews(now)

    def _send_previews(self, now: float) -> None:
        size_bytes = sum(len(preview.data) for preview in self._previews.values())
        is_due = now - self._previews_sent_at >= size_bytes / PREVIEW_BYTES_S
        # Nobody calls again once all are over.
        is_last = all(state.status.is_over for state in self._newest.values())
        if self._has_previews and (is_due or is_last):
            self._previews_sent_at, self._has_previews = now, False
            self.previews = {
                task_id: {"media_type": preview.media_type, "data": preview.data}
                for task_id, preview in self._previews.items()
            }


def _plain(states: dict[str, TaskProgress]) -> dict[str, Any]:
    return {task_id: msgspec.json.decode(state.to_json()) for task_id, state in states.items()}
