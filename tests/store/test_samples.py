"""The samples of a task in Redis: they grow, grow coarser, and end with their task."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from redis import Redis

from headway import transitions
from headway.models import TaskProgress
from headway.samples import ResourceSample, ResourceSeries, SeriesUpdate, decode_sample
from headway.settings import Settings
from headway.stages import parse_stages
from headway.store import keys
from headway.store.reports import Report
from headway.store.samples import Written
from headway.store.tasks import TaskStore
from headway.timestamps import Timestamp


def state(task_id: str = "a", seq: int = 1) -> TaskProgress:
    task = transitions.create(task_id, "t", parse_stages({"run": 1.0}), now=Timestamp(1_000))
    return replace(task, seq=seq)


def samples(*times: float) -> tuple[ResourceSample, ...]:
    return tuple(ResourceSample(at=Timestamp(at), rss_bytes=int(at)) for at in times)


async def times(store: TaskStore, task_id: str = "a", since: float = 0.0) -> list[float]:
    return [float(decode_sample(data).at) for data in await store.samples.read(task_id, since=since)]


async def test_samples_are_added_and_replaced_from_a_time_on(open_tracker: Any) -> None:
    async with open_tracker() as tracker:
        store = tracker.store
        await store.write([Report(task=state(), run="r")])
        assert await store.samples.write([]) == []
        await store.samples.write([("a", "r", SeriesUpdate(0.0, samples(1_000.5, 1_001.5)))])
        await store.samples.write([("a", "r", SeriesUpdate(1_000.5, samples(1_001.7, 1_002.5)))])
        assert await times(store) == [1_000.5, 1_001.7, 1_002.5]
        assert await times(store, since=1_000.5) == [1_001.7, 1_002.5]
        assert await times(store, "missing") == []
        await store.samples.write([("a", "r", SeriesUpdate(0.0, samples(1_001.7)))])
        assert await times(store) == [1_001.7]


async def test_times_are_kept_to_the_microsecond(open_tracker: Any) -> None:
    moment = 1_763_862_536.123457
    async with open_tracker() as tracker:
        await tracker.store.write([Report(task=state(), run="r")])
        await tracker.store.samples.write([("a", "r", SeriesUpdate(0.0, samples(moment)))])
        assert await times(tracker.store) == [moment]
        assert await times(tracker.store, since=moment) == []
        assert await times(tracker.store, since=moment - 1e-6) == [moment]


async def test_only_the_run_that_has_the_task_writes_and_only_while_it_is_stored(
    open_tracker: Any, redis: Redis
) -> None:
    async with open_tracker() as tracker:
        store = tracker.store
        await store.write([Report(task=state("a"), run="r"), Report(task=state("b"), run="r")])
        update = SeriesUpdate(0.0, samples(1_000.5))
        assert await store.samples.write([("a", "r", update), ("b", "s", update), ("c", "r", update)]) == [
            Written.STORED,
            Written.REFUSED,
            Written.NO_TASK,
        ]
        assert redis.exists(keys.resources("b"), keys.resources("c")) == 0
        assert 0 < redis.ttl(keys.resources("a")) <= redis.ttl(keys.task("a")) <= 86_400


async def test_a_task_that_never_expires_has_samples_that_never_do(open_tracker: Any, redis: Redis) -> None:
    async with open_tracker() as tracker:
        await tracker.store.write([Report(task=state(), run="r")])
        redis.persist(keys.task("a"))
        await tracker.store.samples.write([("a", "r", SeriesUpdate(0.0, samples(1_000.5)))])
        assert redis.ttl(keys.resources("a")) == -1


async def test_a_long_series_is_stored_as_it_is(open_tracker: Any, redis: Redis) -> None:
    series = ResourceSeries(max_points=8)
    async with open_tracker() as tracker:
        await tracker.store.write([Report(task=state(), run="r")])
        for second in range(50):
            series.add(*samples(1_000.5 + second))
            if second % 3 != 1:
                update = series.news()
                assert update is not None
                assert await tracker.store.samples.write([("a", "r", update)]) == [Written.STORED]
                series.acknowledge(update)
                stored = (await tracker.store.samples.read_many(["a"]))["a"]
                assert tuple(stored) == series.samples
    assert redis.zcard(keys.resources("a")) <= 8


async def test_a_cluster_keeps_them_with_their_task(cluster: Any) -> None:
    store = TaskStore(Settings(redis_url=cluster.url))
    try:
        await store.connect()
        names = [f"cluster-{number}" for number in range(10)]
        await store.write([Report(task=state(name), run="r") for name in names])
        update = SeriesUpdate(0.0, samples(1_000.5))
        written = await store.samples.write([(name, "r", update) for name in names])
        assert set(written) == {Written.STORED}
        found = await store.samples.read_many(names)
        assert {name: len(rows) for name, rows in found.items()} == dict.fromkeys(names, 1)
    finally:
        await store.close()
