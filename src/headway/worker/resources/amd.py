"""AMD's GPUs, through the files in which their kernel driver counts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from headway.worker.resources.machine import Figures
from headway.worker.resources.nvidia import visible

# Each of them leaves a process some of the GPUs that the one before left it.
VARIABLES = ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


class Amd:
    """The AMD GPUs that the environment leaves this process.

    Parameters
    ----------
    drm
        The folder of the graphics cards.
    environment
        Where ``ROCR_VISIBLE_DEVICES`` and ``HIP_VISIBLE_DEVICES`` are looked up.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """

    name = "AMD's driver"

    def __init__(
        self, drm: Path = Path("/sys/class/drm"), *, environment: Mapping[str, str] = os.environ
    ) -> None:
        cards = sorted(
            (found.parent.parent for found in drm.glob("card*/device/mem_info_vram_total")),
            key=lambda card: int(card.name.removeprefix("card")),
        )
        if not cards:
            raise FileNotFoundError(f"no AMD GPU in {drm}")
        for name in VARIABLES:
            cards = visible(cards, environment.get(name))
        self._devices = [card / "device" for card in cards]
        self._sensors = [next(iter(sorted(device.glob("hwmon/hwmon*"))), None) for device in self._devices]

    def read(self, now: float) -> Figures:
        """Measure the GPUs; what one of them does not offer is absent."""
        sensors = [sensor for sensor in self._sensors if sensor is not None]
        used = _numbers(self._devices, "mem_info_vram_used")
        busy = _numbers(self._devices, "gpu_busy_percent")
        heat = _numbers(sensors, "temp1_input")
        # The name depends on the generation of the card.
        microwatts = _numbers(sensors, "power1_average", "power1_input")
        figures: Figures = {}
        if used:
            figures["gpu_memory_bytes"] = sum(used)
            figures["gpu_memory_total_bytes"] = sum(_numbers(self._devices, "mem_info_vram_total"))
        if busy:
            figures["gpu_percent"] = sum(busy) / len(busy)
        if heat:
            figures["gpu_temperature_c"] = max(heat) / 1_000
        if microwatts:
            figures["gpu_power_w"] = sum(microwatts) / 1_000_000
        return figures

    def close(self) -> None:
        """Nothing is held."""


def _numbers(folders: list[Path], *names: str) -> list[int]:
    """Read from each folder the first of some files that holds a number."""
    found = []
    for folder in folders:
        for name in names:
            try:
                found.append(int((folder / name).read_text()))
                break
            except (OSError, ValueError):  # not offered, or the card is asleep
                continue
    return found
