"""A short run of the chaos, and the proof that its checker sees what it is there for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tests.chaos.checker import Checker, LogLine, StageState, State, Stored
from tests.chaos.faults import Deck, Fault
from tests.chaos.reports import Acked, Failed, Gone, Started, Superseded, decode, encode
from tests.chaos.rounds import run_rounds

SEED = 20_261
ROUNDS = 7


@pytest.mark.timeout(180)
async def test_nothing_that_was_promised_is_lost_in_rounds_of_random_faults() -> None:
    print(f"seed {SEED}")
    summary, violations = await run_rounds(ROUNDS, seed=SEED)
    print(summary)
    assert violations == []
    # The checker has seen something: every kind of fault, and the tasks going on under them.
    assert summary.faults.keys() == {fault.value for fault in Fault}
    assert summary.acks > 100
    assert summary.states > 1_000
    assert summary.log_lines > 1_000
    assert summary.attempts > 10
    assert summary.lost > 0
    assert summary.superseded > 0
    assert 0 < summary.slowest_agreement_s < 2.0


def state(**facts: Any) -> State:
    """A running task whose second stage is half done."""
    stages = (
        StageState(id="queue", status="completed", progress=1.0),
        StageState(id="generation", status="in_progress", progress=0.5),
        StageState(id="post_processing", status="pending", progress=0.0),
    )
    task = State(task_id="t", attempt=1, seq=10, status="in_progress", overall_progress=40.0, stages=stages)
    return replace(task, **facts)


def with_stage(task: State, index: int, **facts: Any) -> State:
    stages = list(task.stages)
    stages[index] = replace(stages[index], **facts)
    return replace(task, stages=tuple(stages))


def ack(**facts: Any) -> Acked:
    known = Acked(
        task_id="t",
        attempt=1,
        stage=1,
        progress=0.5,
        logs=2,
        checkpoint=3,
        logged_at=3.0,
        began_at=4.0,
        at=5.0,
    )
    return replace(known, **facts)


def started(**facts: Any) -> Started:
    known = Started(task_id="t", attempt=1, is_resumed=False, began_at=1.0, at=2.0)
    return replace(known, **facts)


def resumed(**facts: Any) -> Started:
    known = started(attempt=2, is_resumed=True, checkpoint=3, stage=1, progress=0.5, began_at=8.0, at=9.0)
    return replace(known, **facts)


def lines(*messages: str) -> list[LogLine]:
    return [LogLine(id=number, message=message) for number, message in enumerate(messages, 1)]


def stored(**facts: Any) -> Stored:
    """All that `ack` speaks of, found again."""
    return replace(
        Stored(acks=[ack()], state=state(), logs=lines("1:1", "1:2"), checkpoint={"count": 3}), **facts
    )


def watch(checker: Checker, *states: State, observer: str = "viewer") -> None:
    for at, seen in enumerate(states):
        checker.see(observer, seen, at=float(at))


def found(checker: Checker, **facts: Any) -> None:
    checker.check_stored("t", stored(**facts))


def agree(checker: Checker, *, logs: list[LogLine] | None = None) -> None:
    checker.check_agreement("viewer", {"t": state()}, {"t": logs or []}, evidence="")


def take(checker: Checker, *said: Started | Acked | Superseded | Gone | Failed) -> None:
    for report in said:
        checker.take("worker", report)
    checker.begin_round(1)


def flawless(checker: Checker) -> None:
    take(
        checker,
        started(),
        ack(),
        resumed(),
        ack(attempt=2, progress=0.6, logged_at=10.0, began_at=10.0, at=11.0),
    )
    checker.excuse(["t"])
    half, lost = state(), state(seq=11, status="lost")
    back = state(seq=12, attempt=2)
    end = state(
        seq=13,
        attempt=2,
        status="completed",
        overall_progress=100.0,
        stages=tuple(replace(stage, status="completed", progress=1.0) for stage in half.stages),
    )
    watch(checker, half, lost, back, end)
    checker.see_stored(end, began_at=12.0, at=12.5)
    checker.see_stored(end, began_at=13.0, at=13.5)
    checker.hear_logs("viewer", "t", lines("1:1", "1:2", "2:1"), dropped=0)
    checker.hear_logs("viewer", "t", (), dropped=2)
    checker.excuse(None)
    found(checker, logs_dropped=2)
    acks = [ack(), ack(attempt=2, is_completed=True, stage=2, logs=1)]
    found(checker, logs_dropped=2, acks=acks, state=end, logs=lines("1:1", "1:2", "2:1"))
    agree(checker, logs=lines("1:1"))
    assert not checker.lagging("viewer", {"t": half})
    assert not checker.still_lost("viewer", ["t"])
    assert not checker.not_given_up("viewer", {"t": 1})


def test_the_checker_finds_nothing_in_a_flawless_history() -> None:
    checker = Checker()
    flawless(checker)
    assert checker.violations == []
    assert checker.counts["acks"] == 2
    assert checker.counts["lost"] == 1


HALF = state()
VIOLATIONS: dict[str, tuple[str, Callable[[Checker], None]]] = {
    "a task that was acknowledged is gone": ("lost_ack", lambda c: found(c, state=None)),
    "the stored attempt is older": ("lost_ack", lambda c: found(c, acks=[ack(attempt=2, logs=0)])),
    "the stored progress is lower": ("lost_ack", lambda c: found(c, acks=[ack(progress=0.6)])),
    "the stored stage is an earlier one": ("lost_ack", lambda c: found(c, acks=[ack(stage=2, progress=0.0)])),
    "a completed task runs": ("lost_ack", lambda c: found(c, acks=[ack(is_completed=True)])),
    "a log message is missing": ("lost_ack", lambda c: found(c, logs=lines("1:1", "1:3"))),
    "log entries were dropped": ("lost_ack", lambda c: found(c, logs_dropped=1)),
    "a checkpoint is missing": ("lost_ack", lambda c: found(c, checkpoint=None)),
    "a checkpoint is older": ("lost_ack", lambda c: found(c, checkpoint={"count": 2})),
    "a log message is there twice": ("log_repeat", lambda c: found(c, logs=lines("1:1", "1:2", "1:2"))),
    "log messages are in disorder": ("log_repeat", lambda c: found(c, logs=lines("1:2", "1:1"))),
    "an acknowledged task cannot be attached": (
        "lost_ack",
        lambda c: take(c, started(), ack(), Gone(task_id="t", reason="TaskNotFoundError: no", at=9.0)),
    ),
    "an end that was acknowledged is no end": (
        "backwards",
        lambda c: watch(c, state(status="completed"), state(seq=11)),
    ),
    "a stage begins again": (
        "backwards",
        lambda c: watch(c, HALF, with_stage(state(seq=11), 1, status="pending")),
    ),
    "a stage that was over runs": (
        "backwards",
        lambda c: watch(c, HALF, with_stage(state(seq=11), 0, status="in_progress")),
    ),
    "a stage's progress falls": (
        "backwards",
        lambda c: watch(c, HALF, with_stage(state(seq=11), 1, progress=0.4)),
    ),
    "the whole falls": ("backwards", lambda c: watch(c, HALF, state(seq=11, overall_progress=39.0))),
    "a viewer gets a state twice": ("seq", lambda c: watch(c, HALF, HALF)),
    "a viewer gets an older state": ("seq", lambda c: watch(c, HALF, state(seq=9))),
    "a viewer gets an older attempt": ("seq", lambda c: watch(c, state(attempt=2), state(seq=11))),
    "Redis goes back": (
        "seq",
        lambda c: [c.see_stored(state(seq=seq), began_at=1.0, at=1.0) for seq in (10, 9)],
    ),
    "Redis shows an older attempt's write": (
        "zombie",
        lambda c: [take(c, started(), resumed()), c.see_stored(HALF, began_at=9.5, at=9.6)],
    ),
    "an older attempt's flush succeeds": (
        "zombie",
        lambda c: take(c, started(), resumed(), ack(logged_at=9.4, began_at=9.5, at=9.6)),
    ),
    "an older attempt's log message is stored later": (
        "zombie",
        lambda c: found(c, logs=lines("1:1", "1:2", "2:1", "1:3")),
    ),
    "the newest attempt is told that it is superseded": (
        "zombie",
        lambda c: take(c, started(), Superseded(task_id="t", attempt=1, at=3.0)),
    ),
    "an attempt begins before what was acknowledged": (
        "attach",
        lambda c: take(c, started(), ack(), resumed(progress=0.4)),
    ),
    "an attempt finds an older checkpoint": (
        "attach",
        lambda c: take(c, started(), ack(), resumed(checkpoint=2)),
    ),
    "two workers have the same attempt": (
        "attach",
        lambda c: take(c, started(), resumed(), resumed(began_at=9.5, at=9.6)),
    ),
    "a viewer has nothing": ("agreement", agree),
    "a viewer has less than Redis": ("agreement", lambda c: [watch(c, state(seq=9)), agree(c)]),
    "a viewer lacks a log message": (
        "agreement",
        lambda c: [
            watch(c, HALF),
            c.hear_logs("viewer", "t", lines("1:1"), dropped=0),
            agree(c, logs=lines("1:1", "1:2")),
        ],
    ),
    "a viewer gets a log entry twice": (
        "viewer_log",
        lambda c: c.hear_logs("viewer", "t", [*lines("1:1"), *lines("1:1")], dropped=0),
    ),
    "a viewer gets a message again under another id": (
        "viewer_log",
        lambda c: c.hear_logs("viewer", "t", lines("1:1", "1:1"), dropped=0),
    ),
    "a viewer is told of dropped entries that were not": (
        "viewer_log",
        lambda c: [c.hear_logs("viewer", "t", lines("1:1"), dropped=1), found(c)],
    ),
    "a task that nobody ended is shown as failed": ("ended", lambda c: watch(c, state(status="failed"))),
    "a living worker's task is shown as lost": ("falsely_lost", lambda c: watch(c, state(status="lost"))),
    "a worker meets an exception": ("traceback", lambda c: take(c, Failed(task_id="t", traceback="..."))),
}


@pytest.mark.parametrize(("rule", "history"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_the_checker_finds(rule: str, history: Callable[[Checker], None]) -> None:
    checker = Checker()
    history(checker)
    assert {violation.rule for violation in checker.violations} == {rule}


def test_the_checker_knows_who_takes_a_dead_workers_task_for_running() -> None:
    checker = Checker()
    checker.excuse(["t"])
    assert checker.not_given_up("viewer", {"t": 1}) == ["t"]
    watch(checker, HALF)
    assert checker.not_given_up("viewer", {"t": 1}) == ["t"]
    watch(checker, state(seq=11, status="lost"))
    assert checker.not_given_up("viewer", {"t": 1}) == []
    assert checker.still_lost("viewer", ["t"]) == ["t"]
    watch(checker, state(seq=12, attempt=2))
    assert checker.not_given_up("viewer", {"t": 1}) == []
    assert checker.still_lost("viewer", ["t"]) == []


def test_a_task_may_be_lost_in_the_round_that_excuses_it_and_in_the_next() -> None:
    checker = Checker()
    checker.excuse(["t"])
    checker.begin_round(1)
    watch(checker, state(status="lost"))
    assert checker.violations == []
    checker.begin_round(2)
    watch(checker, state(status="lost"), observer="another")
    assert [violation.rule for violation in checker.violations] == ["falsely_lost"]


def test_a_seed_deals_the_same_faults_again_and_every_kind_before_any_a_second_time() -> None:
    from random import Random

    deck, again = Deck(Random(SEED), workers=5), Deck(Random(SEED), workers=5)
    rounds = [deck.deal() for _ in range(30)]
    assert rounds == [again.deal() for _ in range(30)]
    for planned in rounds:
        assert 1 <= len(planned) <= 3
        assert len({fault.fault for fault in planned}) == len(planned)
        assert len({fault.target for fault in planned}) == len(planned)
    dealt = [fault.fault for planned in rounds for fault in planned]
    assert set(dealt[: len(Fault)]) == set(Fault)


@pytest.mark.parametrize(
    "report",
    [started(), ack(), Superseded(task_id="t", attempt=1, at=1.0), Gone(task_id="t", reason="", at=1.0)],
)
def test_a_report_comes_through_a_pipe_as_it_was(report: Any) -> None:
    assert decode(encode(report).rstrip()) == report
