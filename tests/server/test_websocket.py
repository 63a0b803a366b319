"""The WebSocket: a snapshot, then changes; nonsense is answered, and the socket stays open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from headway.logs import LogPage, decode_log_entry
from headway.models import TaskProgress, TaskStatus, encode_json
from headway.samples import ResourceSample
from headway.server.messages import (
    MAX_IDS,
    ErrorMessage,
    Heartbeat,
    LogMessage,
    ResourcesMessage,
    Subscribe,
    Unsubscribe,
    encode_frame,
    parse_message,
)
from headway.store.reports import Report
from headway.timestamps import Timestamp
from tests.reports import log_entries

WIRE = Path(__file__).parents[1] / "wire"
STAGES = {"run": 1.0}


async def make(tracker: Any, *task_ids: str) -> None:
    for task_id in task_ids:
        await tracker.create_task_progress(task_id, "t", stages=STAGES)


async def test_a_snapshot_then_every_change_with_the_bytes_of_the_worker(
    tracker: Any, open_viewer: Any
) -> None:
    await make(tracker, "a")
    async with open_viewer() as viewer:
        await viewer.subscribe("a")
        first = await viewer.hear()
        assert first["data"] == json.loads((await tracker.get_stored("a")).data)
        assert set(first) == {"type", "task_id", "seq", "sent_at", "data"}
        for seq in (2, 3, 4):
            await tracker.update_stage("a", "run", progress=seq / 10)
            assert await viewer.hear_seq() == ("a", seq)
        await tracker.finish_task("a")
        last = await viewer.hear()
        assert (last["seq"], last["data"]["status"]) == (5, TaskStatus.COMPLETED)


async def test_a_viewer_that_comes_back_gets_only_what_is_newer(tracker: Any, open_viewer: Any) -> None:
    await make(tracker, "seen", "changed")
    await tracker.update_stage("changed", "run", progress=0.5)
    async with open_viewer() as viewer:
        await viewer.subscribe("seen", "changed", since={"seen": 1, "changed": 1})
        assert await viewer.hear_seq() == ("changed", 2)
        await tracker.update_stage("seen", "run", progress=0.5)
        assert await viewer.hear_seq() == ("seen", 2)


async def test_the_numbers_rise_strictly_while_many_write(tracker: Any, open_viewer: Any) -> None:
    await make(tracker, "a")
    async with open_viewer() as viewer:
        await viewer.subscribe("a")
        for number in range(100):
            await tracker.update_stage("a", "run", progress=number / 100)
        seqs = []
        while not seqs or seqs[-1] < 101:
            seqs.append((await viewer.hear_seq())[1])
    assert seqs == sorted(set(seqs))
    assert len(seqs) < 50, "a burst is not sent one by one"


async def test_a_task_that_is_unknown_is_told_once_and_sent_when_it_appears(
    tracker: Any, open_viewer: Any
) -> None:
    async with open_viewer() as viewer:
        await viewer.subscribe("later")
        message = await viewer.hear()
        assert (message["code"], message["task_id"]) == ("unknown_task", "later")
        await make(tracker, "later")
        assert await viewer.hear_seq() == ("later", 1)


async def test_many_tasks_come_as_lists_to_a_viewer_that_takes_them(tracker: Any, open_viewer: Any) -> None:
    ids = [f"task-{number}" for number in range(150)]
    await make(tracker, *ids)
    async with open_viewer() as viewer:
        await viewer.subscribe(*ids, many=True)
        frames: list[Any] = []
        while sum(map(len, frames)) < len(ids):
            frames.append(await viewer.hear())
    assert sorted(message["task_id"] for frame in frames for message in frame) == sorted(ids)
    assert len(frames) <= 4


async def test_a_viewer_that_did_not_ask_for_lists_gets_single_messages(
    tracker: Any, open_viewer: Any
) -> None:
    await make(tracker, "a", "b")
    async with open_viewer() as viewer:
        await viewer.subscribe("a", "b")
        assert {await viewer.hear_seq(), await viewer.hear_seq()} == {("a", 1), ("b", 1)}


async def test_what_was_unsubscribed_is_sent_no_more(tracker: Any, open_viewer: Any) -> None:
    await make(tracker, "left", "kept")
    async with open_viewer() as viewer:
        await viewer.subscribe("left", "kept")
        assert {(await viewer.hear_seq())[0] for _ in range(2)} == {"left", "kept"}
        await viewer.say({"type": "unsubscribe", "task_ids": ["left"]})
        await viewer.say("a barrier")
        assert await viewer.hear_error() == "bad_message"
        for seq in (2, 3):
            await tracker.update_stage("left", "run", progress=seq / 10)
            await tracker.update_stage("kept", "run", progress=seq / 10)
            assert await viewer.hear_seq() == ("kept", seq)


async def test_logs_come_to_who_asked_and_go_on_after_what_a_viewer_has(
    tracker: Any, open_viewer: Any
) -> None:
    await make(tracker, "a")
    task = await tracker.get_progress("a")
    await tracker.store.write([Report(task=replace(task, seq=2), entries=log_entries(5))])
    async with open_viewer() as viewer:
        await viewer.subscribe("a", since={"a": 2}, logs=True, logs_since={"a": 3})
        page = await viewer.hear()
        assert (page["type"], page["task_id"], page["dropped"]) == ("log", "a", 0)
        assert [entry["message"] for entry in page["entries"]] == ["line 4", "line 5"]
        await tracker.store.write([Report(task=replace(task, seq=3), entries=log_entries(1, first=6))])
        assert await viewer.hear_seq() == ("a", 3)
        assert [entry["id"] for entry in (await viewer.hear())["entries"]] == [6]


async def test_a_socket_without_news_carries_heartbeats(open_viewer: Any) -> None:
    async with open_viewer() as viewer:
        message = await viewer.hear_any()
    assert (message["type"], message["is_store_up"]) == ("heartbeat", True)


MALFORMED: list[Any] = [
    "",
    "not json",
    "null",
    "[]",
    "{}",
    b"\xff\xfe",
    "[" * 100_000,
    '{"type": "subscribe", "x": ' + "[" * 100_000,
    {"type": "subscrib"},
    {"type": "progress.update", "task_id": "a"},
    {"type": ["subscribe"]},
    {"type": "subscribe", "task_ids": "a"},
    {"type": "subscribe", "task_ids": [1]},
    {"type": "subscribe", "task_ids": ["../../api/shutdown?x="]},
    {"type": "subscribe", "task_ids": ["a", ""]},
    {"type": "subscribe", "task_ids": ["a"] * (MAX_IDS + 1)},
    {"type": "subscribe", "task_ids": ["a"], "since": {"a": "1"}},
    {"type": "subscribe", "task_ids": ["a"], "since": {"a": 1.5}},
    {"type": "subscribe", "task_ids": ["a"], "many": 1},
    {"type": "subscribe", "task_ids": ["a"], "logs": 1},
    {"type": "subscribe", "task_ids": ["a"], "logs": True, "logs_since": {"a": "7"}},
    {"type": "subscribe", "task_ids": ["a"], "logs": True, "logs_since": {"a": -1}},
    {"type": "subscribe", "batch_ids": ["b"]},
    {"type": "unsubscribe", "task_ids": [None]},
]


async def test_what_cannot_be_understood_is_answered_and_the_socket_stays_open(
    tracker: Any, open_viewer: Any
) -> None:
    await make(tracker, "a")
    async with open_viewer() as viewer:
        for message in MALFORMED:
            await viewer.say(message)
            answer = await viewer.hear()
            assert (answer["type"], answer["code"]) == ("error", "bad_message"), message
            assert len(answer["message"]) < 1_000
        await viewer.subscribe("a")
        assert await viewer.hear_seq() == ("a", 1)


async def test_more_tasks_than_a_connection_may_want_in_all_are_refused(
    tracker: Any, open_viewer: Any
) -> None:
    await make(tracker, "a")
    async with open_viewer() as viewer:
        await viewer.subscribe("a")
        assert await viewer.hear_seq() == ("a", 1)
        await viewer.subscribe(*(f"task-{number}" for number in range(MAX_IDS)))
        assert await viewer.hear_error() == "bad_message"
        await tracker.update_stage("a", "run", progress=0.5)
        assert await viewer.hear_seq() == ("a", 2)


async def test_a_viewer_that_leaves_is_forgotten(
    tracker: Any, open_viewer: Any, running_server: Any, eventually: Any
) -> None:
    hub = running_server.web_app.settings["headway_hub"]
    await make(tracker, "a")
    async with open_viewer() as viewer:
        await viewer.subscribe("a")
        assert await viewer.hear_seq() == ("a", 1)
        assert hub.newest("a") is not None
    await eventually(lambda: hub.newest("a") is None)


class TestWithoutRedis:
    @pytest.fixture
    def jp_server_config(self, tmp_path: Path) -> dict[str, Any]:
        return {
            "ServerApp": {"jpserver_extensions": {"headway": True}},
            "HeadwayExtension": {"redis_url": f"unix://{tmp_path}/missing.sock"},
        }

    async def test_a_viewer_is_told_once_and_the_socket_stays_open(self, open_viewer: Any) -> None:
        async with open_viewer() as viewer:
            await viewer.subscribe("a")
            assert await viewer.hear_error() == "store_unavailable"
            await viewer.say("a barrier")
            assert await viewer.hear_error() == "bad_message"


class TestWireSamples:
    """The same samples are read by the tests of the front end."""

    @pytest.mark.parametrize(
        "sample", ["progress_running.json", "progress_failed.json", "progress_cancelled.json"]
    )
    def test_a_progress_is_decoded_and_encoded_to_the_equal_value(self, sample: str) -> None:
        data = (WIRE / sample).read_bytes()
        assert json.loads(TaskProgress.from_json(data).to_json()) == json.loads(data)

    def test_what_a_viewer_says_is_understood(self) -> None:
        samples = json.loads((WIRE / "messages_in.json").read_bytes())
        assert [parse_message(json.dumps(sample)) for sample in samples] == [
            Subscribe(
                task_ids=["bell-2c8d", "gray-scott-7f3k2m9q"], batch_ids=[], since={"bell-2c8d": 9}, many=True
            ),
            Subscribe(task_ids=["bell-2c8d"]),
            Subscribe(task_ids=["bell-2c8d"], logs=True, logs_since={"bell-2c8d": 1795363200000001}),
            Subscribe(
                task_ids=["bell-2c8d"],
                resources=True,
                resources_since={"bell-2c8d": Timestamp.from_iso("2026-11-22T16:00:01.250000Z")},
            ),
            Unsubscribe(task_ids=["bell-2c8d"]),
        ]

    def test_heartbeats_and_logs_are_encoded_as_the_samples_are(self) -> None:
        samples = json.loads((WIRE / "messages_out.json").read_bytes())
        kinds = {"heartbeat": Heartbeat, "log": LogMessage}
        others = [sample for sample in samples if sample["type"] in kinds]
        assert {sample["type"] for sample in others} == set(kinds)
        for sample in others:
            fields = {name: value for name, value in sample.items() if name != "type"}
            if "sent_at" in fields:
                fields["sent_at"] = Timestamp.from_iso(fields["sent_at"])
            if "entries" in fields:
                fields["entries"] = tuple(
                    decode_log_entry(json.dumps(entry).encode()) for entry in fields["entries"]
                )
            assert json.loads(encode_frame([kinds[sample["type"]](**fields)])) == sample

    def test_resources_are_encoded_as_the_sample_is(self) -> None:
        samples = json.loads((WIRE / "messages_out.json").read_bytes())
        [message] = [sample for sample in samples if sample["type"] == "resources"]
        [facts] = message["samples"]
        sample = ResourceSample(**{**facts, "at": Timestamp.from_iso(facts["at"])})
        encoded = encode_frame(
            [
                ResourcesMessage(
                    task_id=message["task_id"],
                    interval_s=message["interval_s"],
                    samples=(msgspec.Raw(sample.to_json()),),
                )
            ]
        )
        assert json.loads(encoded) == message

    def test_a_page_of_a_log_is_decoded_and_encoded_to_the_equal_value(self) -> None:
        page = json.loads((WIRE / "log_page.json").read_bytes())
        entries = tuple(decode_log_entry(json.dumps(entry).encode()) for entry in page["entries"])
        written = LogPage(
            entries=entries, dropped=page["dropped"], total=page["total"], cursor=page["cursor"]
        )
        assert json.loads(encode_json(written)) == page

    def test_errors_are_encoded_as_the_samples_are(self) -> None:
        samples = json.loads((WIRE / "messages_out.json").read_bytes())
        errors = [sample for sample in samples if sample["type"] == "error"]
        assert len(errors) == 3
        for sample in errors:
            fields = {name: value for name, value in sample.items() if name != "type"}
            assert json.loads(encode_frame([ErrorMessage(**fields)])) == sample
