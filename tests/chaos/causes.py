"""How each fault is caused and healed, and what is to be seen meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from signal import SIGCONT, SIGSTOP

import msgspec

from tests.chaos.checker import TASK_OVER
from tests.chaos.faults import Fault, Planned
from tests.chaos.processes import Worker
from tests.chaos.world import POLL_S, VIEWERS, World

# What must be seen within which time; see `checker`.
DEAD_S = 5.0
RETURN_S = 2.0
SEEN_S = 2.0
SUPERSEDED_S = 10.0
# How long a zombie may write before it is killed.
ZOMBIE_S = 3.0
# A worker has about ten acknowledgements a second.
ACK_S = 1.0
# What a stopped process had sent is in Redis after so long.
SETTLE_S = 0.3
# A store that is killed again and again gets so long to come back before.
KILL_AGAIN_S = 0.15
# Connections that are cut again and again have so long.
AGAIN_S = 0.4


class Times(msgspec.Struct, kw_only=True):
    """The slowest of what was measured while nothing else disturbed it; seconds."""

    dead_s: float = 0.0
    return_s: float = 0.0


async def cause(world: World, planned: Planned, times: Times) -> None:
    """Let a fault happen, and heal it."""
    await asyncio.sleep(planned.starts_s)
    match planned.fault:
        case Fault.KILL_WORKER:
            await kill_worker(world, planned)
        case Fault.LOSE_WORKER:
            await lose_worker(world, planned, times)
        case Fault.PAUSE_WORKER:
            await pause_worker(world, planned, times)
        case Fault.ZOMBIE_WORKER:
            await make_zombie(world, planned)
        case Fault.KILL_SERVER:
            await kill_server(world, planned)
        case Fault.KILL_STORE:
            await kill_store(world, planned)
        case Fault.PAUSE_STORE:
            await pause_store(world, planned)
        case Fault.CUT_STORE:
            await cut(world, planned, "normal")
        case Fault.CUT_HINTS:
            await cut(world, planned, "pubsub")
        case Fault.DROP_VIEWERS:
            await drop_viewers(world, planned)
        case Fault.SILENCE_VIEWERS:
            await silence_viewers(world, planned)


async def kill_worker(world: World, planned: Planned) -> None:
    """Kill a worker in the instant after something was acknowledged."""
    worker = world.workers[planned.target]
    await worker.wait_for_ack(ACK_S)
    world.checker.excuse(worker.tasks)
    await world.kill_worker(worker)
    world.checker.excuse(worker.tasks)
    await world.succeed(planned.target)


async def lose_worker(world: World, planned: Planned, times: Times) -> None:
    """Kill a worker, and wait until every viewer takes its tasks for lost before another has them."""
    worker, checker = world.workers[planned.target], world.checker
    checker.excuse(worker.tasks)
    killed_at = time.monotonic()
    await world.kill_worker(worker)
    checker.excuse(worker.tasks)
    stored = await world.read(list(worker.tasks))
    attempts = {i: worker.tasks[i] for i, state in stored.items() if state.status not in TASK_OVER}
    seen = await _wait_for_viewers(
        world,
        lambda name: checker.not_given_up(name, attempts),
        # A store that was started anew gives workers the time to come back before it calls any of them gone.
        until=lambda: max(killed_at, world.store_back_at) + DEAD_S,
        extra_s=SEEN_S,
    )
    took_s = seen.at - killed_at
    for name, task_ids in seen.lagging.items():
        for task_id in task_ids:
            state = checker.sight(name, task_id).state
            what = f"{took_s:.1f} s after {worker.name} was killed {name} has {state}; {world.evidence()}"
            checker.blame("dead", task_id, what)
    if not seen.was_disturbed:
        times.dead_s = max(times.dead_s, took_s)
    await world.succeed(planned.target)


async def pause_worker(world: World, planned: Planned, times: Times) -> None:
    """Stop a worker for a while, and wait until no viewer takes its tasks for lost."""
    worker, checker = world.workers[planned.target], world.checker
    async with _paused(world, worker, planned.lasts_s):
        pass
    woken_at = time.monotonic()
    seen = await _wait_for_viewers(
        world,
        lambda name: checker.still_lost(name, worker.tasks),
        until=lambda: woken_at + RETURN_S,
        extra_s=RETURN_S,
        at_least_s=SETTLE_S,  # "lost" itself may still be on its way
    )
    took_s = max(0.0, seen.at - woken_at)
    for name, task_ids in seen.lagging.items():
        for task_id in task_ids:
            what = f"{took_s:.1f} s after {worker.name} went on {name} takes it for lost; {world.evidence()}"
            checker.blame("paused", task_id, what)
    if not seen.was_disturbed:
        times.return_s = max(times.return_s, took_s)


async def make_zombie(world: World, planned: Planned) -> None:
    """Stop a worker, let another take its tasks, and let the first go on: it must be told."""
    zombie = world.workers[planned.target]
    async with _paused(world, zombie, planned.lasts_s):
        await zombie.drain()
        successor = await world.succeed(planned.target)
        deadline = time.monotonic() + SUPERSEDED_S
        while not zombie.tasks.keys() <= successor.begun and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
        taken = zombie.tasks.keys() & successor.tasks.keys()
    woken_at = time.monotonic()
    while left := zombie.tasks.keys() & taken:
        now = time.monotonic()
        # A task that is silent for longer asks later, and nobody waits for it.
        if len(left) < len(taken) and now > woken_at + ZOMBIE_S:
            break
        if now > max(woken_at, world.undisturbed(0.0)) + SUPERSEDED_S:
            what = f"{zombie.name} was not told that {successor.name} has its tasks; {world.evidence()}"
            world.checker.blame("zombie", min(left), what)
            break
        await asyncio.sleep(POLL_S)
    await world.kill_worker(zombie)
    # What it began in the instant before it was stopped has no successor.
    await world.forget(zombie.tasks.keys() - taken)


@asynccontextmanager
async def _paused(world: World, worker: Worker, lasts_s: float) -> AsyncIterator[None]:
    """Stop a worker for a while; what runs when it stops is not over when it goes on."""
    checker = world.checker
    checker.excuse(worker.tasks)
    worker.signal(SIGSTOP)
    stopped_at = time.monotonic()
    try:
        await asyncio.sleep(SETTLE_S)
        attempts = dict(worker.tasks)
        checker.excuse(attempts)
        before = await world.read(list(attempts))
        yield
        await asyncio.sleep(max(0.0, stopped_at + lasts_s - time.monotonic()))
        after = await world.read(list(attempts))
        for task_id, state in after.items():
            was = before.get(task_id)
            if was is None or was.status in TASK_OVER or state.attempt > attempts[task_id]:
                continue
            if state.status in TASK_OVER:
                what = f"{worker.name} was paused and it became {state.status}: {was}, {state}"
                checker.blame("paused", task_id, what)
    finally:
        worker.signal(SIGCONT)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What became of waiting for viewers.

    Parameters
    ----------
    lagging
        The tasks of which viewers still lag, by viewer.
    at
        When the last viewer had come up, `time.monotonic()`; now where one has not.
    was_disturbed
        Whether another fault kept viewers from seeing meanwhile.
    """

    lagging: dict[str, Collection[str]]
    at: float
    was_disturbed: bool


