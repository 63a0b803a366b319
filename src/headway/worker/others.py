"""The tasks of other processes, followed for the views of this one that have no server to ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING

from headway.diagnostics import warn_once
from headway.errors import HeadwayError, StoreError
from headway.models import TaskProgress
from headway.worker.listeners import Listeners

if TYPE_CHECKING:
    from headway.store.previews import StoredPreview
    from headway.tracker import ProgressTracker

POLL_S = 0.5


async def follow_others(
    listeners: Listeners,
    *,
    mine: Collection[str],
    is_active: asyncio.Event,
    with_previews: bool,
    connect: Callable[[], Awaitable[ProgressTracker]],
    lost: Callable[[], None],
) -> None:
    """Tell the listeners, for ever, what becomes of tasks that are not of this process.

    Parameters
    ----------
    mine
        The tasks of this process, as they are at each look.
    is_active
        Set while there are tasks or listeners.
    with_previews
        Whether the listeners need the previews themselves: where no server can be asked for them.
    connect
        Gives the tracker, connected.
    lost
        Called when the connection is gone.
    """
    seen: dict[str, int] = {}
    while True:
        await is_active.wait()
        await asyncio.sleep(POLL_S)
        wanted = listeners.wanted().difference(mine)
        seen = {task_id: seq for task_id, seq in seen.items() if task_id in wanted}
        if not wanted:
            continue
        try:
            tracker = await connect()
            stored = await tracker.read(wanted)
            newer = {i: s for i, s in stored.items() if s.seq > seen.get(i, -1)}
            states = [TaskProgress.from_json(found.data) for found in newer.values()]
            previews = await _fetch_previews(tracker, states) if with_previews else {}
        except StoreError:
            lost()
            continue
        except (HeadwayError, ValueError) as error:
            warn_once("poll", "a task of another process cannot be shown: %s", error)
            continue
        seen |= {task_id: found.seq for task_id, found in newer.items()}
        listeners.tell(states, previews)
        listeners.forget({state.task_id for state in states if state.status.is_over})


async def _fetch_previews(tracker: ProgressTracker, states: list[TaskProgress]) -> dict[str, StoredPreview]:
    previews = {}
    for state in states:
        if state.preview_url is not None:
            number = int(state.preview_url.rpartition("/")[2])
            preview = await tracker.store.read_preview(state.task_id, number)
            if preview is not None:
                previews[state.task_id] = preview
    return previews
