"""Loops that count themselves in C.

The loop's items pass through `itertools`, in blocks whose list iterators know how many items are left, so
another thread can read how far the loop is while the loop runs no Python code of ours. For a range or a
tuple the block is a copy of the next items themselves; for any other iterable, whose items must not be taken
before their time, it is a list of truth values that `compress` pairs with the items. Our code runs between
blocks only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, compress
from operator import length_hint
from typing import Any, Generic, TypeVar

from headway.errors import TotalMismatchError

T = TypeVar("T")
S = TypeVar("S")

# Between two calls of our code: rare enough to cost nothing, few enough to stay in the processor's cache.
ITEMS_PER_BLOCK = 1_024


class Loop(Generic[T]):
    """Counts the items of an iterable while somebody else iterates over it.

    Parameters
    ----------
    items
        Any iterable.
    total
        How many items there will be. ``None``: the iterable's own length, if it has one, which may be wrong
        without harm.
    on_start, on_end
        Called on the iterating thread before the first item and after the last.
    """

    def __init__(
        self,
        items: Iterable[T],
        *,
        total: int | None,
        on_start: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self._items = items
        self._announced = total
        self.total = total if total is not None else _known_length(items)
        self._on_start = on_start
        self._on_end = on_end
        # Items in the blocks so far, of which the newest one still holds some back.
        self._admitted = 0
        self._block: Iterator[object] = iter(())
        self._items_of_block: list[Any] = []
        self._error: Callable[[], BaseException] | None = None
        self._stopped_at: int | None = None
        self.has_ended = False
        # Ended, or left by break, return or an exception: nothing will be taken any more.
        self.is_left = False

    @property
    def taken(self) -> int:
        """How many items the loop has been given; the last of them is being worked on."""
        if self._stopped_at is not None:
            return self._stopped_at
        return self._admitted - length_hint(self._block)

    @property
    def done(self) -> int:
        """How many items the loop is finished with."""
        return self.taken if self.has_ended else max(0, self.taken - 1)

    def __iter__(self) -> Iterator[T]:
        """Begin the loop; its iterator costs about 10 ns an item more than the iterable's own."""
        self._on_start()
        # Let go, so that a generator is closed where the loop is left, as it would be without us.
        items, self._items = self._items, ()
        if isinstance(items, (range, tuple)):  # what cannot change while it is iterated over
            return chain.from_iterable(self._copies(items))
        return compress(chain(items, self._tail()), chain.from_iterable(self._truths()))

    def stop(self, error: Callable[[], BaseException]) -> None:
        """Have the next item raise instead; called from any thread.

        Parameters
        ----------
        error
            Makes what is raised, on the iterating thread.
        """
        self._error = error
        self._stopped_at = self.taken
        # The block's iterator finds nothing more in it, and the next item comes back to our code.
        self._items_of_block.clear()

    def _copies(self, items: Sequence[T]) -> Iterator[Iterator[T]]:
        """Yield the items of a sequence that cannot change, block by block."""
        try:
            for start in range(0, len(items), ITEMS_PER_BLOCK):
                yield self._admit(list(items[start : start + self._room()]))
                if self._admitted == self._announced and self._admitted < len(items):
                    self._room()  # which there is none
            self._check()
            yield from self._tail()
        finally:
            self.is_left = True

    def _truths(self) -> Iterator[Iterator[bool]]:
        """Yield as many truth values as there are items, or more, block by block."""
        truths = [True] * ITEMS_PER_BLOCK
        try:
            while True:
                room = self._room()
                yield self._admit(truths if room == ITEMS_PER_BLOCK else truths[:room])
        finally:
            self.is_left = True

    def _admit(self, block: list[S]) -> Iterator[S]:
        iterator = iter(block)
        self._items_of_block = block
        self._check()  # after the line above, which `stop` may have missed
        # In this order: who reads between the two lines sees a count too low, never one too high.
        self._block = iterator
        self._admitted += len(block)
        return iterator

    def _check(self) -> None:
        if self._error is not None:
            raise self._error()

    def _room(self) -> int:
        """Return how many items may come in the next block."""
        self._check()
        if self._announced is None:
            if self.total is not None and self._admitted >= self.total:
                self.total = None  # the iterable has more items than it said
            return ITEMS_PER_BLOCK
        if self._admitted == self._announced:
            raise TotalMismatchError(
                f"expected {self._announced} items, the total that was given, and there are more; "
                "give the right total, or none while it is unknown",
                self._announced + 1,
            )
        return min(ITEMS_PER_BLOCK, self._announced - self._admitted)

    def _tail(self) -> Iterator[Any]:
        """Yield nothing: it is reached when the items have run out."""
        self.has_ended = True
        if self._announced is not None and self.taken < self._announced:
            raise TotalMismatchError(
                f"expected {self._announced} items, the total that was given, and the loop ended after "
                f"{self.taken}; give the right total, or none while it is unknown",
                self.taken,
            )
        self._on_end()
        yield from ()


def _known_length(items: object) -> int | None:
    try:
        length = length_hint(items, 0)
    except Exception:
        return None  # a length that refuses to be known, however, as that of a streaming data set
    return length or None
