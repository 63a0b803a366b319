"""What was learned: how it is written, read and merged."""

from __future__ import annotations

import random
from itertools import permutations
from typing import Any

import msgspec
import pytest

from headway.eta import knowledge, runs
from headway.eta.predictor import ETAPredictor
from headway.eta.runs import KEPT_RUNS
from headway.models import TaskStatus
from headway.records import StageRecord, TaskHistory
from headway.timestamps import Timestamp
from tests.eta.tasks import STAGES, asked, left, run

NOW = 1_000_000.0


#: Without a queue: the line of a worker is its own, and not in what it has learned.
RUN = STAGES[1:]


def worker(name: str, *, runs: int = 25, seed: int = 1) -> ETAPredictor:
    """Return the predictor of a worker that has run some tasks."""
    known, rng = ETAPredictor(), random.Random(seed)
    for number in range(runs):
        steps = rng.choice((10, 20, 30))
        run(
            known, f"{name}-{number}", at=1_000.0 * number + 10.0 * seed,
            seconds=(rng.lognormvariate(0.5, 0.2), steps * rng.lognormvariate(0.0, 0.2), 1.0),
            params={"steps": steps, "sampler": rng.choice(("euler", "heun"))},
            stages=RUN, reports=4, ends=TaskStatus.FAILED if number % 10 == 9 else TaskStatus.COMPLETED,
        )  # fmt: skip
    return known


def said(known: ETAPredictor) -> list[tuple[float, float, float]]:
    """Return what a predictor says of one task on its way, seconds left."""
    answers = []
    known.submitted("asked", "portrait", {"steps": 25, "sampler": "euler"}, RUN, NOW)
    answers.append(left(known, "asked", NOW))
    known.progressed("asked", "preparation", 0.0, NOW)
    answers.append(left(known, "asked", NOW + 1))
    known.progressed("asked", "execution", 0.0, NOW + 2)
    for report in range(1, 10):
        known.progressed("asked", "execution", report / 10, NOW + 2 + 3 * report)
        answers.append(left(known, "asked", NOW + 2 + 3 * report))
    known.forget("asked")
    return answers


def assert_alike(
    one: list[tuple[float, float, float]], other: list[tuple[float, float, float]], rel: float
) -> None:
    for mine, theirs in zip(one, other, strict=True):
        assert mine == pytest.approx(theirs, rel=rel, abs=1e-3)


def test_a_state_that_comes_back_says_the_same() -> None:
    known = worker("a")
    again = ETAPredictor.from_bytes(known.to_bytes())
    assert_alike(said(again), said(known), rel=0.03)
    assert again.to_bytes() == ETAPredictor.from_bytes(again.to_bytes()).to_bytes()


def test_of_many_runs_it_says_nearly_the_same() -> None:
    known = worker("a", runs=KEPT_RUNS)
    for mine, theirs in zip(said(ETAPredictor.from_bytes(known.to_bytes())), said(known), strict=True):
        assert mine[1] == pytest.approx(theirs[1], rel=0.05)


def test_an_empty_state_comes_back() -> None:
    known = ETAPredictor.from_bytes(ETAPredictor().to_bytes())
    known.submitted("a", "portrait", {}, STAGES, NOW)
    assert known.predict("a", NOW) is None


def test_tasks_that_run_are_not_in_the_state() -> None:
    known = worker("a")
    known.submitted("x", "portrait", {}, STAGES, NOW)
    assert ETAPredictor.from_bytes(known.to_bytes()).predict("x", NOW) is None


def test_states_of_several_workers_may_be_merged_in_any_order_and_again() -> None:
    states = [worker(name, seed=seed).to_bytes() for seed, name in enumerate("abc", 1)]
    merged = [ETAPredictor.from_bytes(*order) for order in permutations(states)]
    first = said(merged[0])
    for other in merged[1:]:
        assert_alike(said(other), first, rel=1e-6)
    assert_alike(said(ETAPredictor.from_bytes(*states, *states)), first, rel=1e-6)
    merged[0].submitted("x", "portrait", {}, RUN, NOW)
    assert asked(merged[0], "x", NOW).basis.startswith("69 runs of this template")


