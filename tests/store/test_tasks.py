"""The store: what is newer wins, what is written is listed and announced, what is old goes away."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace
from redis import Redis

from headway import transitions
from headway.errors import EmbeddedServerError, StoreUnavailableError, UsageError
from headway.models import TaskProgress
from headway.settings import Settings
from headway.stages import STAGE_DEFINITIONS
from headway.store import keys
from headway.store.clients import TIMEOUT_S
from headway.store.embedded import EmbeddedServer
from headway.store.previews import KEPT_PREVIEWS, StoredPreview
from headway.store.reports import Refusal, Report
from headway.store.tasks import TaskStore
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker
from tests.examples import examples
from tests.reports import preview, reports


@pytest.fixture
def open_store(settings: Settings) -> Callable[..., Any]:
    """``async with open_store() as store``; keyword arguments replace settings."""

    @asynccontextmanager
    async def open_(**changes: object) -> AsyncIterator[TaskStore]:
        store = TaskStore(replace(settings, **changes))
        await store.connect()
        try:
            yield store
        finally:
            await store.close()

    return open_


def state(task_id: str = "a", *, seq: int = 1, attempt: int = 1, created_at: float = 1_000.0) -> TaskProgress:
    stages = STAGE_DEFINITIONS["image_generation"]
    task = transitions.create(task_id, "sdxl", stages, now=Timestamp(created_at))
    return replace(task, seq=seq, attempt=attempt)


async def test_a_state_is_read_back_as_the_very_bytes_that_were_written(open_store: Any) -> None:
    async with open_store() as store:
        assert await store.write(reports(state(seq=7))) == {}
        stored = (await store.read(["a", "missing"]))["a"]
    assert (stored.seq, stored.data) == (7, state(seq=7).to_json())


@pytest.mark.parametrize(
    ("attempt", "seq", "is_written"),
    [(1, 6, True), (2, 6, True), (1, 5, False), (1, 4, False), (2, 5, False), (0, 6, False)],
)
async def test_only_what_is_newer_and_of_no_older_attempt_is_written(
    open_store: Any, attempt: int, seq: int, is_written: bool
) -> None:
    async with open_store() as store:
        await store.write(reports(state(seq=5, attempt=1)))
        before = await store.read(["a"])
        refused = await store.write(reports(state(seq=seq, attempt=attempt)))
        after = await store.read(["a"])
    assert refused == ({} if is_written else {"a": Refusal(attempt=1, seq=5)})
    assert (after["a"].seq == seq and after != before) if is_written else after == before


@pytest.mark.parametrize(("expected_seq", "is_written"), [(5, True), (4, False), (6, False), (0, False)])
async def test_a_compare_and_set_wants_the_very_seq_that_is_stored(
    open_store: Any, expected_seq: int, is_written: bool
) -> None:
    async with open_store() as store:
        await store.write(reports(state(seq=5)))
        refused = await store.write([Report(task=state(seq=7), expected_seq=expected_seq)])
        assert (await store.read(["a"]))["a"].seq == (7 if is_written else 5)
    assert (not refused) is is_written


async def test_zero_is_expected_where_nothing_is_stored(open_store: Any) -> None:
    async with open_store() as store:
        assert await store.write([Report(task=state(), expected_seq=0)]) == {}
        refused = await store.write([Report(task=state(seq=2), expected_seq=0)])
    assert refused == {"a": Refusal(attempt=1, seq=1)}


async def test_a_refused_write_leaves_the_index_as_it_was(open_store: Any, redis: Redis) -> None:
    async with open_store() as store:
        await store.write(reports(state(created_at=1_000)))
        await store.write(reports(state(created_at=2_000)))
    assert redis.zscore(keys.INDEX, "a") == 1_000


async def test_every_write_sets_the_time_to_live_anew_of_the_previews_too(
    open_store: Any, redis: Redis
) -> None:
    async with open_store(ttl_s=100) as store:
        await store.write([Report(task=state(seq=1), preview=preview(1, b"jpeg"))])
        assert redis.ttl(keys.previews("a")) in (99, 100)
        for seq in (2, 3):
            redis.persist(keys.task("a"))
            redis.expire(keys.previews("a"), 5)
            await store.write(reports(state(seq=seq)))
            assert redis.ttl(keys.task("a")) in (99, 100)
            assert redis.ttl(keys.previews("a")) in (99, 100)
        redis.expire(keys.task("a"), 5)
        await store.write(reports(state(seq=1)))
        assert redis.ttl(keys.task("a")) in (4, 5), "a refused write does not prolong a task's life"


async def test_what_was_written_is_announced_once_and_what_was_refused_is_not(open_store: Any) -> None:
    async with open_store() as store, store.changes() as hints:
        await store.write(reports(state("a"), state("b"), state("c")))
        await store.write(reports(state("a", seq=2), state("b"), state("c")))
        await store.write(reports(state("b")))
        await store.write(reports(state("d")))
        assert [await anext(hints) for _ in range(3)] == [["a", "b", "c"], ["a"], ["d"]]


async def test_a_hint_that_is_no_text_does_not_end_the_listening(open_store: Any, redis: Redis) -> None:
    async with open_store() as store, store.changes() as hints:
        redis.publish(keys.CHANGES, b"\xff\xfe")
        redis.publish(keys.CHANGES, b"a")
        await anext(hints)
        assert await anext(hints) == ["a"]


async def test_listening_for_longer_than_the_time_out_of_a_quiet_server_goes_on(
    open_store: Any, redis: Redis
) -> None:
    async with open_store() as store, store.changes() as hints:
        hint = asyncio.ensure_future(anext(hints))
        done, _ = await asyncio.wait([hint], timeout=2 * TIMEOUT_S + 0.5)
        assert not done
        redis.publish(keys.CHANGES, b"a")
        assert await asyncio.wait_for(hint, 5) == ["a"]


async def test_many_tasks_are_written_at_once(open_store: Any, redis: Redis) -> None:
    ids = [f"task-{number}" for number in range(500)]
    async with open_store() as store:
        await store.write(reports(state(ids[3], seq=9), state(ids[-1], seq=9)))
        refused = await store.write(reports(*[state(task_id) for task_id in ids]))
        stored = await store.read(ids)
    assert refused == {task_id: Refusal(attempt=1, seq=9) for task_id in (ids[3], ids[-1])}
    assert [stored[task_id].seq for task_id in ids] == [9 if task_id in refused else 1 for task_id in ids]
    assert redis.zcard(keys.INDEX) == len(ids)


@hypothesis_settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    instants=st.lists(st.sampled_from([1.0, 1.1, 2.0, 1_763_000_000.123456]), max_size=12),
    limit=st.integers(1, 5),
)
def test_pages_show_every_task_once_newest_first(
    settings: Settings, redis: Redis, instants: list[float], limit: int
) -> None:
    redis.flushall()
    made = [(instant, f"task-{number}") for number, instant in enumerate(instants)]

    async def pages() -> list[tuple[float, str]]:
        store = TaskStore(settings)
        await store.write(reports(*[state(task_id, created_at=instant) for instant, task_id in made]))
        seen: list[tuple[float, str]] = []
        while page := await store.list_page(before=seen[-1] if seen else None, limit=limit):
            seen += page
            assert len(page) <= limit
            assert len(seen) <= len(made)
        await store.close()
        return seen

    assert asyncio.run(pages()) == sorted(made, reverse=True)


async def test_the_entry_of_a_task_that_expired_leaves_the_index(
    open_store: Any, redis: Redis, eventually: Any
) -> None:
    async with open_store(ttl_s=1) as store:
        await store.write(reports(state("brief")))
        await eventually(lambda: not redis.exists(keys.task("brief")))
        assert redis.zscore(keys.INDEX, "brief") is not None
        assert await ProgressTracker(store).list_tasks() == ([], None)
    assert redis.zscore(keys.INDEX, "brief") is None


async def test_the_index_shrinks_as_tasks_are_added_wherever_the_gone_ones_stand(
    open_store: Any, redis: Redis
) -> None:
    gone = {f"gone-{number}": 1_000 + number for number in range(200)}
    async with open_store() as store:
        await store.write(reports(*[state(f"old-{number}", created_at=number) for number in range(20)]))
        redis.zadd(keys.INDEX, gone)
        for number in range(200):
            await store.prune()
            await store.write(reports(state(f"new-{number}", created_at=5_000 + number)))
    # By chance up to an eighth of the entries may be of tasks that are gone.
    assert 220 <= redis.zcard(keys.INDEX) <= 220 * 8 // 7


async def test_a_new_preview_takes_those_away_that_its_worker_names(open_store: Any, redis: Redis) -> None:
    async with open_store() as store:
        for number in range(1, 6):
            dropped = (2, 3) if number == 5 else ()
            report = Report(task=state(seq=number), preview=preview(number, b"image", dropped=dropped))
            assert await store.write([report]) == {}
        assert [facts.number for facts in await store.list_previews("a")] == [1, 4, 5]
        assert await store.read_preview("a", 2) is None
    assert redis.hlen(keys.previews("a")) == 6, "each with its facts"


async def test_what_is_known_of_a_preview_comes_back_without_its_content(open_store: Any) -> None:
    written = preview(
        7, "…Ende".encode(), media_type="text/plain; charset=utf-8", progress=12.5, at=Timestamp(1_000.25)
    )
    async with open_store() as store:
        await store.write([Report(task=state(), preview=written)])
        assert await store.list_previews("a") == [written.facts]
        found = await store.read_preview("a", 7)
        assert (found.data, found.media_type) == (written.data, written.facts.media_type)
        assert found == written.stored
        assert await store.list_previews("b") == []


async def test_a_preview_of_an_earlier_version_is_a_jpeg_and_facts_of_a_later_one_are_passed_over(
    open_store: Any, redis: Redis
) -> None:
    redis.hset(keys.previews("a"), mapping={"3": b"jpeg", "facts:4": b'{"number": "four"}', "4": b"x"})
    async with open_store() as store:
        assert await store.read_preview("a", 3) == StoredPreview(data=b"jpeg")
        assert await store.list_previews("a") == []


async def test_previews_of_a_run_whose_clock_was_ahead_leave_with_the_first_of_the_next(
    open_store: Any, redis: Redis
) -> None:
    async with open_store() as store:
        for seq, number in enumerate([10, 11, 12, 1, 2]):
            await store.write([Report(task=state(seq=seq + 1), preview=preview(number, b"image"))])
        assert [facts.number for facts in await store.list_previews("a")] == [1, 2]
    assert redis.hlen(keys.previews("a")) == 4


@pytest.mark.parametrize(
    ("max_bytes", "size_bytes", "kept"),
    [(1_000, 100, range(11, 21)), (1_000, 400, range(19, 21)), (100, 400, range(20, 21))],
    ids=["as many as fit", "large ones", "the newest at least"],
)
async def test_what_a_worker_does_not_know_of_leaves_oldest_first(
    open_store: Any, redis: Redis, max_bytes: int, size_bytes: int, kept: range
) -> None:
    async with open_store() as store:
        for number in range(1, 21):
            new = replace(preview(number, bytes(size_bytes)), max_bytes=max_bytes)
            await store.write([Report(task=state(seq=number), preview=new)])
        assert [facts.number for facts in await store.list_previews("a")] == list(kept)
    assert redis.hlen(keys.previews("a")) == 2 * len(kept)


async def test_no_more_than_two_hundred_previews_are_kept(open_store: Any) -> None:
    async with open_store() as store:
        for number in range(1, KEPT_PREVIEWS + 4):
            await store.write([Report(task=state(seq=number), preview=preview(number, b"x"))])
        listed = [facts.number for facts in await store.list_previews("a")]
    assert listed == list(range(4, KEPT_PREVIEWS + 4))


async def test_previews_expire(open_store: Any, redis: Redis, eventually: Any) -> None:
    async with open_store(ttl_s=1) as store:
        await store.write([Report(task=state(), preview=preview(1, b"image"))])
        await eventually(lambda: not redis.exists(keys.previews("a")))
        assert await store.read_preview("a", 1) is None


CALLS: dict[str, Callable[[TaskStore], Any]] = {
    "connect": lambda store: store.connect(),
    "write": lambda store: store.write(reports(state())),
    "read": lambda store: store.read(["a"]),
    "list_page": lambda store: store.list_page(before=None, limit=10),
    "prune": lambda store: store.prune(),
    "read_logs": lambda store: store.read_logs("a"),
    "read_checkpoint": lambda store: store.read_checkpoint("a"),
    "leases": lambda store: store.leases.renew("w"),
    "read_preview": lambda store: store.read_preview("a", 1),
    "list_previews": lambda store: store.list_previews("a"),
    "changes": lambda store: store.changes().__aenter__(),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_missing_server_is_an_error_of_ours_at_once(tmp_path: Path, call: str) -> None:
    store = TaskStore(Settings(redis_url=f"unix://{tmp_path}/missing.sock"))
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        await CALLS[call](store)
    assert time.monotonic() - began < 0.5
    await store.close()


async def test_a_server_that_stands_still_is_an_error_of_ours_within_the_time_out(
    open_store: Any, server: EmbeddedServer, redis: Redis
) -> None:
    pid = int(redis.info()["process_id"])
    async with open_store() as store, store.changes() as hints:
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                await store.read(["a"])
            assert time.monotonic() - began < TIMEOUT_S + 0.5
            with pytest.raises(EmbeddedServerError):
                await asyncio.wait_for(store.connect(), 5)
            with pytest.raises(StoreUnavailableError):
                await asyncio.wait_for(anext(hints), 3 * TIMEOUT_S)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert await store.read(["a"]) == {}


async def test_an_address_that_is_none_is_the_callers_fault() -> None:
    with pytest.raises(UsageError, match="URL of a Redis server"):
        TaskStore(Settings(redis_url="localhost:6379"))


async def test_writers_at_the_same_instant_leave_the_newest(open_store: Any) -> None:
    numbers = list(range(1, 101))
    random.Random(5).shuffle(numbers)
    async with open_store() as store:
        refusals = await asyncio.gather(*[store.write(reports(state(seq=seq))) for seq in numbers])
        assert (await store.read(["a"]))["a"].seq == 100
    assert all(refusal["a"].seq < 101 for refusal in refusals if refusal)
