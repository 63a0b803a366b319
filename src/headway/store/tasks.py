"""Tasks in Redis: written where they are newer, read, listed, and announced when they change.

Redis away, slow or refusing is one error here, `StoreUnavailableError`, raised within the time-outs below;
whoever holds a store decides whether to wait and try again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from headway.errors import StoreUnavailableError, UsageError
from headway.models import TaskProgress, TaskSummary, decode_summary
from headway.settings import Settings
from headway.store import keys

if TYPE_CHECKING:
    from headway.store.embedded import EmbeddedServer

# Long enough for a busy machine, short enough that nobody takes the silence for an answer.
TIMEOUT_S = 2.0
# A script blocks the server while it runs: 200 tasks take about 3 ms.
TASKS_PER_SCRIPT = 200
# The newest previews of a task that stay fetchable; older ones are dropped first.
KEPT_PREVIEWS = 4
# How many entries of the index, picked by chance, are looked at when a task is added: as long as more than
# one in eight is of a task that is gone, the index shrinks faster than it grows.
PRUNED_AT_ONCE = 8
MAX_PAGE = 1_000

WRITE_SCRIPT = (files("headway.store") / "write.lua").read_text()


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """The newest state of a task as Redis holds it.

    Parameters
    ----------
    seq
        The state's number.
    data
        Its JSON, as the worker wrote it.
    """

    seq: int
    data: bytes


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a state was not written: what is stored is not older."""

    attempt: int
    seq: int
    is_same_run: bool = True


