"""Tasks in Redis: written where they are newer, read, listed, and announced when they change.

Redis away, slow or refusing is one error here, `StoreUnavailableError`; whoever holds a store decides whether
to wait and try again.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from headway.errors import StoreUnavailableError
from headway.logs import LogEntry, LogLevel, LogPage, decode_log_entry
from headway.models import TaskStatus, decode_cancel_request
from headway.settings import Settings
from headway.store import keys, previews
from headway.store.cancels import Cancels
from headway.store.commands import Call, Commands, Script
from headway.store.history import HistoryStore
from headway.store.leases import Leases
from headway.store.previews import PreviewFacts, StoredPreview
from headway.store.reports import Refusal, Report, Stored
from headway.store.samples import SampleStore
from headway.store.watches import Watches

if TYPE_CHECKING:
    from headway.store.embedded import EmbeddedServer

# How much longer a task stays that a worker runs: it is renewed after an eighth of its time, so that, of a
# memory that is full, every other task leaves before it.
LIVE_SHARE = 1.25
# Of a task's log; the oldest of level debug are dropped first, then the oldest.
KEPT_LOG_ENTRIES = 2_000
# Tasks that are kept; beyond it the oldest that are over are dropped first.
KEPT_TASKS = 100_000
# How many entries of the index, picked by chance, are looked at when a task is added: as long as more than
# one in eight is of a task that is gone, the index shrinks faster than it grows.
PRUNED_AT_ONCE = 8
# The oldest tasks of too many that are looked at for some that nobody runs.
LOOKED_AT = 100
MAX_PAGE = 1_000
# How long it may take until the embedded server has handed to the system what it has acknowledged.
PERSIST_TIMEOUT_S = 5.0
PERSIST_POLL_S = 0.01

WRITE = Script("write.lua")


class TaskStore:
    """One process's way to Redis.

    Parameters
    ----------
    settings
        Which server, and how long things are kept.
    run_blocking
        How a blocking call of some 50 ms is made: on a thread by default; directly, where the event loop is
        nobody else's.

    Attributes
    ----------
    commands
        The connections.
    leases
        Which workers are alive.
    history
        The records of tasks that are over.
    cancels
        Which tasks are asked to stop.
    watches
        Which workers' tasks are looked at.
    samples
        What tasks' processes and machines were doing.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        run_blocking: Callable[[Callable[[], object]], Awaitable[object]] = asyncio.to_thread,
    ) -> None:
        self.ttl_s = settings.ttl_s
        self.embedded = None if settings.redis_url else _embedded(settings)
        self.url = settings.redis_url or (self.embedded.url if self.embedded else "")
        self._run_blocking = run_blocking
        self._ensuring: asyncio.Future[object] | None = None
        self.commands = Commands(self.url)
        self.leases = Leases(self.commands)
        self.history = HistoryStore(self.commands)
        self.cancels = Cancels(self.commands)
        self.watches = Watches(self.commands)
        self.samples = SampleStore(self.commands)

    async def connect(self) -> None:
        """Make sure that the server is there; the embedded one is started where it is not.

        Raises
        ------
        StoreUnavailableError
            When a server of one's own does not answer.
        EmbeddedServerError
            When the embedded one cannot be started.
        """
        if self.embedded is not None:
            if self._ensuring is None or self._ensuring.done():
                self._ensuring = asyncio.ensure_future(self._run_blocking(self.embedded.ensure))
            # A thread goes on when its waiter is cancelled: `close` waits for it.
            await asyncio.shield(self._ensuring)
            if self.embedded.take_started_alone():
                await self.leases.trust()
        await self.commands.connect()

    async def close(self) -> None:
        """Close the connections and give up the share in the embedded server."""
        await self.commands.close()
        if self._ensuring is not None:
            await asyncio.gather(self._ensuring, return_exceptions=True)
        if self.embedded is not None and self.embedded.is_owned:
            await self._run_blocking(self.embedded.release)

    async def write(self, reports: Sequence[Report]) -> dict[str, Refusal]:
        """Store what is newer than what is there, and announce it.

        Parameters
        ----------
        reports
            At most one of each task.

        Returns
        -------
        dict
            The tasks that were refused, by their id.
        """
        if not reports:
            return {}
        rows = await self.commands.call(WRITE, [self._write_call(report) for report in reports])
        refused: dict[str, Refusal] = {}
        written: dict[str, float] = {}
        for report, row in zip(reports, rows, strict=True):
            task = report.task
            if row:
                attempt, seq, same, past, cancel = row
                refused[task.task_id] = Refusal(
                    attempt=attempt,
                    seq=seq,
                    is_same_run=bool(same),
                    has_written=bool(past),
                    cancel_request=decode_cancel_request(cancel) if cancel else None,
                )
            else:
                written[task.task_id] = float(task.created_at)
        # After the tasks: whoever lists must not take an entry for that of a task that is gone.
        if written:
            entries = [part for task_id, made_at in written.items() for part in (made_at, task_id)]
            await self.commands.run(
                [("ZADD", keys.INDEX, *entries), ("PUBLISH", keys.CHANGES, " ".join(written))]
            )
        return refused

    def _write_call(self, report: Report) -> Call:
        task, preview = report.task, report.preview
        is_live = not task.status.is_over and task.status is not TaskStatus.LOST
        arguments: list[Any] = [
            int(1_000 * self.ttl_s * (LIVE_SHARE if is_live and report.worker else 1)),
            task.attempt,
            task.seq,
            report.run,
            "" if report.expected_seq is None else report.expected_seq,
            task.to_json(),
            report.worker if is_live else "-",
            "" if report.checkpoint is None else report.checkpoint or "-",
            *(preview.arguments() if preview else ("", "", "")),
            KEPT_LOG_ENTRIES,
            report.first_log_id,
            task.status,
        ]
        for entry in report.entries:
            arguments += [entry.id, int(entry.is_debug), entry.data]
        return keys.of_task(task.task_id), arguments

    async def persist(self) -> None:
        """Wait until what was acknowledged would survive the death of the embedded server.

        Only with the policy ``everysec`` is there anything to wait for: with it the server may hold what it
        has acknowledged back for up to two seconds while the disk is busy. A server of one's own has its own
        policy.

        Raises
        ------
        StoreUnavailableError
            When it takes longer than 5 s.
        """
        if self.embedded is None:
            return
        deadline = time.monotonic() + PERSIST_TIMEOUT_S
        while True:
            async with self.commands.client() as client:
                facts = await client.info("persistence")
            if not facts.get("aof_buffer_length"):
                return
            if time.monotonic() > deadline:
                raise StoreUnavailableError("the disk of the embedded server is too slow")
            await asyncio.sleep(PERSIST_POLL_S)

    async def read(self, task_ids: Iterable[str]) -> dict[str, Stored]:
        """Read the newest states of some tasks; those that are not stored are left out."""
        ids = list(task_ids)
        fields = ("seq", "data", "status", "worker", "log_id")
        rows = await self.commands.run([("HMGET", keys.task(task_id), *fields) for task_id in ids])
        return {
            task_id: Stored(
                seq=int(seq),
                data=data,
                status=(status or b"").decode(),
                worker=(worker or b"").decode(),
                log_id=int(log_id or 0),
            )
            for task_id, (seq, data, status, worker, log_id) in zip(ids, rows, strict=True)
            if data is not None
        }

    async def read_seqs(self, task_ids: Iterable[str]) -> dict[str, int]:
        """Read the numbers of the newest states of some tasks, 0 for one that is not stored."""
        ids = list(task_ids)
        rows = await self.commands.run([("HGET", keys.task(task_id), "seq") for task_id in ids])
        return {task_id: int(seq or 0) for task_id, seq in zip(ids, rows, strict=True)}

    async def read_checkpoint(self, task_id: str) -> bytes | None:
        """Read the JSON of a task's newest checkpoint; ``None`` where there is none."""
        async with self.commands.client() as client:
            data: Any = await client.hget(keys.task(task_id), "checkpoint")
        return data if data is None else bytes(data)

    async def read_logs(
        self, task_id: str, *, since: int = 0, limit: int = MAX_PAGE, level: LogLevel = LogLevel.DEBUG
    ) -> LogPage:
        """Read a task's log.

        Parameters
        ----------
        since
            Only entries after the one of this id.
        limit
            At most so many.
        level
            Only entries of this level or above.
        """
        streams = [keys.logs(task_id)]
        if level is LogLevel.DEBUG:
            streams.append(keys.debug_logs(task_id))
        found: list[LogEntry] = []
        while True:
            commands: list[tuple[Any, ...]] = [
                ("XRANGE", stream, f"({since}-0", "+", "COUNT", limit + 1) for stream in streams
            ]
            lengths = [("XLEN", name) for name in (keys.logs(task_id), keys.debug_logs(task_id))]
            *rows, left, left_debug, dropped = await self.commands.run(
                [*commands, *lengths, ("HGET", keys.task(task_id), "logs_dropped")]
            )
            entries = [[decode_log_entry(fields[b"entry"]) for _, fields in stream] for stream in rows]
            page = list(heapq.merge(*entries, key=lambda entry: entry.id))[: limit + 1]
            found += [entry for entry in page if entry.level.rank >= level.rank]
            if len(found) > limit or len(page) <= limit:
                break
            since = page[-1].id
        kept, gone = found[:limit], int(dropped or 0)
        return LogPage(
            entries=tuple(kept),
            dropped=gone,
            total=int(left) + int(left_debug) + gone,
            cursor=kept[-1].id if len(found) > limit else None,
        )

    async def list_page(self, *, before: tuple[float, str] | None, limit: int) -> list[tuple[float, str]]:
        """List tasks by the time they were made, newest first.

        Parameters
        ----------
        before
            Time and id of the last one of the page before.
        limit
            1 to 1,000.

        Returns
        -------
        list of (float, str)
            Time and id of each.
        """
        page: list[tuple[float, str]] = []
        top = "+inf" if before is None else repr(before[0])
        offset = 0
        # Tasks of one instant are sorted by id, backwards; those that the page before ended with are passed.
        while len(page) < limit:
            async with self.commands.client() as client:
                rows: Any = await client.zrevrangebyscore(
                    keys.INDEX, top, "-inf", start=offset, num=limit, withscores=True
                )
            found = [(score, member.decode()) for member, score in rows]
            page += [entry for entry in found if before is None or entry < before]
            offset += len(rows)
            if len(rows) < limit:
                break
        return page[:limit]

    async def prune(self) -> None:
        """Bound the list of tasks; called as tasks are added.

        Some entries of tasks that are gone are dropped, and of too many tasks the oldest that nobody runs.
        """
        async with self.commands.client() as client:
            members: Any = await client.zrandmember(keys.INDEX, PRUNED_AT_ONCE)
            excess = int(await client.zcard(keys.INDEX)) - KEPT_TASKS
            oldest: Any = await client.zrange(keys.INDEX, 0, LOOKED_AT - 1) if excess > 0 else []
        stored = await self.read({member.decode() for member in [*members, *oldest]})
        await self.forget([name for member in members if (name := member.decode()) not in stored])
        old = {name: stored[name].worker for member in oldest if (name := member.decode()) in stored}
        gone = await self.leases.gone({worker for worker in old.values() if worker})
        idle = [name for name, worker in old.items() if not worker or worker in gone]
        dropped = idle[: max(0, excess)]
        if dropped:
            await self.commands.run([("DEL", *keys.of_task(task_id)) for task_id in dropped])
            await self.forget(dropped)

    async def forget(self, task_ids: Sequence[str]) -> None:
        """Take tasks that are not stored from the list."""
        if task_ids:
            async with self.commands.client() as client:
                await client.zrem(keys.INDEX, *task_ids)

    async def read_preview(self, task_id: str, number: int) -> StoredPreview | None:
        """Read a preview; ``None`` when it is not, or no longer, stored."""
        return await previews.read(self.commands, task_id, number)

    async def list_previews(self, task_id: str) -> list[PreviewFacts]:
        """Read what is known of a task's previews, oldest first; none of a task that is not stored."""
        return await previews.listed(self.commands, task_id)

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[list[str]]]:
        """Listen for the ids of tasks that anybody has just written; see `Commands.hints`."""
        return self.commands.hints(keys.CHANGES)


def _embedded(settings: Settings) -> EmbeddedServer:
    # Here, because it needs what Windows does not have, where a server of one's own must still do.
    from headway.store.embedded import EmbeddedServer

    return EmbeddedServer(settings.embedded_dir(), append_fsync=settings.append_fsync)
