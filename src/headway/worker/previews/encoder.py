"""The thread that makes the previews of all the process's tasks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.worker.previews.slot import PreviewSlot

# To encode the last preview of a task takes less.
CLOSE_TIMEOUT_S = 1.0
# No wait is unbounded: a condition cannot be waited for as long as a float can say.
MAX_WAIT_S = 60.0


class PreviewEncoder:
    """The thread that encodes, started with the first preview.

    Parameters
    ----------
    on_encoded
        Called on that thread when a preview is ready to be taken.

    Attributes
    ----------
    attention
        0 to 1: which share of their budget previews may use; less where nobody watches.
    """

    def __init__(self, on_encoded: Callable[[], None]) -> None:
        self.attention = 1.0
        self._on_encoded = on_encoded
        self._condition = threading.Condition()
        self._waiting: list[PreviewSlot] = []
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @property
    def is_used(self) -> bool:
        """Whether a preview was ever offered."""
        return self._thread is not None

    def enqueue(self, slot: PreviewSlot) -> bool:
        """Have a slot's picture encoded as soon as it is due; return whether it will be."""
        with self._condition:
            if self._is_closed:
                return False
            if slot not in self._waiting:
                self._waiting.append(slot)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="headway-previews", daemon=True)
                self._thread.start()
            self._condition.notify()
        return True

    def close(self) -> None:
        """End the thread; what still waits is given up."""
        with self._condition:
            self._is_closed = True
            waiting, self._waiting = self._waiting, []
            self._condition.notify()
        for slot in waiting:
            slot.give_up()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        from headway.worker.previews import encoding

        encoding.load_libraries()
        while (slot := self._next_due()) is not None:
            slot.encode()
            del slot  # while this thread waits it holds no task's
            self._on_encoded()

    def _next_due(self) -> PreviewSlot | None:
        with self._condition:
            while not self._is_closed:
                now = time.monotonic()
                due = min(self._waiting, key=lambda slot: slot.due_at, default=None)
                if due is not None and due.due_at <= now:
                    self._waiting.remove(due)
                    return due
                self._condition.wait(None if due is None else min(due.due_at - now, MAX_WAIT_S))
        return None
