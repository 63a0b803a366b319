"""The way of the samples from this process's sampler into the store, on the reporter's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from headway.diagnostics import warn_once
from headway.errors import StoreError
from headway.samples import INTERVAL_S
from headway.worker.resources.sampler import Sampler

if TYPE_CHECKING:
    from headway.tracker import ProgressTracker

# Samples come once a second; the tasks whose turn has not come yet follow at this pace.
POLL_S = INTERVAL_S / 2
# A sample of one task more or less in a call costs little, and each task costs a script: of more tasks than
# these, a delivery takes turns, and each brings several samples. All of a thousand are stored in ten seconds.
TASKS_A_TIME = 50


async def deliver_samples(
    sampler: Sampler,
    *,
    has_news: asyncio.Event,
    connect: Callable[[], Awaitable[ProgressTracker]],
    lost: Callable[[], None],
) -> None:
    """Store what is sampled, for ever.

    Parameters
    ----------
    has_news
        Set when there is something to store.
    connect
        Gives the tracker, connected.
    lost
        Called when the connection is gone.
    """
    while True:
        await has_news.wait()
        has_news.clear()
        try:
            has_more = await deliver_news(sampler, await connect(), limit=TASKS_A_TIME)
        except StoreError:
            has_more = True
            lost()
        except Exception as error:  # a defect of ours must not end the delivery of all
            has_more = True
            warn_once("samples", "some resource samples cannot be stored: %r", error)
        await asyncio.sleep(POLL_S)
        if has_more:
            has_news.set()


async def deliver_news(sampler: Sampler, tracker: ProgressTracker, *, limit: int | None = None) -> bool:
    """Store, in one round trip, what is not stored yet; two for tasks of which nothing is.

    Parameters
    ----------
    limit
        Of so many tasks at most, those that have waited longest.

    Returns
    -------
    bool
        Whether more is to be stored.

    Raises
    ------
    StoreUnavailableError
        When Redis does not answer; it is all sent again.
    """
    from headway.store.samples import Written

    every = sampler.news(limit)
    has_more = len(every) == limit
    first = [news for news in every if news.is_first]
    if first:
        earlier = await tracker.store.samples.read_many([news.task_id for news in first])
        for news in first:
            sampler.precede(news, earlier[news.task_id])
        # What came meanwhile has not been looked up, and would replace what is there.
        every = [news for news in sampler.news(limit) if not news.is_first]
    outcomes = await tracker.store.samples.write([(news.task_id, news.run, news.update) for news in every])
    for news, outcome in zip(every, outcomes, strict=True):
        if outcome is Written.STORED:
            sampler.acknowledge(news)
        elif outcome is Written.REFUSED:
            sampler.drop(news)
        else:
            sampler.miss(news)
            has_more = True
    return has_more
