"""Loops that count themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import TotalMismatchError
from headway.worker.loop import ITEMS_PER_BLOCK, Loop


def nothing() -> None:
    pass


def loop_over(items: Any, total: int | None = None) -> Loop[Any]:
    return Loop(items, total=total, on_start=nothing, on_end=nothing)


KINDS: dict[str, Callable[[int], Any]] = {
    "range": range,
    "tuple": lambda count: tuple(range(count)),
    "list": lambda count: list(range(count)),
    "generator": lambda count: (i for i in range(count)),
}


@given(st.integers(0, 3 * ITEMS_PER_BLOCK), st.sampled_from(sorted(KINDS)), st.booleans())
def test_every_item_comes_once_and_in_order(count: int, kind: str, is_announced: bool) -> None:
    items = KINDS[kind](count)
    loop = loop_over(items, total=count if is_announced and count else None)
    assert list(loop) == list(range(count))
    assert (loop.done, loop.has_ended) == (count, True)


@pytest.mark.parametrize("count", [1, 10, ITEMS_PER_BLOCK, ITEMS_PER_BLOCK + 1, 2 * ITEMS_PER_BLOCK])
@pytest.mark.parametrize("kind", KINDS)
def test_the_item_in_hand_is_taken_and_not_done(count: int, kind: str) -> None:
    loop = loop_over(KINDS[kind](count))
    assert (loop.taken, loop.done) == (0, 0)
    for index in loop:
        assert (loop.taken, loop.done) == (index + 1, index)
    assert (loop.taken, loop.done) == (count, count)


@pytest.mark.parametrize("total", [1, 9, ITEMS_PER_BLOCK, ITEMS_PER_BLOCK + 1])
@pytest.mark.parametrize("kind", KINDS)
def test_one_item_more_than_announced_raises_at_that_item(total: int, kind: str) -> None:
    loop, seen = loop_over(KINDS[kind](total + 5), total=total), []
    with pytest.raises(TotalMismatchError, match=f"expected {total} items.*there are more"):
        for item in loop:
            seen.append(item)
    assert seen == list(range(total))


@pytest.mark.parametrize("count", [0, 8, ITEMS_PER_BLOCK])
@pytest.mark.parametrize("kind", KINDS)
def test_fewer_items_than_announced_raise_at_the_end(count: int, kind: str) -> None:
    loop = loop_over(KINDS[kind](count), total=count + 1)
    with pytest.raises(TotalMismatchError, match=f"ended after {count}"):
        list(loop)


def test_a_list_may_change_while_it_is_iterated_over() -> None:
    items = [1, 2, 3]
    seen = []
    for item in loop_over(items):
        seen.append(item)
        if item == 1:
            items[1] = 20
            items.append(4)
    assert seen == [1, 20, 3, 4]


def test_a_generator_is_never_ahead_of_the_loop() -> None:
    made = []

    def items() -> Iterator[int]:
        for i in range(5):
            made.append(i)
            yield i

    for item in loop_over(items()):
        assert made[-1] == item


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
