"""Loops that count themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import TotalMismatchError
from headway.worker.loop import ITEMS_PER_GATE, Loop


def nothing() -> None:
    pass


def loop_over(items: Any, total: int | None = None) -> Loop[Any]:
    return Loop(items, total=total, on_start=nothing, on_end=nothing)


@given(st.integers(0, 3 * ITEMS_PER_GATE), st.booleans(), st.booleans())
def test_every_item_comes_once_and_in_order(count: int, is_generator: bool, is_announced: bool) -> None:
    items: Any = (i for i in range(count)) if is_generator else range(count)
    loop = loop_over(items, total=count if is_announced and count else None)
    assert list(loop) == list(range(count))
    assert (loop.done, loop.has_ended) == (count, True)


@pytest.mark.parametrize("count", [1, 10, ITEMS_PER_GATE, ITEMS_PER_GATE + 1, 2 * ITEMS_PER_GATE])
def test_the_item_in_hand_is_taken_and_not_done(count: int) -> None:
    loop = loop_over(iter(range(count)))
    assert (loop.taken, loop.done) == (0, 0)
    for index in loop:
        assert (loop.taken, loop.done) == (index + 1, index)
    assert (loop.taken, loop.done) == (count, count)


@pytest.mark.parametrize("total", [1, 9, ITEMS_PER_GATE, ITEMS_PER_GATE + 1])
def test_one_item_more_than_announced_raises_at_that_item(total: int) -> None:
    loop, seen = loop_over(iter(range(total + 5)), total=total), []
    with pytest.raises(TotalMismatchError, match=f"expected {total} items.*there are more"):
        for item in loop:
            seen.append(item)
    assert seen == list(range(total))


@pytest.mark.parametrize("count", [0, 8, ITEMS_PER_GATE])
def test_fewer_items_than_announced_raise_at_the_end(count: int) -> None:
    loop = loop_over(range(count), total=count + 1)
    with pytest.raises(TotalMismatchError, match=f"ended after {count}"):
        list(loop)


def test_the_iterables_own_length_is_the_total_and_may_be_wrong() -> None:
    class Lying:
        def __len__(self) -> int:
            return 3

        def __iter__(self) -> Iterator[int]:
            return iter(range(5_000))

    assert loop_over([1, 2, 3]).total == 3
    assert loop_over(x for x in "abc").total is None
    loop = loop_over(Lying())
    assert loop.total == 3
    assert len(list(loop)) == 5_000
    assert loop.total is None


@pytest.mark.parametrize("error", [TypeError, NotImplementedError, ValueError])
def test_a_length_that_refuses_to_be_known_is_unknown(error: type[Exception]) -> None:
    class Streaming:
        def __len__(self) -> int:
            raise error("no length")

        def __iter__(self) -> Iterator[int]:
            return iter(range(4))

    loop = loop_over(Streaming())
    assert (loop.total, list(loop)) == (None, [0, 1, 2, 3])


def test_the_end_is_told_after_the_last_item_and_not_after_a_break() -> None:
    ends: list[int] = []
    whole = Loop(range(3), total=None, on_start=nothing, on_end=lambda: ends.append(1))
    assert (list(whole), ends) == ([0, 1, 2], [1])
    broken = Loop(range(3), total=None, on_start=nothing, on_end=lambda: ends.append(2))
    for _ in broken:
        break
    assert ends == [1]
    assert broken.done == 0
