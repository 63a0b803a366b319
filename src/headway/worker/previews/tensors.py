"""Tensors of torch: told from other arrays, and copied into this machine's memory. Torch is not imported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def is_torch(array: object) -> bool:
    """Whether it is a tensor of torch, or behaves as one."""
    return all(hasattr(array, name) for name in ("detach", "cpu", "clone"))


def to_host(view: Any) -> tuple[Any, Callable[[], object] | None]:
    """Copy a slice of a tensor into the main memory, without waiting for a CUDA device's queue.

    Returns
    -------
    copy, wait
        What waits until the copy is there; ``None`` where it is.
    """
    small = view.detach()
    small = small.float().clone() if "float" in str(small.dtype) else small.clone()
    if not getattr(small, "is_cuda", False):
        return small.cpu().numpy(), None
    torch = sys.modules["torch"]
    with torch.cuda.device(small.device):
        host = small.to("cpu", non_blocking=True)  # into pinned memory
        done = torch.cuda.Event()
        done.record()
    # `small` is kept until then: its memory must not be given to another tensor meanwhile.
    return host.numpy(), lambda kept=small: done.synchronize()
