"""Points in time, and how they are written in JSON. Nothing in this module reads a clock."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Self


class Timestamp(float):
    """UTC seconds since the epoch, to the microsecond; in JSON an ISO 8601 text that ends in Z."""

    __slots__ = ()

    def __new__(cls, seconds: float) -> Self:
        """Round to what the JSON carries, so that a value that comes back is the same."""
        return super().__new__(cls, round(seconds, 6))

    @classmethod
    def from_iso(cls, text: str) -> Timestamp:
        """Read an ISO 8601 text; one without an offset is taken as UTC."""
        moment = datetime.fromisoformat(text)
        return cls((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())

    def to_iso(self) -> str:
        """Write the timestamp as ISO 8601 in UTC, in microseconds where there are any."""
        return _iso(float(self))


@lru_cache(maxsize=8_192)  # a task's older times are written again with every update
def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat().replace("+00:00", "Z")


def decode_timestamp(kind: type, value: object) -> object:
    """Read a `Timestamp` for msgspec's decoders, as their ``dec_hook``."""
    if kind is Timestamp and isinstance(value, str):
        return Timestamp.from_iso(value)
    raise ValueError(f"expected an ISO 8601 time, got {value!r}")
