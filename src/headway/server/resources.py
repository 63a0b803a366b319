"""Resource samples for viewers: looked for once a second, and only of tasks whose samples somebody wants.

As with logs, a viewer holds the time up to which it was sent a task's samples, never a queue of them: one
that is slow gets them later, in bounded memory, and what Redis no longer holds in that detail more coarsely.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from headway.errors import StoreError
from headway.samples import INTERVAL_S, decode_facts
from headway.server.messages import ResourcesMessage, encode_frame

if TYPE_CHECKING:
    from headway.store.samples import SampleStore

POLL_S = 1.0
# Looks at a task that is over, after its last sample: what its worker had not sent yet comes within two.
LAST_LOOKS = 5
# Read for a viewer in one round trip, and sent in one frame: 600 kB where they are all new to it.
TASKS_AT_ONCE = 10


class ResourceFeed:
    """Tells views of new samples.

    Parameters
    ----------
    store
        Has the samples.
    is_over
        Whether a task has ended, as far as is known.
    """

    def __init__(self, store: SampleStore, *, is_over: Callable[[str], bool]) -> None:
        self._store = store
        self._is_over = is_over
        self._views: dict[str, set[ResourceView]] = {}
        self._newest: dict[str, float] = {}
        self._looks: dict[str, int] = {}

    @property
    def watched_count(self) -> int:
        """How many tasks are looked at."""
        return len(self._views)

    def view(self, wake: Callable[[], None]) -> ResourceView:
        """Make the part of a connection that has samples; ``wake`` is called when there are some to send."""
        return ResourceView(self, wake)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(POLL_S)
            wanted = [i for i in self._views if not self._is_over(i) or self._looks.get(i, 0) < LAST_LOOKS]
            try:
                newest = await self._store.newest(wanted)
            except StoreError:
                continue  # the hub tells the viewers
            for task_id in wanted:
                self._looks[task_id] = self._looks.get(task_id, 0) + 1
                at = newest.get(task_id)
                if at is not None and at != self._newest.get(task_id):
                    self._newest[task_id], self._looks[task_id] = at, 0
                    for view in self._views.get(task_id, ()):
                        view.notice(task_id)
            for known in (self._newest, self._looks):  # somebody may have left meanwhile
                for task_id in known.keys() - self._views.keys():
                    del known[task_id]

    async def read(self, since: dict[str, float]) -> dict[str, list[bytes]]:
        """Read the samples of some tasks after a time each, as the JSON that their workers wrote."""
        return await self._store.read_since(since)

    def add(self, view: ResourceView, task_id: str) -> None:
        """Look at a task for a view."""
        self._views.setdefault(task_id, set()).add(view)
        self._looks.pop(task_id, None)

    def remove(self, view: ResourceView, task_id: str) -> None:
        """Look at a task for a view no more."""
        views = self._views.get(task_id, set())
        views.discard(view)
        if not views:
            self._views.pop(task_id, None)


class ResourceView:
    """The samples that one viewer wants; see `ResourceFeed.view`."""

    def __init__(self, feed: ResourceFeed, wake: Callable[[], None]) -> None:
        self._feed = feed
        self._wake = wake
        self._sent: dict[str, float] = {}
        self._fresh: dict[str, None] = {}

    def want(self, task_ids: Iterable[str], since: Mapping[str, float]) -> None:
        """Send the samples of some tasks, those after a time each, and every new one."""
        for task_id in task_ids:
            self._sent[task_id] = since.get(task_id, 0.0)
            self._feed.add(self, task_id)
            self.notice(task_id)

    def leave(self, task_ids: Iterable[str]) -> None:
        """Send no more of these tasks."""
        for task_id in task_ids:
            if self._sent.pop(task_id, None) is not None:
                self._fresh.pop(task_id, None)
                self._feed.remove(self, task_id)

    def leave_all(self) -> None:
        """Send nothing more."""
        self.leave(list(self._sent))

    def notice(self, task_id: str) -> None:
        """Remember that a task has new samples."""
        self._fresh[task_id] = None
        self._wake()

    async def frames(self, *, many: bool) -> AsyncIterator[bytes]:
        """Make the frames of what the viewer has not got; what comes meanwhile waits for the next time.

        Parameters
        ----------
        many
            Whether the viewer takes several messages in a frame.
        """
        fresh, self._fresh = list(self._fresh), {}
        for first in range(0, len(fresh), TASKS_AT_ONCE):
            wanted = {i: self._sent[i] for i in fresh[first : first + TASKS_AT_ONCE] if i in self._sent}
            try:
                found = await self._feed.read(wanted)
            except StoreError:
                self._fresh |= dict.fromkeys(fresh[first:])  # with the next frame, or heartbeat
                return
            messages = [self._message(task_id, rows) for task_id, rows in found.items() if rows]
            step = len(messages) if many else 1
            for number in range(0, len(messages), max(1, step)):
                yield encode_frame(messages[number : number + step])

    def _message(self, task_id: str, rows: list[bytes]) -> ResourcesMessage:
        last = decode_facts(rows[-1])
        if task_id in self._sent:  # else unsubscribed meanwhile
            self._sent[task_id] = last.at
        samples = tuple(msgspec.Raw(row) for row in rows)
        return ResourcesMessage(task_id=task_id, interval_s=last.interval_s, samples=samples)


def resources_json(rows: list[bytes]) -> dict[str, object]:
    """Return what REST answers of some samples: ``interval_s``, of the newest, and ``samples``."""
    interval_s = decode_facts(rows[-1]).interval_s if rows else INTERVAL_S
    return {"interval_s": interval_s, "samples": [msgspec.Raw(row) for row in rows]}
