"""The link of this process to the store: made when somebody asks for it, and again after it was lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from headway.settings import Settings

if TYPE_CHECKING:
    from headway.tracker import ProgressTracker


class Link:
    """The reporter's; but for `has_imported` it belongs to the reporter's event loop.

    Parameters
    ----------
    settings
        Where the store is.
    load
        Imports what else is imported with the first connection; a second call is to do nothing.

    Attributes
    ----------
    tracker
        The tracker, connected or not; ``None`` before the first time.
    has_imported
        Set when nothing more is to be imported: before that a fork would leave its child half a module.
    """

    def __init__(self, settings: Settings, *, load: Callable[[], None]) -> None:
        self.tracker: ProgressTracker | None = None
        self.has_imported = threading.Event()
        self._settings = settings
        self._load = load
        self._is_connected = False

    async def connect(self) -> ProgressTracker:
        """Return the tracker, connected.

        Raises
        ------
        StoreError
            When Redis does not answer, or cannot be started.
        """
        from headway.store.tasks import TaskStore
        from headway.tracker import ProgressTracker

        try:
            self._load()
            if self.tracker is None:
                self.tracker = ProgressTracker(TaskStore(self._settings, run_blocking=_run_here))
            if not self._is_connected:
                await self.tracker.store.connect()
                self._is_connected = True
        finally:
            self.has_imported.set()  # whether or not it answers
        return self.tracker

    def lose(self) -> None:
        """Take note that the connection is gone: the next one that asks makes it anew."""
        self._is_connected = False


async def _run_here(call: Callable[[], object]) -> object:
    # The loop is the reporter's own, and at exit no further thread can be started.
    return call()
