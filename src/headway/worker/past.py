"""What was learned of tasks that are over, wherever they ran, brought to this process's estimates."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from headway.errors import StoreError
from headway.records import TaskHistory, decode_record
from headway.store.history import BEGINNING
from headway.worker.forecasts import Forecasts

if TYPE_CHECKING:
    from headway.tracker import ProgressTracker

# How often, while tasks run, it is looked for what other processes have finished.
REFRESH_S = 2.0
# A template like which none has run borrows from so many others, so many of the newest runs of each.
OTHER_TEMPLATES, OTHER_RUNS = 20, 10
# Learning a run takes half a millisecond; in between the reporter reports.
LEARNED_AT_ONCE = 10
MAX_TEMPLATES = 1_000


async def follow_history(
    forecasts: Forecasts,
    templates: Callable[[], set[str]],
    *,
    is_new: asyncio.Event,
    connect: Callable[[], Awaitable[ProgressTracker]],
    lost: Callable[[], None],
) -> None:
    """Learn, for ever, what becomes of the tasks of some templates.

    Parameters
    ----------
    templates
        Gives the templates of this process's tasks that are not over.
    is_new
        Set when a task was added; cleared here.
    connect
        Gives the tracker, connected.
    lost
        Called when the connection is gone.
    """
    positions: dict[str, str] = {}
    has_others = False
    looked_at = 0.0
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(REFRESH_S if templates() else None):
                await is_new.wait()
        is_new.clear()
        wanted = templates()
        is_due = time.monotonic() - looked_at >= REFRESH_S
        if not wanted or not (is_due or wanted - positions.keys()):
            continue
        try:
            tracker = await connect()
            if not has_others:
                await _learn(forecasts, await _others(tracker, wanted))
                has_others = True
            since = {name: positions.get(name, BEGINNING) for name in wanted}
            async for name, records in tracker.store.history.after(since):
                positions[name] = records[-1][0] if records else since[name]
                await _learn(forecasts, [data for _, data in records])
        except StoreError:
            lost()
            continue
        finally:
            looked_at = time.monotonic()
        if len(positions) > MAX_TEMPLATES:
            positions = {name: positions[name] for name in wanted}


async def _others(tracker: ProgressTracker, wanted: set[str]) -> list[bytes]:
    names = [name for name in await tracker.store.history.templates(OTHER_TEMPLATES) if name not in wanted]
    found = await tracker.store.history.newest(names, OTHER_RUNS)
    return [data for records in found.values() for data in records]


async def _learn(forecasts: Forecasts, records: list[bytes]) -> None:
    known: list[TaskHistory] = [record for data in records if (record := decode_record(data)) is not None]
    known.sort(key=lambda record: record.finished_at)
    for first in range(0, len(known), LEARNED_AT_ONCE):
        forecasts.learn(known[first : first + LEARNED_AT_ONCE])
        await asyncio.sleep(0)
