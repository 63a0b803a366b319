"""What was learned of tasks that are over, wherever they ran, brought to this process's estimates."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from headway.errors import StoreError
from headway.learner import REFRESH_S, Learner
from headway.worker.forecasts import Forecasts

if TYPE_CHECKING:
    from headway.tracker import ProgressTracker


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
    learner = Learner(forecasts.learn)
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(REFRESH_S if templates() else None):
                await is_new.wait()
        is_new.clear()
        wanted = templates()
        if not wanted or not learner.is_due(wanted):
            continue
        try:
            await learner.look((await connect()).store.history, wanted)
        except StoreError:
            lost()
