"""What must hold whatever fails, as a judge without I/O: facts go in, violations come out.

The rules, by the names that violations carry:

==============  ==========================================================================================
lost_ack        what `flush` acknowledged (state, log messages, checkpoint) is found again
log_repeat      a log message is stored once, and the messages of an attempt in their order
backwards       within an attempt nothing falls: stages, their progress, the whole; an end stays an end
seq             attempt and seq rise: strictly for a viewer, for whoever reads Redis they do not fall
zombie          once a newer attempt was attached, nothing that an older one reports is stored or acknowledged
attach          an attempt goes on from what was acknowledged before it
agreement       soon after the faults are healed each viewer has what Redis had then, log messages included
viewer_log      a viewer gets the log entries in order, none twice
dead            the tasks of a dead worker are soon shown as lost
paused          those of a paused one do not end, and are soon shown as running when it goes on
ended           no task is shown as failed or cancelled: no worker says so
falsely_lost    those of a living worker are not shown as lost
stuck           every living worker goes on to report, and what it reports is stored
traceback       neither a worker nor the server meets an exception that nobody expected
==============  ==========================================================================================
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from tests.chaos.reports import Acked, Failed, Gone, Report, Started, Superseded

# JSON keeps a float exactly; sums by weight may miss by so much.
ROUNDING = 1e-9
# More are counted, but not kept.
MAX_KEPT = 200
OVER = frozenset({"completed", "failed", "skipped"})
TASK_OVER = frozenset({"completed", "failed", "cancelled"})


class StageState(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules ask of a stage."""

    id: str
    status: str
    progress: float

    @property
    def rank(self) -> int:
        if self.status in OVER:
            return 2
        return 1 if self.status == "in_progress" else 0


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules ask of a task; read from the JSON that its worker wrote."""

    task_id: str
    attempt: int
    seq: int
    status: str
    overall_progress: float
    stages: tuple[StageState, ...]

    @property
    def position(self) -> tuple[int, int]:
        return self.attempt, self.seq


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A log entry; a worker's message is ``attempt:number``."""

    id: int
    message: str

    @property
    def number(self) -> tuple[int, int]:
        attempt, _, number = self.message.partition(":")
        return int(attempt), int(number)


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """All that Redis holds of a task, and what had been acknowledged before it was read."""

    acks: Sequence[Acked]
    state: State | None
    logs: Sequence[LogLine] = ()
    logs_dropped: int = 0
    checkpoint: Mapping[str, object] | None = None


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    rule: str
    task_id: str
    what: str
    round: int


class Sight:
    """What one observer, a viewer or a reader of Redis, has seen of one task."""

    def __init__(self) -> None:
        self.state: State | None = None
        self.at = 0.0
        self.lost_at: float | None = None
        self.log_id = 0
        self.dropped = 0
        self.messages: set[str] = set()


class Record:
    """What the workers have said of one task."""

    def __init__(self) -> None:
        self.attempt = 0
        self.attached_at = 0.0
        self.acks: dict[int, Acked] = {}
        self.has_failed = False
        # What is missing once is missing for ever, and is blamed once.
        self.is_blamed = False
        # A store that dies takes with it what it has not written, and says so; nothing of it is acknowledged.
        self.may_have_dropped = False

    @property
    def is_completed(self) -> bool:
        return any(ack.is_completed for ack in self.acks.values())


