"""Points in time and their JSON."""

from __future__ import annotations

from headway.timestamps import Timestamp

NOW = Timestamp(1_795_363_200.25)


def test_a_timestamp_is_iso_8601_in_utc_and_comes_back() -> None:
    assert NOW.to_iso() == "2026-11-22T16:00:00.250000Z"
    assert Timestamp.from_iso(NOW.to_iso()) == NOW
    assert Timestamp.from_iso("2026-11-22T17:00:00.25+01:00") == NOW
    assert Timestamp.from_iso("2026-11-22T16:00:00.25") == NOW
