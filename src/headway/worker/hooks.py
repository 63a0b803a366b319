"""What the reporter is told of its process: that it forks, and that it ends."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable


class ProcessHooks:
    """The hooks of one reporter, for as long as the process and its forks live.

    Parameters
    ----------
    before_fork, after_fork
        Called in the process that forks, and in its child.
    at_exit
        Called before the interpreter ends.
    """

    def __init__(
        self,
        *,
        before_fork: Callable[[], None],
        after_fork: Callable[[], None],
        at_exit: Callable[[], None],
    ) -> None:
        self._before_fork = before_fork
        self._after_fork = after_fork
        self._at_exit = at_exit
        self._has_registered = False

    def register(self) -> None:
        """Have them called; to be repeated for each thread that the reporter starts."""
        # redis needs it, and it cannot be imported once the interpreter has begun to end: a script that is
        # over before the thread has come to it would deliver nothing. And its own hooks hold, while a fork
        # goes on, locks that our thread's imports need: hooks that run before a fork run in the reverse of
        # the order in which they were registered, so ours come after.
        import concurrent.futures.thread  # noqa: F401

        if not self._has_registered:
            self._has_registered = True
            atexit.register(self._at_exit)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(before=self._before_fork, after_in_child=self._after_fork)
        util = sys.modules.get("multiprocessing.util")
        if util is not None and sys.modules["multiprocessing"].parent_process() is not None:
            # A child of multiprocessing ends without atexit.
            util.Finalize(None, self._at_exit, exitpriority=100)
