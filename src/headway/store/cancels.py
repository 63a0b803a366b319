"""Requests to stop a task: kept with it for whoever runs it, and announced."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

from headway.models import CancelRequest, TaskStatus, decode_cancel_request, encode_json
from headway.store import keys
from headway.store.commands import Commands, Script

CANCEL = Script("cancel.lua")


class Asked(NamedTuple):
    """Whom a request has reached: what the task did, and the worker that runs it, empty for none."""

    status: TaskStatus
    worker: str


class Cancels:
    """The requests of all tasks.

    Parameters
    ----------
    commands
        The way there.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def ask(self, task_id: str, request: CancelRequest) -> Asked | None:
        """Ask the worker of a task to stop it; of a task that is over nothing is asked.

        Returns
        -------
        Asked or None
            ``None`` for a task that is not stored.
        """
        [row] = await self._commands.call(CANCEL, [([keys.task(task_id)], [encode_json(request)])])
        if not row:
            return None
        await self._commands.run([("PUBLISH", keys.CANCELS, task_id)])
        status, worker = row
        return Asked(TaskStatus(status.decode()), worker.decode())

    async def read(self, task_ids: Iterable[str]) -> dict[str, CancelRequest]:
        """Read what some tasks are asked; those that nobody asks are left out."""
        ids = list(task_ids)
        found = await self._commands.run([("HGET", keys.task(task_id), "cancel") for task_id in ids])
        requests = {}
        for task_id, data in zip(ids, found, strict=True):
            request = decode_cancel_request(data) if data else None
            if request is not None:
                requests[task_id] = request
        return requests

    def hints(self) -> AbstractAsyncContextManager[AsyncIterator[list[str]]]:
        """Listen for the ids of tasks that have just been asked; see `Commands.hints`."""
        return self._commands.hints(keys.CANCELS)