@pytest.mark.parametrize("is_first", [False, True])
def test_what_was_merged_and_is_merged_again_says_nearly_the_same(is_first: bool) -> None:
    states = [worker(name, seed=seed).to_bytes() for seed, name in enumerate("abc", 1)]
    merged = ETAPredictor.from_bytes(*states)
    again = [merged.to_bytes(), states[1]]
    assert_alike(said(ETAPredictor.from_bytes(*(again if is_first else again[::-1]))), said(merged), rel=0.05)


def test_what_was_merged_may_be_merged_again_in_any_order() -> None:
    states = [worker(name, seed=seed).to_bytes() for seed, name in enumerate("abc", 1)]
    merged = ETAPredictor.from_bytes(*states).to_bytes()
    first, second = ETAPredictor.from_bytes(merged, states[0]), ETAPredictor.from_bytes(states[0], merged)
    assert first.to_bytes() == second.to_bytes()


def test_a_run_that_two_workers_know_is_learned_once() -> None:
    one, other = ETAPredictor(), ETAPredictor()
    for number in range(5):
        record = run(one, f"{number}", at=100.0 * number, seconds=(0, 1, 20, 1))
        assert other.learn(record)
        assert not other.learn(record)
        assert not one.learn(record)
    both = ETAPredictor.from_bytes(one.to_bytes(), other.to_bytes())
    both.submitted("x", "portrait", {}, STAGES, NOW)
    assert asked(both, "x", NOW).basis.startswith("5 runs of this template")
    assert not both.learn(record)


def test_a_failure_that_is_learned_twice_counts_once() -> None:
    one, other = worker("a"), ETAPredictor()
    record = run(one, "cut", at=NOW / 2, seconds=(0.0, 1.0, 500.0), ends=TaskStatus.FAILED)
    assert other.learn(record)
    assert not other.learn(record)
    assert not one.learn(record)


def test_a_record_teaches_what_running_the_task_did() -> None:
    one, other, rng = ETAPredictor(), ETAPredictor(), random.Random(4)
    for number in range(30):
        steps = rng.choice((10, 20, 30))
        record = run(
            one, f"{number}", at=1_000.0 * number, params={"steps": steps}, reports=4, stages=STAGES[1:],
            seconds=(rng.lognormvariate(0.5, 0.2), steps * rng.lognormvariate(0.0, 0.2), 1.0),
        )  # fmt: skip
        again = msgspec.json.decode(record.to_json(), type=TaskHistory, dec_hook=_timestamp)
        assert other.learn(again)
    for known in (one, other):
        known.submitted("x", "portrait", {"steps": 25}, STAGES[1:], NOW)
    assert left(other, "x", NOW) == pytest.approx(left(one, "x", NOW), rel=0.02)
    for known in (one, other):
        known.progressed("x", "execution", 0.0, NOW)
        known.progressed("x", "execution", 0.3, NOW + 9)
    assert left(other, "x", NOW + 9) == pytest.approx(left(one, "x", NOW + 9), rel=0.02)


def _timestamp(kind: type, value: Any) -> Any:
    return Timestamp.from_iso(value) if kind is Timestamp else value


def test_a_record_of_a_queue_teaches_nearly_what_running_the_task_did() -> None:
    one, other = ETAPredictor(), ETAPredictor()
    for number in range(20):
        other.learn(run(one, f"{number}", at=1_000.0 * number, seconds=(0, 1, 20 + number % 3, 1), reports=4))
    for known in (one, other):
        known.submitted("x", "portrait", {}, STAGES, NOW)
    assert left(other, "x", NOW)[1] == pytest.approx(left(one, "x", NOW)[1], rel=0.1)


