"""Servers that several tests of the store share; a test that kills one starts its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import redis_servers


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis_servers.Cluster]:
    """A cluster of three primaries, which are all up."""
    with redis_servers.start_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster
