"""What a process and its machine were doing, second by second: one sample, and a task's series of them.

A series is bounded and spans the whole task: when it is full its intervals double, so that it grows coarser
and is never cut. Nothing here reads a clock, a sensor or Redis.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from headway.models import encode_json
from headway.timestamps import Timestamp, decode_timestamp

# Points of a series: one for every two pixels or so of the widest sparkline, and 50 kB of JSON at most.
MAX_POINTS = 240
# How often it is sampled, and the interval of a series that is not yet full.
INTERVAL_S = 1.0


class ResourceSample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was measured in one interval that ends at `at`; what is not there to be measured is ``None``.

    Where an interval holds several samples, bytes and temperatures are the most that were seen, so that a
    peak outlives every merging, and percents, watts and rates are means.

    Parameters
    ----------
    at
        UTC seconds since the epoch. The samples of one ``floor(at / interval_s)`` are one: the later one
        replaces those that a reader has of it.
    interval_s
        Seconds that it stands for: 1, or a power of two of a longer task.
    cpu_percent
        Of this process, 100 for each core that it keeps busy.
    host_cpu_percent
        0 to 100, of all cores of the host.
    rss_bytes
        Resident memory of this process, without its children: of forked ones most would count twice.
    memory_bytes, memory_total_bytes
        Of the host, or of the container where it may take less than the host has.
    gpu_percent
        0 to 100, the mean of the GPUs that the process uses.
    gpu_memory_bytes, gpu_memory_total_bytes
        The sum over these GPUs, whoever uses them.
    process_gpu_memory_bytes
        What of it is this process's, where the driver or torch tells.
    gpu_temperature_c
        Of the hottest of them.
    gpu_power_w
        The sum over them.
    disk_read_bytes_s, disk_written_bytes_s, net_received_bytes_s, net_sent_bytes_s
        Of the host.
    """

    at: Timestamp
    interval_s: float = INTERVAL_S
    cpu_percent: float | None = None
    host_cpu_percent: float | None = None
    rss_bytes: int | None = None
    memory_bytes: int | None = None
    memory_total_bytes: int | None = None
    gpu_percent: float | None = None
    gpu_memory_bytes: int | None = None
    gpu_memory_total_bytes: int | None = None
    process_gpu_memory_bytes: int | None = None
    gpu_temperature_c: float | None = None
    gpu_power_w: float | None = None
    disk_read_bytes_s: int | None = None
    disk_written_bytes_s: int | None = None
    net_received_bytes_s: int | None = None
    net_sent_bytes_s: int | None = None

    def to_json(self) -> bytes:
        """Encode the sample as the JSON that is stored and sent."""
        return encode_json(self)


class SampleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the forwarder of a sample's JSON must know of it; see `ResourceSample`."""

    at: Timestamp
    interval_s: float = INTERVAL_S


class Peaks(NamedTuple):
    """The most memory that a task's process took while the task ran; ``None`` where that is unknown."""

    rss_bytes: int | None = None
    gpu_memory_bytes: int | None = None


class SeriesUpdate(NamedTuple):
    """What a store has not got of a series.

    Parameters
    ----------
    after
        The stored samples after this time, UTC seconds since the epoch, are replaced.
    samples
        By these; there is at least one.
    """

    after: float
    samples: tuple[ResourceSample, ...]


_FIGURES = tuple(name for name in ResourceSample.__struct_fields__ if name not in ("at", "interval_s"))
# Of these the mean is kept when samples are merged, of the other figures the most.
_MEANS = frozenset(name for name in _FIGURES if name.endswith(("_percent", "_s", "_w")))
# To these decimals: a tenth of a percent, of a degree, of a watt; bytes are whole.
_DECIMALS = {name: 1 for name in _FIGURES if name.endswith(("_percent", "_c", "_w"))}


class _Bucket:
    """The samples of one interval; taken apart only where there are several."""

    def __init__(self, sample: ResourceSample) -> None:
        self.at = sample.at
        self._only: ResourceSample | None = sample
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def merge(self, later: _Bucket) -> None:
        self._take_apart()
        later._take_apart()
        self.at = max(self.at, later.at)
        for name, value in later._sums.items():
            if name in _MEANS:
                self._sums[name] = self._sums.get(name, 0.0) + value
                self._counts[name] = self._counts.get(name, 0) + later._counts[name]
            else:
                self._sums[name], self._counts[name] = max(self._sums.get(name, value), value), 1

    def sample(self, interval_s: float) -> ResourceSample:
        if self._only is None:
            figures: dict[str, Any] = {
                name: round(value / self._counts[name], _DECIMALS.get(name))
                for name, value in self._sums.items()
            }
            self._only = ResourceSample(at=self.at, interval_s=interval_s, **figures)
        elif self._only.interval_s != interval_s:
            self._only = replace(self._only, interval_s=interval_s)
        return self._only

    def _take_apart(self) -> None:
        if not self._sums and self._only is not None:
            found = {name: getattr(self._only, name) for name in _FIGURES}
            self._sums = {name: value for name, value in found.items() if value is not None}
            self._counts = dict.fromkeys(self._sums, 1)
        self._only = None


class ResourceSeries:
    """One task's samples over its whole time, at most 240 of them.

    Not safe for several threads at once.

    Parameters
    ----------
    max_points
        How many samples are kept at most.

    Attributes
    ----------
    interval_s
        Seconds between two samples; it doubles when the series is full.
    """

    def __init__(self, *, max_points: int = MAX_POINTS) -> None:
        self._max_points = max_points
        self._buckets: dict[int, _Bucket] = {}
        # All up to here are stored, and end no more in an interval that goes on.
        self._stored_until = 0.0
        self._is_changed = False
        self.interval_s = INTERVAL_S

    @property
    def samples(self) -> tuple[ResourceSample, ...]:
        """The whole series, oldest first."""
        return tuple(bucket.sample(self.interval_s) for bucket in self._buckets.values())

    @property
    def peaks(self) -> Peaks:
        """The most memory that was seen."""
        samples = self.samples
        return Peaks(
            max((found.rss_bytes for found in samples if found.rss_bytes is not None), default=None),
            max(
                (
                    found.process_gpu_memory_bytes
                    for found in samples
                    if found.process_gpu_memory_bytes is not None
                ),
                default=None,
            ),
        )

    def add(self, sample: ResourceSample) -> None:
        """Take a sample that is newer than those that are there."""
        self._place(_Bucket(sample))
        self._is_changed = True
        self._bound()

    def precede(self, earlier: Iterable[ResourceSample]) -> None:
        """Put samples of an earlier attempt before those that are there."""
        own, self._buckets = self._buckets, {}
        first = min((bucket.at for bucket in own.values()), default=float("inf"))
        for sample in earlier:
            if sample.at < first:
                while self.interval_s < sample.interval_s:
                    self._double()
                self._place(_Bucket(sample))
        for bucket in own.values():
            self._place(bucket)
        self._bound()
        self.send_again()

    def news(self) -> SeriesUpdate | None:
        """Return what is not stored yet, ``None`` for nothing."""
        if not self._is_changed:
            return None
        found = []
        for bucket in reversed(self._buckets.values()):
            if bucket.at <= self._stored_until:
                break
            found.append(bucket.sample(self.interval_s))
        return SeriesUpdate(self._stored_until, tuple(reversed(found)))

    def acknowledge(self, update: SeriesUpdate) -> None:
        """Take note that an update is stored."""
        last = update.samples[-1]
        if self._stored_until != update.after or self.interval_s != last.interval_s:
            return  # all of it is to be stored again
        self._is_changed = next(reversed(self._buckets.values())).at != last.at
        # The last interval may go on, and is then stored again.
        if len(update.samples) > 1:
            self._stored_until = update.samples[-2].at

    def send_again(self) -> None:
        """Have the whole series stored once more: what is stored may be gone."""
        self._stored_until, self._is_changed = 0.0, bool(self._buckets)

    def _place(self, bucket: _Bucket) -> None:
        index = int(bucket.at // self.interval_s)
        there = self._buckets.get(index)
        if there is None:
            self._buckets[index] = bucket
        else:
            there.merge(bucket)

    def _bound(self) -> None:
        while len(self._buckets) > self._max_points:
            self._double()

    def _double(self) -> None:
        self.interval_s *= 2
        finer, self._buckets = self._buckets, {}
        for bucket in finer.values():
            self._place(bucket)
        self.send_again()


def decode_sample(data: bytes) -> ResourceSample:
    """Read a sample from its JSON."""
    return _DECODER.decode(data)


def decode_facts(data: bytes) -> SampleFacts:
    """Read of a sample's JSON when it is of."""
    return _FACTS_DECODER.decode(data)


_DECODER = msgspec.json.Decoder(ResourceSample, dec_hook=decode_timestamp)
_FACTS_DECODER = msgspec.json.Decoder(SampleFacts, dec_hook=decode_timestamp)