def test_a_record_without_stages_teaches_nothing() -> None:
    record = TaskHistory(
        task_id="a", template_id="portrait", submitted_at=Timestamp(0), finished_at=Timestamp(1)
    )
    assert not ETAPredictor().learn(record)


def absurd(duration: float | None, number: int = 0, **more: Any) -> TaskHistory:
    return TaskHistory(
        task_id=f"absurd-{number}", template_id="portrait",
        submitted_at=Timestamp(0), finished_at=Timestamp(5),
        stages=tuple(StageRecord(id=stage, duration_s=duration) for stage in RUN), **more,
    )  # fmt: skip


@pytest.mark.parametrize("duration", [None, float("nan"), float("inf"), -5.0, 0.0, 1e300])
def test_absurd_durations_of_a_record_do_no_harm(duration: float | None) -> None:
    known = worker("a", runs=20)
    before = said(known)[0]
    assert known.learn(absurd(duration))
    low, median, high = said(known)[0]
    assert 0.0 <= low <= median <= high
    assert median == pytest.approx(before[1], rel=0.5), "one of nineteen"


EVIDENCE = [
    {"fits": "many"},
    {"new_in_9": 1},
    {"readings": [[99, 1, 1, 1, 1]]},
    {"readings": [[-99, 1, 1, 1, 1]]},
    {"readings": [[]]},
    {"readings": [[1, 2, 3, 4, 5, 6, 7]]},
    {"fits": [10**400]},
    {"answers": [["start", 10**400, 1, 1, 0]]},
    {"ways": [10**400]},
]


@pytest.mark.parametrize(
    "evidence",
    EVIDENCE,
)  # fmt: skip
def test_evidence_of_another_making_does_no_harm(evidence: dict[str, Any]) -> None:
    known = worker("a", runs=20)
    before = said(known)
    known.learn(absurd(20.0, evidence=evidence))
    assert said(known)[0][1] == pytest.approx(before[0][1], rel=0.5)


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"{}", b"nonsense", msgspec.msgpack.encode([1, 2]), bytes(100)]
)
def test_bytes_that_are_no_state_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected the state of a predictor"):
        ETAPredictor.from_bytes(data)
    with pytest.raises(ValueError, match="expected the state of a predictor"):
        ETAPredictor.from_bytes(ETAPredictor().to_bytes(), data)


def test_a_state_that_is_cut_off_is_refused() -> None:
    data = worker("a").to_bytes()
    for length in range(0, len(data), 97):
        with pytest.raises(ValueError, match="expected the state of a predictor"):
            ETAPredictor.from_bytes(data[:length])


def test_a_state_of_a_later_version_is_refused() -> None:
    state = msgspec.msgpack.decode(worker("a").to_bytes())
    state["version"] += 1
    with pytest.raises(ValueError, match="expected a state of version"):
        ETAPredictor.from_bytes(msgspec.msgpack.encode(state))


@pytest.mark.parametrize(
    "families",
    [
        pytest.param([[[], [[0.0, 1, "x", {}, [], 0, [], None]]]], id="no-stages"),
        pytest.param([[["a", "b"], [[0.0, 1, "x", {}, [], 0, [1.0], None]]]], id="too-few-durations"),
        pytest.param([[["a"], [[0.0, 1, "x", {}, [], 0, [1e9], None]]]], id="absurd-duration"),
    ],
)  # fmt: skip
def test_a_state_that_makes_no_sense_is_refused(families: list[Any]) -> None:
    state = {"version": knowledge.VERSION, "families": families, "censored": []}
    with pytest.raises(ValueError):  # noqa: PT011
        ETAPredictor.from_bytes(msgspec.msgpack.encode(state))


def test_a_lesson_that_cannot_be_read_is_passed_over() -> None:
    state = msgspec.msgpack.decode(worker("a").to_bytes())
    for entry in state["families"][0][1]:
        entry[-1] = b"\x00nonsense"
    assert said(ETAPredictor.from_bytes(msgspec.msgpack.encode(state)))[0][1] > 0.0


