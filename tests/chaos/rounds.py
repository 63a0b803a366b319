"""A run: rounds of faults, and after each the questions whether anything that was promised is missing."""

from __future__ import annotations

import asyncio
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from headway.errors import StoreError, TaskNotFoundError
from tests.chaos.causes import Times, cause
from tests.chaos.checker import LogLine, State, Stored, Violation
from tests.chaos.faults import Deck, Fault, Planned
from tests.chaos.processes import Process
from tests.chaos.world import POLL_S, WORKERS, World

AGREEMENT_S = 2.0
STUCK_S = 20.0
# A fault that does not heal within so long is the end of the run.
ROUND_TIMEOUT_S = 90.0
# A completed task is looked for again after the faults of so many rounds, and once more at the end.
KEPT_ROUNDS = 2
# 200 rounds take 20 minutes; with so much more something is wrong.
SECONDS_A_ROUND = 12.0
START_S = 60.0
LOGS_PER_PAGE = 100
READ_TOGETHER = 200


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a run.

    Parameters
    ----------
    faults
        How many of each kind there were.
    unwritten_kills
        How often the store was killed when it had not written all that it had acknowledged.
    states, log_lines
        What the viewers, and the reads of Redis, have shown.
    slowest_agreement_s
        From the healing of a round's faults until each viewer had what Redis then had.
    slowest_dead_s, slowest_return_s
        Until all viewers saw that a worker was dead, or that a paused one went on, where nothing else
        disturbed them.
    """

    seed: int
    rounds: int
    took_s: float
    faults: dict[str, int]
    unwritten_kills: int
    acks: int
    states: int
    log_lines: int
    tasks: int
    attempts: int
    lost: int
    superseded: int
    connections: int
    slowest_agreement_s: float
    slowest_dead_s: float
    slowest_return_s: float
    violations: int
    violations_by_rule: dict[str, int]


class Rounds:
    """Runs rounds in a world, and adds up.

    Attributes
    ----------
    is_stuck
        Whether a round did not end: no further one can be judged.
    """

    def __init__(self, world: World, *, kinds: Sequence[Fault] = tuple(Fault)) -> None:
        self._world = world
        self._checker = world.checker
        self._deck = Deck(world.chance, workers=WORKERS, kinds=kinds)
        self._times = Times()
        self._faults: Counter[str] = Counter()
        self.is_stuck = False
        self._round = 0
        self._slowest_agreement_s = 0.0
        self._began_at = time.monotonic()
        # Completed, acknowledged, and looked for once more at the end.
        self._retired: list[str] = []

    async def run(self) -> str:
        """Let some faults happen, heal them, and check; return what happened, in a line."""
        began_at, before = time.monotonic(), self._checker.counts["violations"]
        self._round += 1
        self._checker.begin_round(self._round)
        self._world.lag_s = 0.0
        planned = self._deck.deal()
        self._faults.update(fault.fault.value for fault in planned)
        agreement_s = math.nan
        try:
            async with asyncio.timeout(ROUND_TIMEOUT_S):
                async with asyncio.TaskGroup() as group:
                    for fault in planned:
                        group.create_task(cause(self._world, fault, self._times))
                await self._world.heal()
                agreement_s = await self._check()
        except* TimeoutError as errors:
            what = "; ".join(str(error) or "the round does not end" for error in errors.exceptions)
            self._checker.blame("stuck", "", f"{what}; {self._world.evidence()}")
            self.is_stuck = True
        self._slowest_agreement_s = max(self._slowest_agreement_s, agreement_s)
        new = self._checker.counts["violations"] - before
        took_s = time.monotonic() - began_at
        times = f"{took_s:5.1f} s, agreed in {agreement_s:4.2f} s, late {self._world.lag_s:4.2f} s"
        return f"{times}, {new} violations: {_words(planned)}"

    async def check_retired(self) -> None:
        """Find every task again that was completed, and acknowledged, in any round."""
        for start in range(0, len(self._retired), READ_TOGETHER):
            some = self._retired[start : start + READ_TOGETHER]
            states = await self._world.store.read(some) or {}
            for task_id in some:
                status = states[task_id].status if task_id in states else "not stored"
                if status != "completed":
                    self._checker.blame(
                        "lost_ack", task_id, f"it was completed, and in the end it is {status}"
                    )

    def summary(self) -> Summary:
        counts = self._checker.counts
        prefix = "violations."
        return Summary(
            seed=self._world.seed,
            rounds=self._round,
            took_s=round(time.monotonic() - self._began_at, 1),
            faults=dict(sorted(self._faults.items())),
            unwritten_kills=self._world.store.unwritten_kills,
            acks=counts["acks"],
            states=counts["states"],
            log_lines=counts["log_lines"],
            tasks=counts["started"],
            attempts=counts["resumed"],
            lost=counts["lost"],
            superseded=counts["superseded"],
            connections=sum(viewer.counts["connections"] for viewer in self._world.viewers),
            slowest_agreement_s=round(self._slowest_agreement_s, 3),
            slowest_dead_s=round(self._times.dead_s, 3),
            slowest_return_s=round(self._times.return_s, 3),
            violations=counts["violations"],
            violations_by_rule={
                name.removeprefix(prefix): n for name, n in counts.items() if name.startswith(prefix)
            },
        )

    async def _check(self) -> float:
        """Check what is stored, and wait until all viewers have it; return how long that took."""
        healed_at = time.monotonic()
        acks = {task_id: self._checker.acks(task_id) for task_id in self._world.known}
        states = await self._world.read(list(acks))
        agreeing = asyncio.create_task(self._agree(healed_at, states, {}))
        logs: dict[str, list[LogLine]] = {}
        for task_id in acks:
            stored = await self._again(lambda id=task_id: self._read(id))  # type: ignore[misc]
            logs[task_id] = list(stored.logs)
            self._checker.check_stored(task_id, msgspec.structs.replace(stored, acks=acks[task_id]))
        agreement_s = await agreeing
        await self._agree(time.monotonic(), {}, logs)
        self._check_processes()
        await self._retire(states)
        return agreement_s

    async def _read(self, task_id: str) -> Stored:
        """Read all that is stored of a task, as people do."""
        world = self._world
        state = checkpoint = None
        with suppress(TaskNotFoundError):
            state = msgspec.json.decode((await world.tracker.get_progress(task_id)).to_json(), type=State)
            checkpoint = await world.tracker.read_checkpoint(task_id)
        if state is None:
            return Stored(acks=(), state=None)
        self._checker.see("tracker", state, at=time.monotonic(), strictly=False)
        lines: list[LogLine] = []
        while True:
            since = lines[-1].id if lines else 0
            page = await world.tracker.read_logs(task_id, since=since, limit=LOGS_PER_PAGE)
            lines += [LogLine(id=entry.id, message=entry.message) for entry in page.entries]
            if len(page.entries) < LOGS_PER_PAGE:
                break
        return Stored(acks=(), state=state, logs=lines, logs_dropped=page.dropped, checkpoint=checkpoint)

    async def _again(self, work: Callable[[], Coroutine[Any, Any, Stored]]) -> Stored:
        """Do something that the last fault's consequences may still prevent; the round's time bounds it."""
        while True:
            try:
                return await work()
            except StoreError:
                await asyncio.sleep(POLL_S)

    async def _agree(
        self, healed_at: float, states: dict[str, State], logs: dict[str, list[LogLine]]
    ) -> float:
        """Wait until each viewer has these states and log entries; blame those that have not in time."""
        world, checker = self._world, self._checker

        def wanted_logs(number: int) -> dict[str, list[LogLine]]:
            viewer = world.viewers[number]
            return {i: lines for i, lines in logs.items() if viewer.wanted.get(i)}

        def is_agreed() -> bool:
            return not any(
                checker.lagging(viewer.name, states) or checker.lagging_logs(viewer.name, wanted_logs(number))
                for number, viewer in enumerate(world.viewers)
            )

        while not (agreed := is_agreed()) and time.monotonic() < healed_at + AGREEMENT_S:
            await asyncio.sleep(POLL_S)
        took_s = time.monotonic() - healed_at
        if not agreed:
            for number, viewer in enumerate(world.viewers):
                evidence = f"{took_s:.1f} s after the healing; {world.evidence()}"
                checker.check_agreement(viewer.name, states, wanted_logs(number), evidence=evidence)
        return took_s

    def _check_processes(self) -> None:
        world, now = self._world, time.monotonic()
        past, world.past = world.past, []
        processes: list[Process] = [*past, *world.workers, world.server]
        for process in processes:
            if words := process.take_complaint():
                self._checker.blame("traceback", "", f"{process.name}: {words}")
        for process in [*world.workers, world.server]:
            if not process.is_alive:
                self._checker.blame(
                    "stuck", "", f"{process.name} has ended by itself: {process.last_words()}"
                )
        for worker in world.workers:
            if now - worker.acked_at > STUCK_S:
                what = f"{worker.name} has had nothing acknowledged for {now - worker.acked_at:.0f} s"
                self._checker.blame("stuck", "", f"{what}: {worker.last_words()}")
                worker.acked_at = now

    async def _retire(self, states: dict[str, State]) -> None:
        """Forget the tasks that were completed some rounds ago, and those that were never stored."""
        world = self._world
        running = {task_id for worker in world.workers for task_id in worker.tasks}
        gone: list[str] = []
        for task_id, found_in in list(world.known.items()):
            if task_id in running:
                continue
            if found_in is not None and self._round - found_in >= KEPT_ROUNDS:
                gone.append(task_id)
                if self._checker.records[task_id].is_completed:
                    self._retired.append(task_id)
            elif task_id in states and states[task_id].status == "completed" and found_in is None:
                world.known[task_id] = self._round
            elif task_id not in states and not self._checker.acks(task_id):
                gone.append(task_id)
        await world.forget(gone)


async def run_rounds(
    rounds: int, *, seed: int, kinds: Sequence[Fault] = tuple(Fault), tell: Callable[[str], None] = print
) -> tuple[Summary, list[Violation]]:
    """Run a world through rounds of faults, and end it.

    Parameters
    ----------
    kinds
        Which faults there are.
    tell
        Gets a line for each round, and one for each violation.
    """
    deadline = time.monotonic() + START_S + SECONDS_A_ROUND * rounds
    with tempfile.TemporaryDirectory(prefix="hw-chaos-", ignore_cleanup_errors=True) as folder:
        async with World(seed, Path(folder)) as world:
            run, told = Rounds(world, kinds=kinds), 0
            for number in range(1, rounds + 1):
                if time.monotonic() > deadline:
                    world.checker.blame("stuck", "", f"round {number} has not begun in time")
                    break
                tell(f"round {number}: {await run.run()}")
                told += _tell_new(world.checker.violations[told:], tell)
                if run.is_stuck:
                    break
            await run.check_retired()
        _tell_new(world.checker.violations[told:], tell)
        return run.summary(), world.checker.violations


def _tell_new(violations: Iterable[Violation], tell: Callable[[str], None]) -> int:
    count = 0
    for violation in violations:
        tell(f"  VIOLATION {violation.rule} of {violation.task_id or 'a process'}: {violation.what}")
        count += 1
    return count


def _words(planned: Iterable[Planned]) -> str:
    return ", ".join(f"{p.fault} of {p.target} at {p.starts_s:.1f} for {p.lasts_s:.1f} s" for p in planned)
