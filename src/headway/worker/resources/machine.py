"""The processor, the memory, the disks and the network, through psutil."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

#: What a source measures: fields of `headway.samples.ResourceSample`.
Figures = dict[str, float]

# Of the group that limits a container's memory, in its version 2 and in its version 1: the limit, what is
# taken, and, in the statistics, what of that is file cache, which the kernel gives back when it is needed.
CGROUPS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


class Machine:
    """One process, the one that asks, and its host.

    Parameters
    ----------
    cgroup
        Where the control group of a container is mounted.
    """

    name = "psutil"

    def __init__(self, cgroup: Path = Path("/sys/fs/cgroup")) -> None:
        import psutil

        self._psutil = psutil
        self._process = psutil.Process(os.getpid())
        self._cgroup = cgroup
        self._rates = Rates()
        self._host_busy: tuple[float, float] | None = None

    def read(self, now: float) -> Figures:
        """Measure; rates are since the last call, and absent in the first.

        Parameters
        ----------
        now
            Monotonic seconds.
        """
        process = self._process
        with process.oneshot():
            times = process.cpu_times()
            rss_bytes = process.memory_info().rss
        memory = self._psutil.virtual_memory()
        figures: Figures = {"rss_bytes": rss_bytes}
        figures["memory_bytes"], figures["memory_total_bytes"] = self._limited(
            memory.total - memory.available, memory.total
        )
        counters: dict[str, float | None] = {"cpu_percent": 100.0 * (times.user + times.system)}
        counters |= self._disk() | self._network()
        figures |= self._rates.per_second(counters, now)
        return figures | self._host_cpu()

    def rss_bytes(self) -> int:
        """Return the resident memory of this process as of now."""
        return int(self._process.memory_info().rss)

    def close(self) -> None:
        """Nothing is held."""

    def _disk(self) -> dict[str, float | None]:
        disk: Any = self._psutil.disk_io_counters()
        if disk is None:  # a host without disks, such as some containers
            return {}
        return {"disk_read_bytes_s": disk.read_bytes, "disk_written_bytes_s": disk.write_bytes}

    def _network(self) -> dict[str, float | None]:
        network: Any = self._psutil.net_io_counters()
        if network is None:
            return {}
        return {"net_received_bytes_s": network.bytes_recv, "net_sent_bytes_s": network.bytes_sent}

    def _host_cpu(self) -> Figures:
        """Return the share of its time that the host was busy; psutil's own has one state for all who ask."""
        times: Any = self._psutil.cpu_times()
        # Linux counts the time of guests in that of users too.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        busy = total - times.idle - getattr(times, "iowait", 0.0)
        before, self._host_busy = self._host_busy, (busy, total)
        if before is None or total <= before[1]:
            return {}
        return {"host_cpu_percent": min(100.0, max(0.0, 100.0 * (busy - before[0]) / (total - before[1])))}

    def _limited(self, used: float, total: float) -> tuple[float, float]:
        """Return what the container has taken and may take, where that is less than the host has."""
        for limit_name, used_name, statistics_name, cache_name in CGROUPS:
            try:
                limit = int((self._cgroup / limit_name).read_text())
                if limit >= total:
                    break
                taken = int((self._cgroup / used_name).read_text())
                rows = (self._cgroup / statistics_name).read_text().splitlines()
                cache = next((int(row.split()[1]) for row in rows if row.split()[0] == cache_name), 0)
                return max(0, taken - cache), limit
            except (OSError, ValueError, IndexError):  # not there, "max", or not what we know
                continue
        return used, total


class Rates:
    """Turns counters that only rise into rates."""

    def __init__(self) -> None:
        self._at = math.nan
        self._before: dict[str, float] = {}

    def per_second(self, counters: dict[str, float | None], now: float) -> Figures:
        """Return what was added to each counter per second since the last call.

        A counter that fell was started anew, and has no rate this time.
        """
        known = {name: value for name, value in counters.items() if value is not None}
        elapsed_s = now - self._at
        before, self._before, self._at = self._before, known, now
        if not elapsed_s > 0:
            return {}
        return {
            name: (value - before[name]) / elapsed_s
            for name, value in known.items()
            if value >= before.get(name, math.inf)
        }
