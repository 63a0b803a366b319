"""NVIDIA's GPUs, through the driver's own library."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Self

from headway.worker.resources.machine import Figures

# How often the driver is asked which processes use a GPU: it looks at all of them.
PROCESSES_S = 5.0


class Nvidia:
    """The NVIDIA GPUs that this process uses.

    These are the ones on which the driver lists this process; where it lists it nowhere, as in a container
    with process numbers of its own, or before the first kernel, those that ``CUDA_VISIBLE_DEVICES`` names;
    and without it all.

    Parameters
    ----------
    nvml
        The module ``pynvml``, which is initialised here.
    environment
        Where ``CUDA_VISIBLE_DEVICES`` is looked up.
    pid
        This process.

    Raises
    ------
    Exception
        Whatever ``nvml`` raises where there is no driver.
    """

    name = "NVIDIA's driver"

    def __init__(
        self, nvml: Any, *, environment: Mapping[str, str] = os.environ, pid: int | None = None
    ) -> None:
        self._nvml = nvml
        self._pid = os.getpid() if pid is None else pid
        nvml.nvmlInit()
        devices = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        self._visible = visible(devices, environment.get("CUDA_VISIBLE_DEVICES"), uuid=self._uuid)
        self._used: list[Any] = []
        self._own_bytes: int | None = None
        self._listed_at: float | None = None

    @classmethod
    def of_driver(cls) -> Self | None:
        """Return the GPUs of this machine's driver; ``None`` where there is none.

        Raises
        ------
        ImportError
            When the library is not installed.
        Exception
            Whatever the driver raises where it is there and does not work.
        """
        import pynvml  # type: ignore[import-untyped]

        try:
            return cls(pynvml)
        except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
            return None

    def read(self, now: float) -> Figures:
        """Measure the GPUs; what one of them does not offer is absent.

        Parameters
        ----------
        now
            Monotonic seconds.
        """
        if self._listed_at is None or now - self._listed_at >= PROCESSES_S:
            self._listed_at = now
            self._list_processes()
        nvml = self._nvml
        devices = self._used or self._visible
        memory = self._each(devices, nvml.nvmlDeviceGetMemoryInfo)
        busy = self._each(devices, nvml.nvmlDeviceGetUtilizationRates)
        heat = self._each(
            devices, lambda device: nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU)
        )
        milliwatts = self._each(devices, nvml.nvmlDeviceGetPowerUsage)
        figures: Figures = {}
        if memory:
            figures["gpu_memory_bytes"] = sum(found.used for found in memory)
            figures["gpu_memory_total_bytes"] = sum(found.total for found in memory)
        if busy:
            figures["gpu_percent"] = sum(found.gpu for found in busy) / len(busy)
        if heat:
            figures["gpu_temperature_c"] = max(heat)
        if milliwatts:
            figures["gpu_power_w"] = sum(milliwatts) / 1_000
        if self._own_bytes is not None:
            figures["process_gpu_memory_bytes"] = self._own_bytes
        return figures

    def close(self) -> None:
        """Let go of the driver."""
        self._nvml.nvmlShutdown()

    def _list_processes(self) -> None:
        self._used, self._own_bytes = [], None
        for device in self._visible:
            for found in self._each([device], self._nvml.nvmlDeviceGetComputeRunningProcesses):
                own = [process for process in found if process.pid == self._pid]
                if own:
                    self._used.append(device)
                # Some drivers list a process and not what it takes.
                taken = [process.usedGpuMemory for process in own if process.usedGpuMemory is not None]
                if taken:
                    self._own_bytes = (self._own_bytes or 0) + sum(taken)

    def _each(self, devices: list[Any], ask: Callable[[Any], Any]) -> list[Any]:
        """Ask each device; leave out those that do not offer it, such as parts of a GPU their power."""
        found = []
        for device in devices:
            try:
                found.append(ask(device))
            except (self._nvml.NVMLError_NotSupported, self._nvml.NVMLError_NoPermission):
                continue
        return found

    def _uuid(self, device: Any) -> str:
        text = self._nvml.nvmlDeviceGetUUID(device)
        return text.decode() if isinstance(text, bytes) else str(text)


def visible(devices: list[Any], named: str | None, *, uuid: Callable[[Any], str] | None = None) -> list[Any]:
    """Return the devices that a variable such as ``CUDA_VISIBLE_DEVICES`` leaves a process.

    Parameters
    ----------
    devices
        All of them, in their order.
    named
        Their numbers or the beginnings of their UUIDs, with commas between; ``None`` for all. As the drivers
        read it, everything from the first name on that fits none is left out.
    uuid
        Gives a device's UUID.
    """
    if named is None:
        return devices
    found: list[Any] = []
    for name in (part.strip() for part in named.split(",")):
        if name.isdecimal():
            fitting = devices[int(name) : int(name) + 1]
        elif name.startswith("MIG-"):
            return devices  # a part of some GPU: which one, only the driver's process list tells
        else:
            fitting = [device for device in devices if name and uuid and uuid(device).startswith(name)]
        if len(fitting) != 1:
            break
        found += fitting
    return found
