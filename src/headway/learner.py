"""What is stored of tasks that are over, brought to whoever learns from it.

Workers and servers follow the history in the same way. What is learned, and what makes estimates of it, is
theirs (`eta`): this module loads neither the predictor nor numpy.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence, Set

from headway.records import TaskHistory, decode_record
from headway.store.history import BEGINNING, KEPT_TEMPLATES, HistoryStore

# How often the templates are looked at for what has become of their tasks.
REFRESH_S = 2.0
# A template like which none has run borrows from so many others, so many of the newest runs of each.
OTHER_TEMPLATES, OTHER_RUNS = 20, 10
# Learning a run takes up to half a millisecond; in between, others on the event loop have their turn.
LEARNED_AT_ONCE = 10


class Learner:
    """Follows the history of some templates.

    Parameters
    ----------
    learn
        Takes in some records; those that come a second time it passes over.
    """

    def __init__(self, learn: Callable[[Sequence[TaskHistory]], None]) -> None:
        self._learn = learn
        self._positions: dict[str, str] = {}
        self._has_others = False
        self._looked_at: float | None = None

    def is_due(self, templates: Set[str]) -> bool:
        """Whether it is time to look: now and again, and when there is a new template."""
        is_late = self._looked_at is None or time.monotonic() - self._looked_at >= REFRESH_S
        return is_late or bool(templates - self._positions.keys())

    async def look(self, history: HistoryStore, templates: Set[str]) -> None:
        """Learn what is new of some templates, and once some runs of others.

        Raises
        ------
        StoreUnavailableError
            When Redis does not answer; the next look goes on from there.
        """
        self._looked_at = time.monotonic()
        if not self._has_others:
            stored = await history.templates()
            others = [name for name in stored if name not in templates][:OTHER_TEMPLATES]
            newest = await history.newest(others, OTHER_RUNS)
            await self._take(data for records in newest.values() for data in records)
            self._has_others = True
        wanted = {name: self._positions.pop(name, BEGINNING) for name in templates}
        while self._positions and len(self._positions) + len(wanted) > KEPT_TEMPLATES:
            del self._positions[next(iter(self._positions))]  # the one that was wanted longest ago
        self._positions |= wanted
        async for name, position, records in history.after(wanted):
            await self._take(records)
            self._positions[name] = position

    async def _take(self, records: Iterable[bytes]) -> None:
        known = [record for data in records if (record := decode_record(data)) is not None]
        known.sort(key=lambda record: record.finished_at)
        for first in range(0, len(known), LEARNED_AT_ONCE):
            self._learn(known[first : first + LEARNED_AT_ONCE])
            await asyncio.sleep(0)
