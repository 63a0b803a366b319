"""The stored log of a task: bounded, each entry once, read in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from redis import Redis

from headway import transitions
from headway.errors import UsageError
from headway.logs import LogEntry, LogLevel
from headway.models import TaskProgress
from headway.stages import parse_stages
from headway.store import keys
from headway.store.reports import MAX_WAITING_BYTES, EncodedEntry, Report, bounded_entries, encode_entry
from headway.store.tasks import KEPT_LOG_ENTRIES
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker
from tests.reports import log_entries, preview

OpenTracker = Callable[..., Any]


def state(seq: int = 1, *, attempt: int = 1) -> TaskProgress:
    task = transitions.create("a", "t", parse_stages({"run": 1.0}), now=Timestamp(1_000))
    return replace(task, seq=seq, attempt=attempt)


def ids(entries: Iterable[LogEntry | EncodedEntry]) -> list[int]:
    return [entry.id for entry in entries]


async def whole(tracker: ProgressTracker, **options: Any) -> tuple[list[int], int]:
    """Read all pages: the ids of the entries, and how many were dropped."""
    found: list[int] = []
    since: int | None = 0
    while since is not None:
        page = await tracker.read_logs("a", since=since, **options)
        found += ids(page.entries)
        since = page.cursor
    return found, page.dropped


async def test_entries_are_read_in_the_order_in_which_they_were_written(open_tracker: OpenTracker) -> None:
    levels = list(LogLevel)
    entries = tuple(
        LogEntry(
            id=number,
            timestamp=Timestamp(1_000 + number),
            level=levels[number % 4],
            message=f"line {number}",
            metadata={"step": number},
        )
        for number in range(1, 26)
    )
    encoded = tuple(encode_entry(entry) for entry in entries)
    async with open_tracker() as tracker:
        await tracker.store.write([Report(task=state(1), entries=encoded[:10])])
        await tracker.store.write([Report(task=state(2), entries=encoded[10:])])
        assert (await tracker.read_logs("a")).entries == entries
        assert await whole(tracker, limit=4) == (list(range(1, 26)), 0)
        assert await whole(tracker, limit=25) == (list(range(1, 26)), 0)
        assert (await tracker.read_logs("missing")).entries == ()
        for level in LogLevel:
            wanted = [entry.id for entry in entries if entry.level.rank >= level.rank]
            for limit in (1, 4, 1_000):
                assert await whole(tracker, level=level.value, limit=limit) == (wanted, 0)
        assert ids((await tracker.read_logs("a", since=7, limit=3)).entries) == [8, 9, 10]


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 1_001}, {"since": -1}, {"since": 2**53 + 1}, {"level": "loud"}]
)
async def test_what_cannot_be_read_is_refused(open_tracker: OpenTracker, query: Any) -> None:
    async with open_tracker() as tracker:
        with pytest.raises(UsageError, match="expected"):
            await tracker.read_logs("a", **query)


async def test_a_report_that_is_written_twice_is_stored_once(open_tracker: OpenTracker) -> None:
    report = Report(
        task=state(), run="r", entries=log_entries(3, first=6), first_log_id=1, checkpoint=b'{"x":1}'
    )
    async with open_tracker() as tracker:
        for _ in range(2):
            assert await tracker.store.write([report]) == {}
        assert await whole(tracker) == ([6, 7, 8], 5)


async def test_a_newer_report_may_hold_again_what_was_stored_although_the_answer_was_lost(
    open_tracker: OpenTracker,
) -> None:
    first = Report(task=state(1), run="r", entries=log_entries(3))
    second = Report(task=state(2), run="r", entries=log_entries(2, first=4)).after(first)
    assert ids(second.entries) == [1, 2, 3, 4, 5]
    async with open_tracker() as tracker:
        await tracker.store.write([first])
        await tracker.store.write([second])
        assert await whole(tracker) == ([1, 2, 3, 4, 5], 0)
        assert (await tracker.get_stored("a")).log_id == 5


async def test_what_was_dropped_before_it_came_is_counted_once_although_the_answer_was_lost(
    open_tracker: OpenTracker,
) -> None:
    first = Report(task=state(1), run="r", entries=log_entries(3, first=11), first_log_id=1)
    second = Report(task=state(2), run="r", entries=log_entries(2, first=16), first_log_id=1).after(first)
    async with open_tracker() as tracker:
        await tracker.store.write([first])
        await tracker.store.write([second])
        assert await whole(tracker) == ([11, 12, 13, 16, 17], 12)


async def test_the_newest_2000_are_kept_and_those_of_level_debug_are_dropped_first(
    open_tracker: OpenTracker, redis: Redis
) -> None:
    async with open_tracker() as tracker:
        await tracker.store.write([Report(task=state(1), entries=log_entries(900, level=LogLevel.DEBUG))])
        await tracker.store.write([Report(task=state(2), entries=log_entries(900, first=901))])
        assert (await whole(tracker))[1] == 0
        await tracker.store.write([Report(task=state(3), entries=log_entries(500, first=1_801))])
        assert await whole(tracker) == (list(range(301, 2_301)), 300), "the oldest 300 of level debug"
        await tracker.store.write([Report(task=state(4), entries=log_entries(1_000, first=2_301))])
        found, dropped = await whole(tracker)
        assert (found, dropped) == ([*range(701, 901), *range(1_501, 3_301)], 1_300), "a tenth is of debug"
        assert redis.xlen(keys.debug_logs("a")) == 200
        debug = log_entries(5, first=3_301, level=LogLevel.DEBUG)
        await tracker.store.write([Report(task=state(5), entries=debug)])
        found, dropped = await whole(tracker)
        assert (len(found), dropped) == (KEPT_LOG_ENTRIES, 1_305)
        assert found[-5:] == list(range(3_301, 3_306)), "the newest are there, of whatever level"
        page = await tracker.read_logs("a", limit=10, level="warning")
        assert (page.entries, page.total) == ((), 3_305)


async def test_the_log_goes_on_over_attempts(open_tracker: OpenTracker) -> None:
    async with open_tracker() as tracker:
        await tracker.store.write([Report(task=state(1), run="r", worker="w", entries=log_entries(3))])
        attached = await tracker.attach("a", run="s", worker="w")
        assert attached.log_id == 3
        refused = Report(task=state(99), run="r", entries=log_entries(2, first=50))
        assert "a" in await tracker.store.write([refused])
        task = replace(attached.task, seq=attached.task.seq + 1)
        await tracker.store.write([Report(task=task, run="s", entries=log_entries(2, first=4))])
        assert await whole(tracker) == ([1, 2, 3, 4, 5], 0)


entry_sizes = st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=30)


def waiting(said: list[tuple[bool, int]]) -> list[EncodedEntry]:
    """Entries of which each is of level debug or not, and so long."""
    return [
        EncodedEntry(id=number, is_debug=is_debug, data=b"x" * size)
        for number, (is_debug, size) in enumerate(said)
    ]


@given(entry_sizes)
def test_of_what_waits_debug_is_dropped_first_then_the_oldest(said: list[tuple[bool, int]]) -> None:
    entries = waiting(said)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headway.store.reports.MAX_WAITING_ENTRIES", 10)
        kept = bounded_entries(entries)
    newest_debug = [entry for entry in entries if entry.is_debug][-1:]
    rest = [entry for entry in entries if entry not in newest_debug]
    in_turn = sorted(rest, key=lambda entry: (not entry.is_debug, entry.id))
    over = max(0, len(entries) - 10)
    assert kept == sorted([*in_turn[over:], *newest_debug], key=lambda entry: entry.id)


@given(entry_sizes)
def test_what_waits_is_bounded_in_bytes_in_the_same_order(said: list[tuple[bool, int]]) -> None:
    entries = waiting(said)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headway.store.reports.MAX_WAITING_BYTES", 90)
        kept = bounded_entries(entries)
    gone = [entry for entry in entries if entry not in kept]
    size_bytes = sum(len(entry.data) for entry in kept)
    assert size_bytes <= 90
    if gone:
        last = max(gone, key=lambda entry: (not entry.is_debug, entry.id))
        assert size_bytes + len(last.data) > 90, "no more than had to"
        others = [entry for entry in kept if not entry.is_debug]
        assert all(entry.id > last.id for entry in kept if entry.is_debug == last.is_debug)
        assert not others or last.is_debug or others[0].id > last.id
    debug = [entry for entry in entries if entry.is_debug]
    assert debug[-1:] == [entry for entry in kept if entry.is_debug][-1:], "a tenth, here the newest, stays"
    if any(not entry.is_debug for entry in gone):
        left_bytes = sum(len(entry.data) for entry in kept if entry.is_debug)
        assert left_bytes <= 9


def test_a_share_of_the_bytes_is_kept_for_debug() -> None:
    half = b"x" * 20_000
    debug = [EncodedEntry(id=number, is_debug=True, data=half) for number in range(100)]
    others = [EncodedEntry(id=100 + number, is_debug=False, data=half) for number in range(100)]
    kept = bounded_entries([*debug, *others])
    assert [entry.id for entry in kept] == [*range(90, 100), *range(110, 200)]
    assert sum(len(entry.data) for entry in kept) == MAX_WAITING_BYTES


def test_a_report_holds_what_an_older_one_of_the_same_run_could_not_deliver() -> None:
    old, new = preview(1, b"old", dropped=(7,)), preview(2, b"new", dropped=(8,))
    older = Report(task=state(1), run="r", checkpoint=b"1", entries=log_entries(2), preview=old)
    newer = Report(task=state(2), run="r", entries=log_entries(1, first=3)).after(older)
    assert (newer.task.seq, newer.checkpoint, newer.preview) == (2, b"1", old)
    assert ids(newer.entries) == [1, 2, 3]
    full = Report(task=state(2), run="r", checkpoint=b"2", preview=new).after(older)
    assert (full.checkpoint, full.preview) == (b"2", preview(2, b"new", dropped=(7, 8)))
    emptied = Report(task=state(2), run="r", checkpoint=b"").after(older)
    assert emptied.checkpoint == b"", "which drops it"
    another = Report(task=state(2), run="s")
    assert another.after(older) is another
    assert another.after(None) is another