class Checker:
    """Judges, and keeps what it needs for that, of each task and observer the newest."""

    def __init__(self) -> None:
        self._round = 0
        # Which tasks may be shown as lost, of this round and the one before; a round of None excuses all.
        self._excused: tuple[set[str] | None, set[str] | None] = set(), set()
        self._told: list[tuple[str, Superseded]] = []
        self.violations: list[Violation] = []
        self.counts: Counter[str] = Counter()
        self.records: defaultdict[str, Record] = defaultdict(Record)
        self._sights: defaultdict[str, defaultdict[str, Sight]] = defaultdict(lambda: defaultdict(Sight))

    def begin_round(self, number: int) -> None:
        """Count violations to another round from now on."""
        self._judge_told()
        self._round = number
        self._excused = set(), self._excused[0]

    def excuse(self, task_ids: Iterable[str] | None) -> None:
        """Let some tasks be shown as lost, in this round and the next; ``None`` for all of them.

        Their worker is dead or paused; all, when the store was away, because no worker could say that it
        lives.
        """
        now = self._excused[0]
        excused = None if task_ids is None or now is None else now | set(task_ids)
        if task_ids is None:
            for record in self.records.values():
                record.may_have_dropped = True
        self._excused = excused, self._excused[1]

    def blame(self, rule: str, task_id: str, what: str) -> None:
        self.counts["violations"] += 1
        self.counts[f"violations.{rule}"] += 1
        if len(self.violations) < MAX_KEPT:
            self.violations.append(Violation(rule=rule, task_id=task_id, what=what, round=self._round))

    def sight(self, observer: str, task_id: str) -> Sight:
        return self._sights[task_id][observer]

    def acks(self, task_id: str) -> Sequence[Acked]:
        """Return what has been acknowledged so far; to be asked before Redis is read."""
        return tuple(self.records[task_id].acks.values())

    def forget(self, task_id: str) -> None:
        """Drop a task that is judged no more."""
        self.records.pop(task_id, None)
        self._sights.pop(task_id, None)

    # What workers say.

    def take(self, worker: str, report: Report) -> None:
        """Judge a worker's report by those before it."""
        match report:
            case Started():
                self._start(worker, report)
            case Acked():
                self._acknowledge(worker, report)
            case Superseded():
                self.counts["superseded"] += 1
                self._told.append((worker, report))
            case Gone():
                acks = self.records[report.task_id].acks
                if acks and "TaskNotFoundError" in report.reason:
                    self.blame("lost_ack", report.task_id, f"{worker} cannot attach it: {report.reason}")
            case Failed():
                self.records[report.task_id].has_failed = True
                self.blame("traceback", report.task_id, f"{worker}: {report.traceback}")

    def _start(self, worker: str, new: Started) -> None:
        self.counts["resumed" if new.is_resumed else "started"] += 1
        record = self.records[new.task_id]
        record.may_have_dropped |= None in self._excused
        for ack in record.acks.values():
            if ack.at >= new.began_at:
                continue
            if (new.stage, new.progress + ROUNDING) < (ack.stage, ack.progress):
                self.blame("attach", new.task_id, f"{worker} goes on from {new}, after {ack}")
            if ack.checkpoint and (new.checkpoint or 0) < ack.checkpoint:
                self.blame("attach", new.task_id, f"{worker} found an older checkpoint: {new}, after {ack}")
            if ack.attempt >= new.attempt:
                self.blame("attach", new.task_id, f"{worker} became no newer attempt: {new}, after {ack}")
        if new.attempt > record.attempt:
            record.attempt, record.attached_at = new.attempt, new.at
        elif new.is_resumed:
            self.blame("attach", new.task_id, f"{worker} became attempt {new.attempt} after {record.attempt}")

    def _acknowledge(self, worker: str, ack: Acked) -> None:
        self.counts["acks"] += 1
        record = self.records[ack.task_id]
        if record.attempt > ack.attempt and ack.logged_at > record.attached_at:
            what = f"{worker} flushed attempt {ack.attempt} after {record.attempt} was attached: {ack}"
            self.blame("zombie", ack.task_id, what)
        record.acks[ack.attempt] = ack

    def _judge_told(self) -> None:
        """Find the newer attempt of each that was told of one; its own report may have come later."""
        told, self._told = self._told, []
        for worker, report in told:
            if self.records[report.task_id].attempt <= report.attempt:
                what = f"{worker} was told that attempt {report.attempt} is superseded, and it is the newest"
                self.blame("zombie", report.task_id, what)

    # What observers see.

    def see(self, observer: str, state: State, *, at: float, strictly: bool = True) -> None:
        """Judge a state by what the same observer has seen of the task before.

        Parameters
        ----------
        strictly
            Whether each state must be newer than the one before; else it must not be older.
        """
        self.counts["states"] += 1
        sight = self.sight(observer, state.task_id)
        before, sight.state, sight.at = sight.state, state, at
        if state.status != "lost":
            sight.lost_at = None
        elif sight.lost_at is None:
            sight.lost_at = at
            self.counts["lost"] += 1
            if not any(excused is None or state.task_id in excused for excused in self._excused):
                self.blame("falsely_lost", state.task_id, f"{observer} sees it lost, and its worker lives")
        is_ended = state.status in ("failed", "cancelled") and not self.records[state.task_id].has_failed
        if is_ended and (before is None or before.status != state.status):
            self.blame("ended", state.task_id, f"{observer} sees it {state.status}: {state}")
        if before is None:
            return
        is_newer = state.attempt >= before.attempt and state.seq > before.seq
        if not is_newer and (strictly or state.position != before.position):
            what = f"{observer} sees attempt, seq {state.position} after {before.position}"
            self.blame("seq", state.task_id, what)
        if state.attempt == before.attempt:
            for what in fallen(before, state):
                self.blame("backwards", state.task_id, f"{observer}, seq {before.seq} to {state.seq}: {what}")

    def see_stored(self, state: State, *, began_at: float, at: float) -> None:
        """Judge a state read from Redis itself."""
        self.counts["reads"] += 1
        record = self.records[state.task_id]
        if state.attempt < record.attempt and began_at > record.attached_at:
            what = (
                f"Redis shows attempt {state.attempt}, seq {state.seq}, after {record.attempt} was attached"
            )
            self.blame("zombie", state.task_id, what)
        self.see("redis", state, at=at, strictly=False)

    def hear_logs(self, observer: str, task_id: str, lines: Iterable[LogLine], *, dropped: int) -> None:
        """Judge log entries that came to a viewer."""
        sight = self.sight(observer, task_id)
        sight.dropped = max(sight.dropped, dropped)
        for line in lines:
            self.counts["log_lines"] += 1
            if line.id <= sight.log_id or line.message in sight.messages:
                what = f"{observer} gets {line} after id {sight.log_id}"
                self.blame("viewer_log", task_id, what)
            sight.log_id = max(sight.log_id, line.id)
            sight.messages.add(line.message)

    # What is asked after the faults are healed.

    def check_stored(self, task_id: str, stored: Stored) -> None:
        """Find all that was acknowledged in what Redis holds; once something is missing, ask no more."""
        record, before = self.records[task_id], self.counts["violations"]
        if record.is_blamed:
            return
        for ack in stored.acks:
            for what in missing(ack, stored):
                self.blame("lost_ack", task_id, f"{what}; acknowledged: {ack}")
        numbers = [line.number for line in stored.logs]
        for number, times in Counter(numbers).items():
            if times > 1:
                self.blame("log_repeat", task_id, f"message {number} is stored {times} times")
        if stored.logs_dropped and not record.may_have_dropped:
            self.blame("lost_ack", task_id, f"{stored.logs_dropped} of its few log entries were dropped")
        for observer, sight in self._sights[task_id].items():
            if sight.dropped > stored.logs_dropped:
                what = (
                    f"{observer} is told of {sight.dropped} dropped entries, Redis of {stored.logs_dropped}"
                )
                self.blame("viewer_log", task_id, what)
        # An older attempt's message after a newer one's was written when it should have been refused.
        for earlier, later in pairwise(numbers):
            if later[0] < earlier[0]:
                self.blame("zombie", task_id, f"log message {later} is stored after {earlier}")
            elif later[0] == earlier[0] and later[1] < earlier[1]:
                self.blame("log_repeat", task_id, f"log message {later} is stored after {earlier}")
        record.is_blamed = self.counts["violations"] > before

    def lagging(self, observer: str, wanted: Mapping[str, State]) -> list[str]:
        """Return the tasks of which the observer has less than Redis had."""
        return [
            task_id
            for task_id, state in wanted.items()
            if (seen := self.sight(observer, task_id).state) is None or seen.position < state.position
        ]

    def lagging_logs(self, observer: str, wanted: Mapping[str, Sequence[LogLine]]) -> list[str]:
        """Return the tasks of which the observer lacks log entries."""
        return [
            task_id
            for task_id, lines in wanted.items()
            if not self.sight(observer, task_id).messages.issuperset(line.message for line in lines)
        ]

    def check_agreement(
        self,
        observer: str,
        states: Mapping[str, State],
        logs: Mapping[str, Sequence[LogLine]],
        *,
        evidence: str,
    ) -> None:
        """Blame what an observer still lacks when the time for it is over."""
        for task_id in self.lagging(observer, states):
            seen = self.sight(observer, task_id).state
            has = "nothing" if seen is None else f"{seen.position} ({seen.status})"
            wanted = f"{states[task_id].position} ({states[task_id].status})"
            self.blame("agreement", task_id, f"{observer} has {has}, Redis had {wanted}; {evidence}")
        for task_id in self.lagging_logs(observer, logs):
            sight = self.sight(observer, task_id)
            missed = [line for line in logs[task_id] if line.message not in sight.messages]
            what = f"{observer} is at log id {sight.log_id} and lacks {len(missed)}, the first {missed[0]}"
            self.blame("agreement", task_id, f"{what}; {evidence}")

    def not_given_up(self, observer: str, attempts: Mapping[str, int]) -> list[str]:
        """Return the tasks that an observer still takes for running in that attempt."""
        return [
            task_id
            for task_id, attempt in attempts.items()
            if (seen := self.sight(observer, task_id).state) is None
            or (seen.attempt <= attempt and seen.status not in TASK_OVER | {"lost"})
        ]

    def still_lost(self, observer: str, task_ids: Collection[str]) -> list[str]:
        """Return the tasks that an observer takes for lost."""
        states = {task_id: self.sight(observer, task_id).state for task_id in task_ids}
        return [task_id for task_id, state in states.items() if state is not None and state.status == "lost"]


