"""Loops within loops: the inner one fills one step of the one around it."""

from __future__ import annotations

from typing import Any

from headway.worker.loop import Loop


class LoopStack:
    """The loops that run in one stage, outermost first; used under the task's lock."""

    def __init__(self) -> None:
        # Each with what the one around it had taken when it began.
        self._loops: list[tuple[Loop[Any], int]] = []
        self._seen: tuple[int, ...] = ()
        self._initial = 0

    def begin(self, loop: Loop[Any], *, initial: int = 0) -> None:
        """Add a loop inside those that still run.

        Parameters
        ----------
        initial
            Items of an outermost loop that were done before it began.
        """
        self._drop_stale()
        while self._loops and self._loops[-1][0].is_left:
            self._loops.pop()
        if not self._loops:
            self._initial = initial
        self._loops.append((loop, self._loops[-1][0].taken if self._loops else 0))
        self._seen = ()

    def is_outermost(self, loop: Loop[Any]) -> bool:
        """Whether the stage's progress is this loop's."""
        return bool(self._loops) and self._loops[0][0] is loop

    def clear(self) -> None:
        """Forget the loops: their stage is over."""
        self._loops.clear()
        self._seen = ()

    def has_news(self) -> bool:
        """Whether a loop has gone on since the last look."""
        seen = tuple(loop.done for loop, _ in self._loops)
        if seen == self._seen:
            return False
        self._seen = seen
        return True

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
        fraction: float | None = 0.0
        for depth, (loop, _) in reversed(list(enumerate(self._loops))):
            before = 0 if depth else self._initial
            if not loop.total or fraction is None:
                fraction = None
            else:
                fraction = min(1.0, (before + loop.done + fraction) / (before + loop.total))
        outer = self._loops[0][0]
        done = self._initial + outer.done
        total = self._initial + outer.total if outer.total else total
        facts = {"progress": fraction, "done": done, "total": max(total, done) if total else None}
        return {name: fact for name, fact in facts.items() if fact is not None}

    def _drop_stale(self) -> None:
        """Forget inner loops that were left: the loop around them has gone on."""
        for depth in range(1, len(self._loops)):
            if self._loops[depth - 1][0].taken != self._loops[depth][1]:
                del self._loops[depth:]
                return
