"""What goes on beside the sending of states while a process has tasks: hearing of others, telling them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from headway.worker.attention import follow_attention
from headway.worker.cancels import follow_cancels
from headway.worker.forecasts import Forecasts
from headway.worker.link import Link
from headway.worker.listeners import Listeners
from headway.worker.others import follow_others
from headway.worker.past import follow_history
from headway.worker.previews.encoder import PreviewEncoder
from headway.worker.resources.delivery import deliver_samples
from headway.worker.resources.sampler import Sampler

if TYPE_CHECKING:
    from headway.worker.run import TaskRun


class Followers:
    """The followers of one reporter, each a task on its event loop until it is cancelled.

    Parameters
    ----------
    link
        The way to the store.
    worker
        Names this process.
    tasks
        The tasks of this process, as they are at each look.
    listeners
        Who in this process is told of tasks.
    templates
        Gives the templates of the tasks that are not over.
    forecasts, previews, resources
        What is followed for, or delivered from.
    has_server
        Whether the listeners' views ask a server for previews.

    Attributes
    ----------
    has_samples
        Set when there are resource samples to deliver.
    running
        The followers.
    """

    def __init__(
        self,
        link: Link,
        *,
        worker: str,
        tasks: Mapping[str, TaskRun],
        listeners: Listeners,
        templates: Callable[[], set[str]],
        forecasts: Forecasts,
        previews: PreviewEncoder,
        resources: Sampler,
        has_server: bool,
    ) -> None:
        self.has_samples = asyncio.Event()
        self._is_new = asyncio.Event()
        self._is_added = asyncio.Event()
        self._is_active = asyncio.Event()
        connect, lost = link.connect, link.lose
        works = (
            follow_history(forecasts, templates, is_new=self._is_new, connect=connect, lost=lost),
            follow_cancels(tasks, is_added=self._is_added, connect=connect, lost=lost),
            follow_others(
                listeners,
                mine=tasks.keys(),
                is_active=self._is_active,
                with_previews=not has_server,
                connect=connect,
                lost=lost,
            ),
            follow_attention(
                previews, listeners, worker, is_active=self._is_active, connect=connect, lost=lost
            ),
            deliver_samples(resources, has_news=self.has_samples, connect=connect, lost=lost),
        )
        self.running = [asyncio.create_task(work) for work in works]

    def add(self) -> None:
        """Take note that there is a new task."""
        self._is_new.set()
        self._is_added.set()

    def rest(self, *, is_idle: bool) -> None:
        """Have those rest that look around now and then, while there are neither tasks nor listeners."""
        if is_idle:
            self._is_active.clear()
        else:
            self._is_active.set()