class TaskStore:
    """One process's way to Redis.

    Parameters
    ----------
    settings
        Which server, and how long things are kept.
    run_blocking
        How a blocking call of some 50 ms is made: on a thread by default; directly, where the event loop is
        nobody else's.
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
        try:
            self._client = aioredis.Redis.from_url(
                self.url,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise UsageError(f"expected the URL of a Redis server: {error}") from error
        self._write = self._client.register_script(WRITE_SCRIPT)

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
        with _unavailable():
            await self._client.ping()

    async def close(self) -> None:
        """Close the connections and give up the share in the embedded server."""
        await self._client.aclose()
        if self._ensuring is not None:
            await asyncio.gather(self._ensuring, return_exceptions=True)
        if self.embedded is not None and self.embedded.is_owned:
            await self._run_blocking(self.embedded.release)

    async def write(
        self,
        tasks: Sequence[TaskProgress],
        *,
        runs: Mapping[str, str] | None = None,
        expected_seq: int | None = None,
    ) -> dict[str, Refusal]:
        """Store the states that are newer than what is there, and announce them.

        Parameters
        ----------
        tasks
            At most one state of each task.
        runs
            Which run of a task each state is of, by task: one run writes an attempt, and another one is
            refused. A state of no run is not asked for one.
        expected_seq
            Write only where the stored state has this ``seq``; 0 for "only where none is stored".

        Returns
        -------
        dict
            The tasks that were refused, by their id.
        """
        refused: dict[str, Refusal] = {}
        for start in range(0, len(tasks), TASKS_PER_SCRIPT):
            some = tasks[start : start + TASKS_PER_SCRIPT]
            names: list[str] = []
            arguments: list[Any] = [self.ttl_s, keys.CHANGES]
            for task in some:
                names += [keys.task(task.task_id), keys.previews(task.task_id)]
                expected = "" if expected_seq is None else expected_seq
                run = runs.get(task.task_id, "") if runs else ""
                arguments += [task.task_id, task.attempt, task.seq, run, expected, task.to_json()]
            with _unavailable():
                rows = await self._write(keys=names, args=arguments)
                written = {}
                for task, row in zip(some, rows, strict=True):
                    if row:
                        refused[task.task_id] = Refusal(attempt=row[0], seq=row[1], is_same_run=bool(row[2]))
                    else:
                        written[task.task_id] = float(task.created_at)
                # After the tasks: whoever lists must not take an entry for that of a task that is gone.
                if written:
                    await self._client.zadd(keys.INDEX, written)
        return refused

    async def read(self, task_ids: Iterable[str]) -> dict[str, Stored]:
        """Read the newest states of some tasks; those that are not stored are left out."""
        ids = list(task_ids)
        with _unavailable():
            async with self._client.pipeline(transaction=False) as pipeline:
                for task_id in ids:
                    pipeline.hmget(keys.task(task_id), "seq", "data")
                rows = await pipeline.execute()
        return {
            task_id: Stored(seq=int(seq), data=data)
            for task_id, (seq, data) in zip(ids, rows, strict=True)
            if data is not None
        }

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
            with _unavailable():
                rows: Any = await self._client.zrevrangebyscore(
                    keys.INDEX, top, "-inf", start=offset, num=limit, withscores=True
                )
            found = [(score, member.decode()) for member, score in rows]
            page += [entry for entry in found if before is None or entry < before]
            offset += len(rows)
            if len(rows) < limit:
                break
        return page[:limit]

    async def summaries(self, task_ids: Sequence[str]) -> list[TaskSummary]:
        """Read summaries in the order of the ids; entries of tasks that are gone leave the index."""
        stored = await self.read(task_ids)
        await self._forget([task_id for task_id in task_ids if task_id not in stored])
        found = [decode_summary(stored[task_id].data) for task_id in task_ids if task_id in stored]
        return [summary for summary in found if summary is not None]

    async def prune(self) -> None:
        """Drop some entries of the index whose tasks are gone; bounds it as tasks are added."""
        with _unavailable():
            members: Any = await self._client.zrandmember(keys.INDEX, PRUNED_AT_ONCE)
        some = [member.decode() for member in members]
        stored = await self.read(some)
        await self._forget([task_id for task_id in some if task_id not in stored])

    async def _forget(self, task_ids: Sequence[str]) -> None:
        if task_ids:
            with _unavailable():
                await self._client.zrem(keys.INDEX, *task_ids)

    async def write_preview(self, task_id: str, number: int, image: bytes) -> None:
        """Store a task's newest preview and drop those that are now too old, or of an earlier run."""
        key = keys.previews(task_id)
        with _unavailable():
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.hset(key, str(number), image)
                pipeline.expire(key, self.ttl_s)
                pipeline.hkeys(key)
                names: list[bytes] = (await pipeline.execute())[-1]
            kept = sorted(n for n in map(int, names) if n <= number)[-KEPT_PREVIEWS:]
            dropped = [name for name in names if int(name) not in kept]
            if dropped:
                await self._client.hdel(key, *dropped)

    async def read_preview(self, task_id: str, number: int) -> bytes | None:
        """Read a preview; ``None`` when it is not, or no longer, stored."""
        with _unavailable():
            image: Any = await self._client.hget(keys.previews(task_id), str(number))
        return bytes(image) if image is not None else None

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[list[str]]]:
        """Listen for changes: the ids of tasks that have just been written, by anybody.

        A hint can be lost with the connection, so re-read what matters after each start.

        Raises
        ------
        StoreUnavailableError
            From the iteration, when the connection is lost.
        """
        async with self._client.pubsub(ignore_subscribe_messages=True) as pubsub:
            with _unavailable():
                await pubsub.subscribe(keys.CHANGES)
            yield _hints(pubsub)


def _embedded(settings: Settings) -> EmbeddedServer:
    # Here, because it needs what Windows does not have, where a server of one's own must still do.
    from headway.store.embedded import EmbeddedServer

    return EmbeddedServer(settings.embedded_dir())


async def _hints(pubsub: Any) -> AsyncIterator[list[str]]:
    is_asked = False
    while True:
        with _unavailable():
            message = await pubsub.get_message(timeout=TIMEOUT_S)
            if message is None and is_asked:
                raise TimeoutError("no answer to a ping")  # a lost connection can look like a quiet one
            is_asked = message is None
            if is_asked:
                await pubsub.ping()
        if message is not None and message["type"] == "message":
            yield message["data"].decode(errors="replace").split()


@contextmanager
def _unavailable() -> Iterator[None]:
    """Turn what redis-py raises into the one error of the store."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailableError(f"Redis does not answer: {type(error).__name__}: {error}") from error
