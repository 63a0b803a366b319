"""Which workers' tasks are looked at: the others may spare themselves what only viewers see."""

from __future__ import annotations

from collections.abc import Iterable

from headway.store import keys
from headway.store.commands import Commands

# Said again after this time, and believed for three times as long.
MARK_S = 2.0
WATCHED_S = 6


class Watches:
    """The workers that are watched, on one Redis.

    Parameters
    ----------
    commands
        The way there.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def mark(self, workers: Iterable[str]) -> None:
        """Say that somebody looks at tasks of these workers; to be said again every `MARK_S`."""
        await self._commands.run([("SET", keys.watched(worker), 1, "EX", WATCHED_S) for worker in workers])

    async def has(self, worker: str) -> bool:
        """Whether somebody looks at a task of this worker."""
        async with self._commands.client() as client:
            return bool(await client.exists(keys.watched(worker)))
