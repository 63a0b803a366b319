"""Where figures come from on this machine, and one sample of them all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

from headway.diagnostics import warn_once
from headway.samples import ResourceSample
from headway.timestamps import Timestamp
from headway.worker.resources.amd import Amd
from headway.worker.resources.machine import Figures, Machine
from headway.worker.resources.nvidia import Nvidia
from headway.worker.resources.torch import Torch

# Each source may know of less than all of it: a driver of its processes, torch of its allocator.
PROCESS_GPU_MEMORY = "process_gpu_memory_bytes"


class Source(Protocol):
    """Something that measures."""

    name: str

    def read(self, now: float) -> Figures:
        """Return figures by their names in `ResourceSample`; ``now`` is in monotonic seconds."""

    def close(self) -> None:
        """Let go of what is held."""


class Sources:
    """The sources of one machine; one that fails is dropped, and warned about once.

    Parameters
    ----------
    sources
        The sources; where two know the same figure, the first one counts.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = list(sources)

    def sample(self, *, at: float, now: float) -> ResourceSample:
        """Measure everything.

        Parameters
        ----------
        at
            UTC seconds since the epoch.
        now
            Monotonic seconds.
        """
        figures: Figures = {}
        for source in list(self._sources):
            try:
                found = source.read(now)
            except Exception as error:  # whatever a driver raises
                self._sources.remove(source)
                with suppress(Exception):
                    source.close()
                warn_once(f"resources:{source.name}", "%s measures nothing any more: %r", source.name, error)
                continue
            own = max(found.get(PROCESS_GPU_MEMORY, -1), figures.get(PROCESS_GPU_MEMORY, -1))
            figures = found | figures
            if own >= 0:
                figures[PROCESS_GPU_MEMORY] = own
        return checked(figures, at=at)

    def close(self) -> None:
        """Let go of all sources."""
        for source in self._sources:
            with suppress(Exception):
                source.close()
        self._sources.clear()


def checked(figures: Figures, *, at: float) -> ResourceSample:
    """Make a sample of figures, leaving out what can be no measurement: what is negative or not finite."""
    values: dict[str, Any] = {
        name: round(value, 1) if name.endswith(("_percent", "_c", "_w")) else round(value)
        for name, value in figures.items()
        if math.isfinite(value) and value >= 0
    }
    return ResourceSample(at=Timestamp(at), **values)


def load_sources() -> None:
    """Import the libraries that measure, where they are installed."""
    for name in ("psutil", "pynvml"):
        with suppress(ImportError):
            import_module(name)


def open_sources() -> Sources:
    """Return what this machine has; a driver that is not there is nothing to speak of."""
    found = (_opened(kind) for kind in (Machine, Nvidia.of_driver, Amd, Torch))
    return Sources(source for source in found if source is not None)


def _opened(kind: Callable[[], Source | None]) -> Source | None:
    try:
        return kind()
    except (ImportError, FileNotFoundError):
        return None
    except Exception as error:  # a driver that does not fit its library, say
        name = getattr(kind, "__self__", kind)
        warn_once(f"resources:{name}", "%s measures nothing: %r", getattr(name, "name", name), error)
        return None
