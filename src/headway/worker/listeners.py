"""Who in this process is told what becomes of tasks: the widgets of a kernel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from headway.diagnostics import warn_once
from headway.models import TaskProgress

if TYPE_CHECKING:
    from headway.store.previews import StoredPreview

#: Called on the reporter's thread with the states and the previews that are new, at each look also with none.
Listener = Callable[[list[TaskProgress], "dict[str, StoredPreview]"], None]


class Listeners:
    """Listeners and the tasks that each still waits for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[tuple[Listener, set[str]]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, listener: Listener, task_ids: Iterable[str]) -> None:
        """Tell a listener of some tasks until they are over."""
        with self._lock:
            self._entries.append((listener, set(task_ids)))

    def wanted(self) -> set[str]:
        """Return the tasks that somebody waits for."""
        return {task_id for _, ids in list(self._entries) for task_id in ids}

    def tell(self, states: list[TaskProgress], previews: dict[str, StoredPreview]) -> None:
        """Tell each listener what is new of its own tasks; one that fails is told no more."""
        for entry in list(self._entries):
            listener, ids = entry
            mine = [state for state in states if state.task_id in ids]
            try:
                listener(mine, {task_id: data for task_id, data in previews.items() if task_id in ids})
            except Exception as error:  # a view that is gone must not end the reporting
                warn_once("listener", "a view could not be told the progress: %s", error)
                with self._lock:
                    self._entries = [other for other in self._entries if other is not entry]

    def forget(self, task_ids: set[str]) -> None:
        """Tell nobody of these tasks any more: they are over."""
        with self._lock:
            for _, ids in self._entries:
                ids -= task_ids
            self._entries = [entry for entry in self._entries if entry[1]]
