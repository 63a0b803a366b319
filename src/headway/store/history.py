"""Records of tasks that are over: kept per template, without expiry, newest last.

A record may be stored twice, when Redis answered too late for its writer to hear of it; readers tell them
apart by the task, its attempt and its end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from headway.records import TaskHistory
from headway.store import keys
from headway.store.commands import Commands

# Of a template; the oldest are dropped first. Twice what the predictor looks at.
KEPT_RECORDS = 300
# Beyond it the template whose last task ended first is dropped with all its records: 60,000 records of
# 1.5 kB are 90 MB.
KEPT_TEMPLATES = 200
# So many are read in one round trip: 300 records of 1.5 kB each.
TEMPLATES_AT_ONCE = 10
# Streams number their entries by the server's clock; this is before all of them.
BEGINNING = "0-0"


class HistoryStore:
    """The records in Redis.

    Parameters
    ----------
    commands
        The connections.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def add(self, records: Sequence[TaskHistory]) -> None:
        """Store records, and drop the oldest of too many."""
        if not records:
            return
        await self._commands.run(
            [
                (
                    "XADD",
                    keys.history(record.template_id),
                    "MAXLEN",
                    KEPT_RECORDS,
                    "*",
                    "record",
                    record.to_json(),
                )
                for record in records
            ]
        )
        # After the records, so that a template in the index has some.
        in_order = sorted(records, key=lambda record: record.finished_at)
        newest = {record.template_id: float(record.finished_at) for record in in_order}
        entries = [part for template_id, at in newest.items() for part in (at, template_id)]
        # GT: a record that comes late, or from a file, makes its template no older.
        _, count = await self._commands.run(
            [("ZADD", keys.HISTORY_INDEX, "GT", *entries), ("ZCARD", keys.HISTORY_INDEX)]
        )
        if int(count) > KEPT_TEMPLATES:
            await self._drop_oldest(int(count) - KEPT_TEMPLATES)

    async def templates(self, limit: int = KEPT_TEMPLATES) -> list[str]:
        """List the templates that have records, those whose tasks ended last first."""
        (names,) = await self._commands.run([("ZREVRANGE", keys.HISTORY_INDEX, 0, limit - 1)])
        return [name.decode() for name in names]

    async def newest(self, template_ids: Iterable[str], limit: int = KEPT_RECORDS) -> dict[str, list[bytes]]:
        """Read the newest records of some templates, as JSON, oldest first."""
        commands = [
            (name, ("XREVRANGE", keys.history(name), "+", "-", "COUNT", limit)) for name in template_ids
        ]
        return {name: [data for _, data in reversed(found)] async for name, found in self._read(commands)}

    def after(self, positions: Mapping[str, str]) -> AsyncIterator[tuple[str, list[tuple[str, bytes]]]]:
        """Read the records of some templates that came after a position in each.

        Parameters
        ----------
        positions
            By template, the position of the last one that was read; `BEGINNING` for none.

        Yields
        ------
        template_id, records
            Position and JSON of each, oldest first.
        """
        return self._read(
            [
                (name, ("XRANGE", keys.history(name), f"({position}", "+", "COUNT", KEPT_RECORDS))
                for name, position in positions.items()
            ]
        )

    async def _read(
        self, commands: Sequence[tuple[str, tuple[Any, ...]]]
    ) -> AsyncIterator[tuple[str, list[tuple[str, bytes]]]]:
        for first in range(0, len(commands), TEMPLATES_AT_ONCE):
            some = commands[first : first + TEMPLATES_AT_ONCE]
            rows = await self._commands.run([command for _, command in some])
            for (name, _), entries in zip(some, rows, strict=True):
                yield name, [(position.decode(), fields[b"record"]) for position, fields in entries]

    async def _drop_oldest(self, count: int) -> None:
        (names,) = await self._commands.run([("ZRANGE", keys.HISTORY_INDEX, 0, count - 1)])
        await self._commands.run([("DEL", keys.history(name.decode())) for name in names])
        await self._commands.run([("ZREM", keys.HISTORY_INDEX, *names)])
