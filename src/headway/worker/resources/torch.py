"""The GPU memory that torch has taken for this process, CUDA's or ROCm's."""

from __future__ import annotations

import sys
from typing import Any

from headway.worker.resources.machine import Figures


class Torch:
    """What torch's allocator holds, once the user's code has imported torch and used a GPU.

    Without the some 500 MB of the GPU's context, which only the driver knows; but it is known in a container
    too, where the driver's list of processes has numbers of another world.
    """

    name = "torch"

    def read(self, now: float) -> Figures:
        """Measure; nothing while torch uses no GPU."""
        cuda: Any = getattr(sys.modules.get("torch"), "cuda", None)
        if cuda is None or not getattr(cuda, "is_initialized", bool)():
            return {}
        devices = range(cuda.device_count())
        return {"process_gpu_memory_bytes": sum(cuda.memory_reserved(device) for device in devices)}

    def close(self) -> None:
        """Nothing is held."""
