"""Records of tasks that are over: kept per template, without expiry, newest last.

A record may be stored twice, when Redis answered too late for its writer to hear of it; readers tell them
apart by the task, its attempt and its end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

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
        newest: dict[str, list[bytes]] = {}
        for names in _parts(template_ids):
            rows = await self._commands.run(
                [("XREVRANGE", keys.history(name), "+", "-", "COUNT", limit) for name in names]
            )
            for name, found in zip(names, rows, strict=True):
                newest[name] = [fields[b"record"] for _, fields in reversed(found)]
        return newest

    async def after(self, positions: Mapping[str, str]) -> AsyncIterator[tuple[str, str, list[bytes]]]:
        """Read the records of some templates that came after a position in each.

        Parameters
        ----------
        positions
            By template, the position that was read up to; `BEGINNING` for nothing.

        Yields
        ------
        template_id, position, records
            Up to where it is read now, and the JSON of each record, oldest first. A template without any
            is at its beginning, also where it had some that were dropped.
        """
        for names in _parts(positions):
            ranges = [
                ("XRANGE", keys.history(name), f"({positions[name]}", "+", "COUNT", KEPT_RECORDS)
                for name in names
            ]
            lengths = [("XLEN", keys.history(name)) for name in names]
            rows = await self._commands.run([*ranges, *lengths])
            for name, found, length in zip(names, rows, rows[len(names) :], strict=False):
                last = found[-1][0].decode() if found else positions[name] if length else BEGINNING
                yield name, last, [fields[b"record"] for _, fields in found]

    async def _drop_oldest(self, count: int) -> None:
        (names,) = await self._commands.run([("ZRANGE", keys.HISTORY_INDEX, 0, count - 1)])
        await self._commands.run([("DEL", keys.history(name.decode())) for name in names])
        await self._commands.run([("ZREM", keys.HISTORY_INDEX, *names)])


def _parts(template_ids: Iterable[str]) -> Iterator[list[str]]:
    """Cut a list of templates into those that are read together."""
    names = list(template_ids)
    for first in range(0, len(names), TEMPLATES_AT_ONCE):
        yield names[first : first + TEMPLATES_AT_ONCE]
