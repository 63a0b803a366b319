"""Loops within loops: the inner one fills one step of the one around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakSet

from headway.worker.loop import Loop


class Entry(NamedTuple):
    """A loop that runs.

    Parameters
    ----------
    loop
        The loop.
    began_at
        What the loop around it had taken when it began.
    initial
        How many of its items were done before it began.
    """

    loop: Loop[Any]
    began_at: int
    initial: int


class LoopStack:
    """The loops that run in one stage, outermost first; used under the task's lock."""

    def __init__(self) -> None:
        self._loops: list[Entry] = []
        # Also those beside each other, in other threads, and those whose stage is over.
        self._every: WeakSet[Loop[Any]] = WeakSet()
        # How far each was at the last `read`.
        self._seen: tuple[int, ...] = ()

    def begin(self, loop: Loop[Any], *, initial: int = 0) -> None:
        """Add a loop inside those that still run.

        Parameters
        ----------
        initial
            How many of its items were done before it began.
        """
        self._drop_stale()
        while self._loops and self._loops[-1].loop.is_left:
            self._loops.pop()
        self._every.add(loop)
        self._loops.append(Entry(loop, self._loops[-1].loop.taken if self._loops else 0, initial))
        self._seen = ()

    def is_outermost(self, loop: Loop[Any]) -> bool:
        """Whether the stage's progress is this loop's."""
        return bool(self._loops) and self._loops[0].loop is loop

    def stop(self, error: Callable[[], BaseException]) -> None:
        """Have the next item of each loop that runs raise instead; see `Loop.stop`."""
        for loop in list(self._every):
            if not loop.is_left:
                loop.stop(error)

    def clear(self) -> None:
        """Count the loops no more: their stage is over."""
        self._loops.clear()
        self._seen = ()

    @property
    def has_news(self) -> bool:
        """Whether a loop has gone on since the last `read`."""
        return bool(self._loops) and self._counts() != self._seen

    def read(self, total: int | None) -> dict[str, Any]:
        """Say in the words of `transitions.update_stage` how far the stage is.

        Parameters
        ----------
        total
            What was said of a loop that does not know its own total: in vain, once it has gone beyond.
        """
        self._drop_stale()
        if not self._loops:
            return {}
        self._seen = self._counts()  # first: what is counted meanwhile is news
        fraction: float | None = 0.0
        for loop, _, initial in reversed(self._loops):
            if not loop.total or fraction is None:
                fraction = None
            else:
                fraction = min(1.0, (initial + loop.done + fraction) / (initial + loop.total))
        outer, _, initial = self._loops[0]
        done = initial + outer.done
        total = initial + outer.total if outer.total else total
        facts = {"progress": fraction, "done": done, "total": max(total, done) if total else None}
        return {name: fact for name, fact in facts.items() if fact is not None}

    def _counts(self) -> tuple[int, ...]:
        return tuple(entry.loop.done for entry in self._loops)

    def _drop_stale(self) -> None:
        """Forget inner loops that were left: the loop around them has gone on."""
        for depth in range(1, len(self._loops)):
            if self._loops[depth - 1].loop.taken != self._loops[depth].began_at:
                del self._loops[depth:]
                return