def test_a_state_is_small() -> None:
    known, rng = ETAPredictor(), random.Random(1)
    for number in range(2 * KEPT_RUNS):
        run(
            known, f"{number}", at=100.0 * number, reports=9, params={"steps": 30, "sampler": "euler"},
            seconds=(0.1, 1.0, rng.lognormvariate(3.0, 0.3), 1.0),
        )  # fmt: skip
    assert len(known.to_bytes()) < 80_000


def test_more_runs_than_are_kept_make_no_larger_state() -> None:
    many, more = worker("a", runs=KEPT_RUNS + 40), worker("a", runs=KEPT_RUNS + 140)
    assert len(more.to_bytes()) == pytest.approx(len(many.to_bytes()), rel=0.02)
    assert_alike(said(ETAPredictor.from_bytes(more.to_bytes())), said(more), rel=0.2)


def test_lists_of_stages_not_used_for_longest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "KEPT_FAMILIES", 3)
    known = ETAPredictor()
    for number in range(6):
        run(known, f"{number}", at=float(number), seconds=(1.0,), stages=(f"stage-{number}",))
    state = msgspec.msgpack.decode(known.to_bytes())
    assert [stages for stages, _ in state["families"]] == [["stage-3"], ["stage-4"], ["stage-5"]]


def test_a_task_whose_list_of_stages_was_forgotten_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "KEPT_FAMILIES", 1)
    known = ETAPredictor()
    known.submitted("a", "portrait", {}, ("execution",), NOW)
    run(known, "other", at=NOW, seconds=(1.0,), stages=("painting",))
    assert known.predict("a", NOW) is None
    assert known.completed("a", NOW + 9) is not None


def test_a_task_whose_template_was_forgotten_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "KEPT_TEMPLATES", 1)
    known = ETAPredictor()
    known.submitted("a", "portrait", {f"p{n}": n for n in range(8)}, ("execution",), NOW)
    run(known, "b", at=NOW, seconds=(1.0,), template="other", params={f"q{n}": n for n in range(8)},
        stages=("execution",))  # fmt: skip
    known.predict("a", NOW)
    assert known.completed("a", NOW + 9) is not None
    known.submitted("c", "other", {}, ("execution",), NOW)
    assert known.predict("c", NOW) is not None


def test_many_runs_that_are_learned_at_once_are_all_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "MAX_PENDING", 16)
    known = ETAPredictor()
    for number in range(100):
        known.learn(absurd(5.0, number))
    known.submitted("x", "portrait", {}, RUN, NOW)
    assert asked(known, "x", NOW).basis == "100 runs of this template"


def test_stages_that_kept_their_name_keep_their_time_when_a_template_changes() -> None:
    known = ETAPredictor()
    for number in range(6):
        run(
            known,
            f"{number}",
            at=100.0 * number,
            seconds=(2.0, 20.0, 6.0),
            stages=("load", "execution", "save"),
        )
    known.submitted("x", "portrait", {}, ("execution", "encode", "upload"), NOW)
    medians = {stage.id: stage.median for stage in asked(known, "x", NOW).stages}
    assert medians == pytest.approx({"execution": 20.0, "encode": 4.0, "upload": 4.0}, rel=0.1)


@pytest.mark.parametrize("text", ["\ud800", "日本語", "a" * 10_000, ""])
def test_any_text_names_a_template_and_a_parameter(text: str) -> None:
    known = ETAPredictor()
    run(known, "a", at=0.0, seconds=(0, 1, 20, 1), template=text, params={text: 1.0})
    again = ETAPredictor.from_bytes(known.to_bytes())
    again.submitted("x", text, {text: 1.0}, STAGES, NOW)
    assert left(again, "x", NOW)[1] == pytest.approx(22.0, rel=0.1)
