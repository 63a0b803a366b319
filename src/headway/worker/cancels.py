"""Requests to stop a task of this process: heard of within milliseconds, whatever its threads do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from headway.errors import StoreError

if TYPE_CHECKING:
    from headway.tracker import ProgressTracker
    from headway.worker.run import TaskRun

FIRST_RETRY_S = 0.1
MAX_RETRY_S = 1.0


async def follow_cancels(
    tasks: Mapping[str, TaskRun],
    *,
    is_added: asyncio.Event,
    connect: Callable[[], Awaitable[ProgressTracker]],
    lost: Callable[[], None],
) -> None:
    """Tell the tasks of this process, for ever, when somebody asks them to stop.

    Parameters
    ----------
    tasks
        The tasks of this process, as they are at each look.
    is_added
        Set with the first task.
    connect
        Gives the tracker, connected.
    lost
        Called when the connection is gone.
    """
    retry_s = FIRST_RETRY_S
    await is_added.wait()
    while True:
        try:
            tracker = await connect()
            async with tracker.store.cancels.hints() as hints:
                await _tell(tasks, list(tasks), tracker)  # what was asked while nobody listened
                retry_s = FIRST_RETRY_S
                async for task_ids in hints:
                    await _tell(tasks, [task_id for task_id in task_ids if task_id in tasks], tracker)
        except StoreError:
            lost()
            await asyncio.sleep(retry_s)
            retry_s = min(MAX_RETRY_S, 2 * retry_s)


async def _tell(tasks: Mapping[str, TaskRun], task_ids: Iterable[str], tracker: ProgressTracker) -> None:
    for task_id, request in (await tracker.store.cancels.read(task_ids)).items():
        task = tasks.get(task_id)
        if task is not None:
            task.ask_to_stop(request)
