"""Whether anybody looks at this process's tasks: previews that nobody sees may cost less."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sized
from typing import TYPE_CHECKING

from headway.errors import StoreError

if TYPE_CHECKING:
    from headway.tracker import ProgressTracker
    from headway.worker.previews.encoder import PreviewEncoder

POLL_S = 2.0
# Of the budget, where nobody looks: enough for a history to be looked through later.
UNWATCHED = 0.25


async def follow_attention(
    previews: PreviewEncoder,
    listeners: Sized,
    worker: str,
    *,
    is_active: asyncio.Event,
    connect: Callable[[], Awaitable[ProgressTracker]],
    lost: Callable[[], None],
) -> None:
    """Tell the encoder, for ever, which share of their budget previews may use.

    Parameters
    ----------
    listeners
        The views of this process that are told of tasks.
    worker
        Names this process.
    is_active
        Set while there are tasks or listeners.
    connect
        Gives the tracker, connected.
    lost
        Called when the connection is gone.
    """
    while True:
        await is_active.wait()
        await asyncio.sleep(POLL_S)
        if not previews.is_used:
            continue
        try:
            is_watched = bool(len(listeners)) or await (await connect()).store.watches.has(worker)
        except StoreError:
            lost()
            continue
        previews.attention = 1.0 if is_watched else UNWATCHED