async def _wait_for_viewers(
    world: World,
    lagging: Callable[[str], Collection[str]],
    *,
    until: Callable[[], float],
    extra_s: float,
    at_least_s: float = 0.0,
) -> Seen:
    """Wait until no viewer lags, at most until that time, or so long after the last disturbance."""
    began_at = last_at = time.monotonic()
    was_disturbed = False
    while True:
        now = time.monotonic()
        was_disturbed = was_disturbed or world.is_disturbed
        left = {viewer.name: some for viewer in world.viewers if (some := lagging(viewer.name))}
        if left:
            last_at = now
        is_over = now > max(until(), world.undisturbed(extra_s)) if left else now >= began_at + at_least_s
        if is_over:
            return Seen(lagging=left, at=last_at, was_disturbed=was_disturbed)
        await asyncio.sleep(POLL_S)


async def kill_server(world: World, planned: Planned) -> None:
    with world.disturbed():
        await world.server.kill()
        await asyncio.sleep(planned.lasts_s)
        await world.server.start()
        await world.heal()


async def kill_store(world: World, planned: Planned) -> None:
    """Kill the store, and again whenever it is back; whoever needs it starts it."""
    world.checker.excuse(None)
    with world.disturbed():
        await world.store.kill_unwritten()
        deadline = time.monotonic() + planned.lasts_s
        while time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
            if await world.store.answers():
                await asyncio.sleep(KILL_AGAIN_S)
                await world.store.kill()
        await world.heal()
        world.store_back_at = time.monotonic()


async def pause_store(world: World, planned: Planned) -> None:
    """Stop the store for a while: callers give up, and what they sent is done when it goes on."""
    world.checker.excuse(None)
    with world.disturbed():
        async with world.store.paused():
            await asyncio.sleep(planned.lasts_s)
        await world.heal()
        world.store_back_at = time.monotonic()


async def cut(world: World, planned: Planned, kind: str) -> None:
    """End all connections of a kind, again and again."""
    with world.disturbed():
        async for _ in _again(planned.lasts_s):
            await world.store.cut(kind)
        await world.heal()


async def drop_viewers(world: World, planned: Planned) -> None:
    with world.disturbed():
        async for _ in _again(planned.lasts_s):
            for viewer in world.chance.sample(world.viewers, world.chance.randint(1, VIEWERS)):
                viewer.drop()


async def _again(lasts_s: float) -> AsyncIterator[None]:
    """Give the turn at once, and after pauses as long as the time lasts."""
    deadline = time.monotonic() + lasts_s
    yield
    while time.monotonic() + AGAIN_S < deadline:
        await asyncio.sleep(AGAIN_S)
        yield


async def silence_viewers(world: World, planned: Planned) -> None:
    """Leave the sockets of two viewers open and unread; one of them waits, the other connects anew."""
    waiting, leaving = world.chance.sample(world.viewers, 2)
    with world.disturbed():
        waiting.silence()
        leaving.abandon()
        try:
            await asyncio.sleep(planned.lasts_s)
        finally:
            waiting.listen()
            leaving.listen()
