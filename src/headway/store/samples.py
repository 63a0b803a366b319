"""The resource samples of tasks in Redis: a series each, replaced from some time on as it grows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum

from headway.samples import ResourceSample, SeriesUpdate, decode_facts, decode_sample
from headway.store import keys
from headway.store.commands import Commands, Script

SCRIPT = Script("samples.lua")


class Written(Enum):
    """What became of samples that were to be stored."""

    STORED = 1
    #: The task itself is not stored yet, or no more.
    NO_TASK = 0
    #: Another run has taken the task up.
    REFUSED = -1


class SampleStore:
    """The samples of all tasks on one Redis.

    Parameters
    ----------
    commands
        The way there.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def write(self, updates: Sequence[tuple[str, str, SeriesUpdate]]) -> list[Written]:
        """Store what is new of some tasks' series, each as a whole or not at all.

        The samples expire with their task.

        Parameters
        ----------
        updates
            Of each task its id, the run that sampled it, and what is new.

        Returns
        -------
        list of Written
            What became of each.

        Raises
        ------
        StoreUnavailableError
            When Redis does not answer.
        """
        if not updates:
            return []
        # Tasks of one process have their newest sample in common.
        encoded: dict[int, bytes] = {}
        calls = []
        for task_id, run, update in updates:
            arguments: list[object] = [run, repr(float(update.after))]
            for sample in update.samples:
                data = encoded.get(id(sample))
                if data is None:
                    data = encoded[id(sample)] = sample.to_json()
                arguments += [repr(float(sample.at)), data]
            calls.append(([keys.task(task_id), keys.resources(task_id)], arguments))
        return [Written(int(answer)) for answer in await self._commands.call(SCRIPT, calls)]

    async def read(self, task_id: str, *, since: float = 0.0) -> list[bytes]:
        """Read a task's samples after a time, oldest first, as the JSON that its worker wrote.

        Parameters
        ----------
        since
            UTC seconds since the epoch.

        Raises
        ------
        StoreUnavailableError
            When Redis does not answer.
        """
        return (await self.read_since({task_id: since}))[task_id]

    async def read_since(self, since: dict[str, float]) -> dict[str, list[bytes]]:
        """Read, as `read` does, the samples of some tasks after a time each, in one round trip."""
        rows = await self._commands.run(
            [
                ("ZRANGEBYSCORE", keys.resources(task_id), f"({float(at)!r}", "+inf")
                for task_id, at in since.items()
            ]
        )
        return dict(zip(since, rows, strict=True))

    async def newest(self, task_ids: Collection[str]) -> dict[str, float]:
        """Read when the newest sample of some tasks is of, UTC seconds; tasks without one are left out."""
        names = list(task_ids)
        rows = await self._commands.run([("ZREVRANGE", keys.resources(task_id), 0, 0) for task_id in names])
        return {
            task_id: float(decode_facts(row[0]).at) for task_id, row in zip(names, rows, strict=True) if row
        }

    async def read_many(self, task_ids: Collection[str]) -> dict[str, list[ResourceSample]]:
        """Read all samples of some tasks."""
        found = await self.read_since(dict.fromkeys(task_ids, 0.0))
        return {task_id: [decode_sample(data) for data in rows] for task_id, rows in found.items()}