def fallen(before: State, after: State) -> list[str]:
    """Say what fell between two states of one attempt."""
    found = [
        f"stage {old.id} fell from {old.status} {old.progress} to {new.status} {new.progress}"
        for old, new in zip(before.stages, after.stages, strict=True)
        if new.rank < old.rank or new.progress < old.progress - ROUNDING
    ]
    if after.overall_progress < before.overall_progress - ROUNDING:
        found.append(f"the whole fell from {before.overall_progress} to {after.overall_progress}")
    if before.status in TASK_OVER and after.status != before.status:
        found.append(f"the task was {before.status} and is {after.status}")
    return found


def missing(ack: Acked, stored: Stored) -> list[str]:
    """Say what of an acknowledgement is not stored."""
    state = stored.state
    if state is None:
        return ["the task is not stored"]
    found = []
    if state.attempt < ack.attempt:
        found.append(f"attempt {state.attempt} is stored, of seq {state.seq}")
    stage = state.stages[ack.stage]
    if stage.rank < 2 and (stage.rank < 1 or stage.progress < ack.progress - ROUNDING):
        found.append(f"stage {stage.id} is {stage.status} at {stage.progress}")
    behind = [stage.id for stage in state.stages[: ack.stage] if stage.rank < 2]
    if behind:
        found.append(f"stages before it are not over: {', '.join(behind)}")
    if ack.is_completed and state.status != "completed":
        found.append(f"the task is {state.status}")
    kept = {number for attempt, number in (line.number for line in stored.logs) if attempt == ack.attempt}
    gone = [number for number in range(1, ack.logs + 1) if number not in kept]
    if gone:
        found.append(f"{len(gone)} log messages are not stored, the first is {gone[0]}")
    count = stored.checkpoint.get("count", 0) if stored.checkpoint else 0
    if not isinstance(count, int) or count < ack.checkpoint:
        found.append(f"the checkpoint is {stored.checkpoint}")
    return found
