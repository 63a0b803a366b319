"""The hub: a viewer that comes back gets what is newer, and what was made anew where Redis lost the old."""

from __future__ import annotations

import time
from typing import Any

from msgspec.structs import replace
from redis import Redis

from headway import transitions
from headway.models import TaskProgress
from headway.server.connection import HEARTBEAT_S
from headway.server.messages import Subscribe
from headway.stages import parse_stages
from headway.store import keys
from headway.timestamps import Timestamp
from tests.reports import reports
from tests.server.conftest import Screen


def state(task_id: str, seq: int) -> TaskProgress:
    task = transitions.create(task_id, "t", parse_stages({"run": 1.0}), now=Timestamp(1_000))
    return replace(task, seq=seq)


def said(screen: Screen) -> list[Any]:
    """What a viewer heard besides heartbeats: a seq for a state, a code for an error."""
    return [m.get("seq", m.get("code")) for m in screen.messages if m["type"] != "heartbeat"]


async def test_a_viewer_that_has_it_all_hears_a_heartbeat_at_once(open_hub: Any, eventually: Any) -> None:
    screen = Screen()
    async with open_hub() as (hub, store):
        await store.write(reports(state("a", 5)))
        began = time.monotonic()
        hub.connect(screen.send).subscribe(Subscribe(task_ids=["a"], since={"a": 5}))
        await eventually(lambda: screen.messages)
        assert time.monotonic() - began < HEARTBEAT_S / 2
        assert said(screen) == []


async def test_a_task_that_is_gone_and_made_anew_is_sent_whatever_its_number(
    open_hub: Any, redis: Redis, eventually: Any
) -> None:
    screen = Screen()
    async with open_hub() as (hub, store):
        await store.write(reports(state("a", 5)))
        hub.connect(screen.send).subscribe(Subscribe(task_ids=["a"]))
        await eventually(lambda: said(screen) == [5])
        redis.delete(keys.task("a"))
        await eventually(lambda: said(screen) == [5, "unknown_task"])
        await store.write(reports(state("a", 1)))
        await eventually(lambda: said(screen) == [5, "unknown_task", 1])


async def test_a_viewer_of_a_past_that_is_gone_hears_so_and_gets_what_is_there(
    open_hub: Any, eventually: Any
) -> None:
    screen = Screen()
    async with open_hub() as (hub, store):
        await store.write(reports(state("a", 2), state("b", 2)))
        hub.connect(screen.send).subscribe(Subscribe(task_ids=["a", "b"], since={"a": 9, "b": 1}))
        await eventually(lambda: len(said(screen)) == 3)
    assert sorted(map(str, said(screen))) == ["2", "2", "unknown_task"]
    assert screen.seqs("a") == [2]
