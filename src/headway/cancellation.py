"""Ending asyncio tasks for sure."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

# Before Python 3.12, wait_for, which redis-py sends with, can swallow a cancellation: ask again.
RETRY_S = 0.05


async def cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel some tasks and wait until they have ended, however they end."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=RETRY_S)
    await asyncio.gather(*tasks, return_exceptions=True)
