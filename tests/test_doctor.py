"""`headway doctor`: what it tells of a store that is there, is not, or cannot be understood."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from headway.cli import main
from headway.doctor import size
from headway.store import keys
from headway.store.survey import kind_of

WORKER = """
import sys, time, headway
task = headway.task("t", task_id="a").__enter__()
task.update(0.5)
task.log("half")
task.flush()
print("ready", flush=True)
time.sleep(60)
"""


def examine(capsys: pytest.CaptureFixture[str], *, status: int = 0) -> dict[str, Any]:
    assert main(["doctor", "--json"]) == status
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return facts


def test_it_tells_what_is_stored_where_and_for_how_long(
    redis: Redis, start_python: Callable[..., Any], capsys: pytest.CaptureFixture[str], wait_until: Any
) -> None:
    worker = start_python(WORKER)
    assert worker.stdout.readline() == "ready\n"
    facts = examine(capsys)
    assert facts["error"] is None
    assert (facts["store"]["kind"], facts["retention"]["ttl_s"]) == ("embedded", 86_400)
    found = facts["found"]
    assert (found["statuses"], found["workers"]) == ({"in_progress": 1}, 1)
    assert found["kinds"]["tasks"]["count"] == found["kinds"]["logs"]["count"] == 1
    assert found["kinds"]["tasks"]["size_bytes"] > 500
    assert found["server"].startswith(("Valkey", "Redis"))
    assert found["eviction"] == "volatile-ttl"
    assert facts["versions"]["redis"] != "not installed"
    assert facts["store"]["disk_bytes"] > 0

    worker.kill()
    wait_until(lambda: examine(capsys)["found"]["statuses"] == {"lost": 1})
    assert examine(capsys)["found"]["workers"] == 0

    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    for word in ("embedded", "1 lost", "volatile-ttl", "24 h after the last write", "append-only file on"):
        assert word in text


def test_a_server_that_is_away_is_told_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADWAY_REDIS_URL", f"unix://user:secret@{tmp_path}/none.sock")
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "Redis does not answer; look at HEADWAY_REDIS_URL" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("name", "value"), [("HEADWAY_REDIS_URL", "localhost:6379"), ("HEADWAY_TTL_S", "1d")]
)
def test_a_mistake_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert f"expected {name}" in examine(capsys, status=1)["error"]
    assert main(["doctor"]) == 1
    assert f"expected {name}" in capsys.readouterr().out


def test_a_server_of_ones_own_that_would_lose_data_is_advised_on(
    redis: Redis, server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADWAY_REDIS_URL", server.url)
    before = redis.config_get("maxmemory-policy")["maxmemory-policy"]
    redis.config_set("maxmemory-policy", "noeviction")
    try:
        (advice,) = examine(capsys)["advice"]
    finally:
        redis.config_set("maxmemory-policy", before)
    assert "set volatile-ttl" in advice


def test_every_key_is_of_a_kind() -> None:
    assert [kind_of(key) for key in keys.of_task("a")] == ["tasks", "previews", "logs", "logs", "resources"]
    assert {kind_of(key) for key in (keys.INDEX, keys.LEASES, keys.LEASES_EPOCH)} == {"lists"}


def test_sizes_are_written_for_people() -> None:
    assert [size(count) for count in (0, 999, 1_500, 2_000_000, 3e9)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2 MB",
        "3 GB",
    ]
