"""The logs of tasks, as the hub brings them to viewers: to who asked, in order, each entry once."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from headway import transitions
from headway.logs import LogLevel
from headway.models import TaskProgress
from headway.server.messages import Subscribe
from headway.stages import parse_stages
from headway.store.reports import Report
from headway.timestamps import Timestamp
from tests.redis_servers import Server
from tests.reports import log_entries, reports
from tests.server.conftest import Screen


def state(task_id: str, seq: int) -> TaskProgress:
    task = transitions.create(task_id, "t", parse_stages({"run": 1.0}), now=Timestamp(1_000))
    return replace(task, seq=seq)


async def test_who_asked_for_logs_gets_them_and_nobody_else(open_hub: Any, eventually: Any) -> None:
    with_logs, without = Screen(), Screen()
    async with open_hub() as (hub, store):
        await store.write([Report(task=state("a", 1), entries=log_entries(3))])
        hub.connect(with_logs.send).subscribe(Subscribe(task_ids=["a", "b"], logs=True))
        hub.connect(without.send).subscribe(Subscribe(task_ids=["a", "b"]))
        await eventually(lambda: len(with_logs.logged("a")) == 3)
        await store.write(
            [
                Report(task=state("a", 2), entries=log_entries(2, first=11), first_log_id=1),
                Report(task=state("b", 2), entries=log_entries(1)),
            ]
        )
        await eventually(lambda: len(with_logs.logged("a")) == 5 and with_logs.logged("b"))
        await eventually(lambda: without.seqs("a")[-1] == without.seqs("b")[-1] == 2)
    assert with_logs.logged("a") == [1, 2, 3, 11, 12]
    last = [m for m in with_logs.messages if m["type"] == "log" and m["task_id"] == "a"][-1]
    assert last["dropped"] == 7, "those between 3 and 11"
    assert {name: last["entries"][-1][name] for name in ("level", "message", "metadata")} == {
        "level": "info",
        "message": "line 12",
        "metadata": {},
    }
    assert {message["type"] for message in without.messages} <= {"progress.update", "error", "heartbeat"}


async def test_more_than_a_page_comes_in_pages_and_in_order(open_hub: Any, eventually: Any) -> None:
    screen = Screen()
    async with open_hub() as (hub, store):
        debug = log_entries(800, first=1_001, level=LogLevel.DEBUG)
        await store.write([Report(task=state("a", 1), entries=log_entries(1_000))])
        await store.write([Report(task=state("a", 2), entries=debug)])
        hub.connect(screen.send).subscribe(Subscribe(task_ids=["a"], logs=True, many=True))
        await eventually(lambda: len(screen.logged("a")) >= 1_800)
    assert screen.logged("a") == list(range(1, 1_801))
    pages = [message for message in screen.messages if message["type"] == "log"]
    assert [len(page["entries"]) for page in pages] == [1_000, 800]


async def test_a_viewer_that_comes_back_goes_on_right_after_what_it_has(
    open_hub: Any, eventually: Any
) -> None:
    first, second = Screen(), Screen()
    async with open_hub() as (hub, store):
        await store.write([Report(task=state("a", 1), entries=log_entries(5))])
        connection = hub.connect(first.send)
        connection.subscribe(Subscribe(task_ids=["a"], logs=True, logs_since={"a": 2}))
        await eventually(lambda: first.logged("a") == [3, 4, 5])
        hub.drop(connection)
        await store.write([Report(task=state("a", 2), entries=log_entries(3, first=6))])
        again = Subscribe(task_ids=["a"], since={"a": 1}, logs=True, logs_since={"a": first.logged("a")[-1]})
        hub.connect(second.send).subscribe(again)
        await eventually(lambda: second.logged("a") == [6, 7, 8])
        await store.write([Report(task=state("a", 3), entries=log_entries(1, first=9))])
        await eventually(lambda: second.logged("a") == [6, 7, 8, 9])
    assert first.logged("a") == [3, 4, 5]


async def test_a_viewer_that_has_the_newest_state_gets_the_entries_it_lacks(
    open_hub: Any, eventually: Any
) -> None:
    screen = Screen()
    async with open_hub() as (hub, store):
        await store.write([Report(task=state("a", 1), entries=log_entries(5))])
        wanted = Subscribe(task_ids=["a"], since={"a": 1}, logs=True, logs_since={"a": 4})
        hub.connect(screen.send).subscribe(wanted)
        await eventually(lambda: screen.logged("a") == [5])
    assert screen.seqs("a") == []


async def test_who_unsubscribed_gets_no_more(open_hub: Any, eventually: Any) -> None:
    screen = Screen()
    async with open_hub() as (hub, store):
        await store.write(reports(state("a", 1), state("b", 1)))
        connection = hub.connect(screen.send)
        connection.subscribe(Subscribe(task_ids=["a", "b"], logs=True))
        await eventually(lambda: screen.seqs("a") and screen.seqs("b"))
        connection.unsubscribe(["a"])
        await store.write([Report(task=state("a", 2), entries=log_entries(3))])
        await store.write([Report(task=state("b", 2), entries=log_entries(3))])
        await eventually(lambda: screen.logged("b") == [1, 2, 3])
    assert screen.logged("a") == []


async def test_while_redis_is_away_a_viewer_of_logs_is_told_once(
    open_hub: Any, eventually: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    screen = Screen()
    with Server(tmp_path_factory.mktemp("hw") / "redis") as server:
        async with open_hub(redis_url=f"redis://{server.address}") as (hub, store):
            await store.write(reports(state("a", 1)))
            hub.connect(screen.send).subscribe(Subscribe(task_ids=["a"], logs=True))
            await eventually(lambda: screen.seqs("a") == [1])
            screen.may_go_on.clear()
            await store.write([Report(task=state("a", 2), entries=log_entries(3))])
            await eventually(lambda: screen.seqs("a") == [1, 2])
            server.kill()  # the state is on its way, and the entries are not read yet
            screen.may_go_on.set()
            await eventually(lambda: screen.heartbeats() or len(screen.errors()) > 1)
    assert screen.errors() == ["store_unavailable"]
