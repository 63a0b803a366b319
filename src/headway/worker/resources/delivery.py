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

# Half a second after a sample it is stored, at most.
POLL_S = INTERVAL_S / 2


async def deliver_samples(
    sampler: Sampler, *, connect: Callable[[], Awaitable[ProgressTracker]], lost: Callable[[], None]
) -> None:
    """Store what is sampled, for ever.

    Parameters
    ----------
    connect
        Gives the tracker, connected.
    lost
        Called when the connection is gone.
    """
    while True:
        await asyncio.sleep(POLL_S)
        if not sampler.news():
            continue
        try:
            await deliver_news(sampler, await connect())
        except StoreError:
            lost()
        except Exception as error:  # a defect of ours must not end the delivery of all
            warn_once("samples", "some resource samples cannot be stored: %r", error)


async def deliver_news(sampler: Sampler, tracker: ProgressTracker) -> None:
    """Store, in one round trip, what is not stored yet; two for tasks of which nothing is.

    Raises
    ------
    StoreUnavailableError
        When Redis does not answer; it is all sent again.
    """
    from headway.store.samples import Written

    first = [news for news in sampler.news() if news.is_first]
    if first:
        earlier = await tracker.store.samples.read_many([news.task_id for news in first])
        for news in first:
            sampler.precede(news, earlier[news.task_id])
    every = sampler.news()
    outcomes = await tracker.store.samples.write([(news.task_id, news.run, news.update) for news in every])
    for news, outcome in zip(every, outcomes, strict=True):
        if outcome is Written.STORED:
            sampler.acknowledge(news)
        elif outcome is Written.REFUSED:
            sampler.drop(news)
        else:
            sampler.miss(news)
