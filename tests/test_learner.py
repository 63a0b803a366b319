"""Following the history: what is new of one's own templates, and once a little of others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from headway import learner as module
from headway.learner import OTHER_RUNS, Learner
from headway.store import keys
from headway.store.history import TEMPLATES_AT_ONCE
from tests.analysis.records import record

OpenTracker = Callable[..., Any]


def stats(redis: Redis) -> dict[str, Any]:
    """What a server says of the commands that it was asked for."""
    found: Any = redis.info("commandstats")
    return found


def learning() -> tuple[Learner, list[str]]:
    learned: list[str] = []
    return Learner(lambda records: learned.extend(record.task_id for record in records)), learned


def test_each_record_is_brought_once_in_the_order_of_the_ends(open_tracker: OpenTracker) -> None:
    async def run() -> None:
        learner, learned = learning()
        async with open_tracker() as tracker:
            history = tracker.store.history
            await history.add([record("late", at=2.0), record("early", at=1.0)])
            await learner.look(history, {"portrait"})
            await history.add([record("new", at=3.0)])
            await learner.look(history, {"portrait"})
            await learner.look(history, {"portrait"})
        assert learned == ["early", "late", "new"]

    asyncio.run(run())


def test_of_other_templates_the_newest_runs_are_brought_once(open_tracker: OpenTracker) -> None:
    async def run() -> None:
        learner, learned = learning()
        async with open_tracker() as tracker:
            history = tracker.store.history
            runs = [record(f"o{number}", template_id="other", at=number) for number in range(OTHER_RUNS + 5)]
            await history.add(runs)
            await learner.look(history, {"portrait"})
            assert learned == [run.task_id for run in runs[5:]]
            await history.add([record("o", template_id="other", at=1_000.0)])
            await learner.look(history, {"portrait"})
            assert len(learned) == OTHER_RUNS

    asyncio.run(run())


def test_more_templates_than_are_read_at_once_are_all_learned(open_tracker: OpenTracker) -> None:
    async def run() -> None:
        learner, learned = learning()
        names = {f"template-{number}" for number in range(2 * TEMPLATES_AT_ONCE + 1)}
        async with open_tracker() as tracker:
            await tracker.store.history.add([record(name, template_id=name) for name in names])
            await learner.look(tracker.store.history, names)
        assert set(learned) == names

    asyncio.run(run())


def test_a_template_that_was_dropped_is_looked_at_from_the_beginning(
    open_tracker: OpenTracker, redis: Redis
) -> None:
    async def run() -> None:
        learner, learned = learning()
        async with open_tracker() as tracker:
            history = tracker.store.history
            # As by a Redis whose clock was ahead.
            redis.xadd(keys.history("portrait"), {"record": record("a").to_json()}, id="9999999999999-0")
            redis.zadd(keys.HISTORY_INDEX, {"portrait": 1_000.0})
            await learner.look(history, {"portrait"})
            redis.delete(keys.history("portrait"), keys.HISTORY_INDEX)
            await learner.look(history, {"portrait"})
            await history.add([record("b")])
            await learner.look(history, {"portrait"})
        assert learned == ["a", "b"]

    asyncio.run(run())


def test_where_nothing_is_new_a_look_is_one_request(open_tracker: OpenTracker, redis: Redis) -> None:
    async def run() -> None:
        learner, _ = learning()
        async with open_tracker() as tracker:
            history = tracker.store.history
            await history.add([record("a")])
            await learner.look(history, {"portrait", "new"})
            redis.config_resetstat()
            await learner.look(history, {"portrait", "new"})
        calls = {name.removeprefix("cmdstat_"): facts["calls"] for name, facts in stats(redis).items()}
        assert {name: calls[name] for name in calls if name[0] in "xz"} == {"xrange": 2, "xlen": 2}

    asyncio.run(run())


def test_it_remembers_how_far_it_is_of_so_many_templates_and_no_more(
    open_tracker: OpenTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_TEMPLATES", 3)

    async def run() -> None:
        learner, _ = learning()
        async with open_tracker() as tracker:
            for number in range(9):
                await learner.look(tracker.store.history, {f"{number}", f"{number + 1}"})
                assert len(learner._positions) <= 3
            await learner.look(tracker.store.history, set("abcde"))
            assert set(learner._positions) == set("abcde")

    asyncio.run(run())


def test_it_is_due_now_and_again_and_at_once_for_a_new_template(
    open_tracker: OpenTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        learner, _ = learning()
        assert learner.is_due({"portrait"})
        async with open_tracker() as tracker:
            await learner.look(tracker.store.history, {"portrait"})
        assert not learner.is_due({"portrait"})
        assert learner.is_due({"portrait", "new"})
        monkeypatch.setattr(module, "REFRESH_S", 0.0)
        assert learner.is_due({"portrait"})

    asyncio.run(run())
