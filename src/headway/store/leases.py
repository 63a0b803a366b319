"""Leases: how it is known that a worker is still there.

Each process that runs tasks renews one lease. It ends by itself when the process is killed, paused or cut
off, and the next renewal of one that was only paused says so. All times are the Redis server's own, so that
no two clocks are compared.
"""

from __future__ import annotations

from collections.abc import Iterable

from headway.store import keys
from headway.store.commands import Commands, Script

# A worker that died is called gone after so long, and after one look more: within 5 s. One whose thread
# cannot run for longer, because some library holds the interpreter, seems gone until it is back.
LEASE_S = 3.5
RENEW_S = 0.5

SCRIPT = Script("lease.lua")


class Leases:
    """The leases of all workers on one Redis.

    Parameters
    ----------
    commands
        The way there.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def renew(self, worker: str) -> bool:
        """Prolong a worker's lease.

        Returns
        -------
        bool
            Whether there was none, or another server has taken over: its tasks may be lost, or gone.
        """
        return bool(await self._call("renew", [worker]))

    async def release(self, worker: str) -> None:
        """End a worker's lease: the process ends."""
        await self._call("release", [worker])

    async def count(self) -> int:
        """Return how many workers have a lease."""
        return int(str(await self._call("count", [])))

    async def trust(self) -> None:
        """Let the leases count at once, though the server has just started: no worker is alive."""
        await self._call("trust", [])

    async def gone(self, workers: Iterable[str]) -> set[str]:
        """Return those of the workers that have no lease."""
        wanted = list(workers)
        if not wanted:
            return set()
        answer = await self._call("gone", wanted)
        assert isinstance(answer, list)
        return {worker.decode() for worker in answer}

    async def _call(self, action: str, workers: list[str]) -> object:
        call = ([keys.LEASES, keys.LEASES_EPOCH], [action, int(LEASE_S * 1_000), *workers])
        (answer,) = await self._commands.call(SCRIPT, [call])
        return answer
