"""The extension: what it makes at the server's start, hands to the kernels, and ends with."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from headway.settings import Settings
from headway.store.embedded import EmbeddedServer

Start = Any


@pytest.fixture
def start(jp_server_config: dict[str, Any], request: pytest.FixtureRequest) -> Start:
    """Start the server with options of the extension."""

    def start_(**options: object) -> Any:
        jp_server_config["HeadwayExtension"] = options
        return request.getfixturevalue("running_server")

    return start_


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hw") / "data"


def test_kernels_find_the_embedded_server_through_their_environment(start: Start, folder: Path) -> None:
    start(data_dir=str(folder), ttl_s=60)
    assert Settings.from_environment() == Settings(data_dir=folder, ttl_s=60, has_server=True)
    assert "HEADWAY_REDIS_URL" not in os.environ


def test_kernels_find_a_server_of_ones_own_through_their_environment(
    start: Start, server: EmbeddedServer
) -> None:
    app = start(redis_url=server.url)
    settings = Settings.from_environment()
    assert (settings.redis_url, settings.has_server) == (server.url, True)
    assert app.web_app.settings["headway_tracker"].store.embedded is None


def test_the_environment_configures_what_no_option_does(start: Start, server: EmbeddedServer) -> None:
    app = start()
    assert app.web_app.settings["headway_tracker"].store.url == server.url


def test_the_embedded_server_writes_to_the_disk_as_the_environment_says(
    start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_APPENDFSYNC", "always")
    app = start(data_dir=str(folder))
    with Redis.from_url(app.web_app.settings["headway_tracker"].store.url) as client:
        assert client.config_get("appendfsync") == {"appendfsync": "always"}


def test_stopping_gives_up_the_embedded_server(
    start: Start, folder: Path, jp_asyncio_loop: asyncio.AbstractEventLoop
) -> None:
    app = start(data_dir=str(folder))
    private = EmbeddedServer(folder)
    private.ensure()
    assert private.release() is False, "the extension is an owner of it"
    jp_asyncio_loop.run_until_complete(app.extension_manager.stop_all_extensions())
    private.ensure()
    assert private.release() is True, "nobody else owns it"


def test_a_redis_that_cannot_be_started_does_not_keep_jupyter_from_starting(
    start: Start,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    jp_asyncio_loop: asyncio.AbstractEventLoop,
) -> None:
    (tmp_path / "file").write_text("")
    start(data_dir=str(tmp_path / "file" / "data"))
    fetch = request.getfixturevalue("fetch")
    assert jp_asyncio_loop.run_until_complete(fetch("tasks")).code == 503
