"""The stored tasks that are not over, as long as one of them is nobody's: queued, or moved on from outside.

Nobody announces what they do in a way that cannot be missed, so they are looked at: the newest entries of the
list of tasks for what is new, and the numbers of the states that are known for what has changed. While every
task has a worker nothing is kept, and a look is one short command.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Collection, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from headway.models import TaskProgress, TaskStatus, decode_task
from headway.store.reports import Stored
from headway.tracker import ProgressTracker

# What is new is among so many entries of the list, unless all of them are new.
PAGE = 100
# An older task can come back, or be of a machine whose clock is behind: so many are looked at again.
RESCANNED, RESCAN_S = 1_000, 30.0
# How many are looked at when the first task that is nobody's comes: its queue may be long.
SCANNED = 10_000
# The oldest are followed; those behind them have no estimate yet.
MAX_FOLLOWED = 1_000
# Tasks that are read or decoded, and numbers that are read, before others on the event loop have their turn:
# 2 to 3 ms.
AT_ONCE, SEQS_AT_ONCE = 100, 250
# After a sleep of the machine the workers come back first.
SLEPT_S = 3.0

OPEN = (TaskStatus.QUEUED, TaskStatus.IN_PROGRESS)


class OpenTask(NamedTuple):
    """A task that is not over, as it is stored."""

    stored: Stored
    task: TaskProgress

    @property
    def is_nobodys(self) -> bool:
        """Whether no worker has it."""
        return not self.stored.worker


class OpenTasks:
    """Follows the oldest open tasks; see the module.

    Parameters
    ----------
    tracker
        Knows the tasks.

    Attributes
    ----------
    followed
        By id.
    """

    def __init__(self, tracker: ProgressTracker) -> None:
        self._tracker = tracker
        self._store = tracker.store
        self.followed: dict[str, OpenTask] = {}
        # Of all open tasks, the time at which each was made; and which of them are nobody's.
        self._open: dict[str, float] = {}
        self._nobodys: set[str] = set()
        # The entries that the last look saw, and the times of that look and of the last one at more of them.
        self._seen: set[tuple[float, str]] = set()
        self._looked_at = 0.0
        self._scanned_at: float | None = None

    async def look(self, now: float) -> dict[str, OpenTask | None]:
        """Follow what is there by now.

        Parameters
        ----------
        now
            UTC seconds since the epoch.

        Returns
        -------
        dict
            Those that changed, by their id; ``None`` for one that is followed no more.

        Raises
        ------
        StoreUnavailableError
            When Redis does not answer; then nothing has changed here.
        """
        await self._find(now - self._store.ttl_s)
        wanted = self._wanted(now)
        if not wanted:
            return self._clear()
        seqs = await self._read_seqs(wanted)
        stale = [i for i in wanted if i not in self.followed or self.followed[i].stored.seq != seqs[i]]
        stored = await self._read(stale)
        kept = {i: self.followed[i].stored for i in wanted if i in self.followed} | stored
        if now - self._looked_at < SLEPT_S:
            lost = await self._tracker.lose(kept)
            stored |= lost
            stale += [task_id for task_id in lost if task_id not in stale]
        self._looked_at = now
        changed: dict[str, OpenTask | None] = dict.fromkeys(self.followed.keys() - set(wanted))
        for number, task_id in enumerate(stale, 1):
            changed[task_id] = self._decoded(task_id, stored.get(task_id))
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        self._apply(changed, wanted)
        return changed

    def wrote(self, task: TaskProgress) -> None:
        """Take note of a state that this process has stored itself."""
        known = self.followed[task.task_id]
        self.followed[task.task_id] = OpenTask(replace(known.stored, seq=task.seq), task)

    def restart(self) -> dict[str, OpenTask | None]:
        """Follow nothing, and find everything anew with the next look; return what `look` would."""
        self._scanned_at = None
        return self._clear()

    def _clear(self) -> dict[str, OpenTask | None]:
        gone: dict[str, OpenTask | None] = dict.fromkeys(self.followed)
        self.followed.clear()
        self._open.clear()
        self._nobodys.clear()
        return gone

    def _apply(self, changed: dict[str, OpenTask | None], wanted: Collection[str]) -> None:
        for task_id, found in changed.items():
            if found is None:
                self.followed.pop(task_id, None)
                if task_id in wanted:  # it is over
                    self._open.pop(task_id, None)
                    self._nobodys.discard(task_id)
                continue
            self.followed[task_id] = found
            (self._nobodys.add if found.is_nobodys else self._nobodys.discard)(task_id)

    def _wanted(self, now: float) -> list[str]:
        """Choose the tasks that are followed, the oldest first.

        What is nobody's for longer than tasks are stored was given up: were it estimated, it would stay.
        """
        oldest = now - self._store.ttl_s
        live = [
            (made_at, task_id)
            for task_id, made_at in self._open.items()
            if task_id not in self._nobodys or made_at >= oldest
        ]
        if all(task_id not in self._nobodys for _, task_id in live):
            return []
        return [task_id for _, task_id in heapq.nsmallest(MAX_FOLLOWED, live)]

    async def _find(self, oldest: float) -> None:
        """Look for tasks that are new, and now and then again at older ones."""
        now = time.monotonic()
        is_due = self._scanned_at is None or now - self._scanned_at >= RESCAN_S
        entries = await self._entries(RESCANNED if is_due else PAGE)
        if len(entries) == PAGE and self._seen.isdisjoint(entries):
            entries = await self._entries(RESCANNED)
        new = [entry for entry in entries if is_due or entry not in self._seen]
        found = await self._read_open(new, oldest)
        if not self._open and any(not worker for _, worker in found.values()):
            found |= await self._read_open(await self._entries(SCANNED), oldest)
        elif not self._open:
            found = {}  # each has a worker, which estimates it
        for task_id, (made_at, worker) in found.items():
            self._open[task_id] = made_at
            (self._nobodys.discard if worker else self._nobodys.add)(task_id)
        self._seen = set(entries)
        if is_due:
            self._scanned_at = now

    async def _entries(self, count: int) -> list[tuple[float, str]]:
        entries: list[tuple[float, str]] = []
        while len(entries) < count:
            size = min(count, RESCANNED)
            page = await self._store.list_page(before=entries[-1] if entries else None, limit=size)
            entries += page
            if len(page) < size:
                break
        return entries

    async def _read_open(
        self, entries: Sequence[tuple[float, str]], oldest: float
    ) -> dict[str, tuple[float, str]]:
        """Read which of some tasks are open and not given up: when each was made, and its worker."""
        found: dict[str, tuple[float, str]] = {}
        for first in range(0, len(entries), AT_ONCE):
            made = {task_id: made_at for made_at, task_id in entries[first : first + AT_ONCE]}
            for task_id, stored in (await self._store.read(made)).items():
                if stored.status in OPEN and (stored.worker or made[task_id] >= oldest):
                    found[task_id] = made[task_id], stored.worker
        return found

    async def _read_seqs(self, task_ids: Sequence[str]) -> dict[str, int]:
        seqs: dict[str, int] = {}
        for first in range(0, len(task_ids), SEQS_AT_ONCE):
            seqs |= await self._store.read_seqs(task_ids[first : first + SEQS_AT_ONCE])
        return seqs

    async def _read(self, task_ids: Sequence[str]) -> dict[str, Stored]:
        stored: dict[str, Stored] = {}
        for first in range(0, len(task_ids), AT_ONCE):
            stored |= await self._store.read(task_ids[first : first + AT_ONCE])
        return stored

    def _decoded(self, task_id: str, stored: Stored | None) -> OpenTask | None:
        if stored is None or stored.status not in OPEN:
            return None
        task = decode_task(stored.data)
        return None if task is None else OpenTask(stored, task)
