"""History in, estimates out."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from headway.estimates import Estimate
from headway.eta import predictor
from headway.eta.predictor import ETAPredictor
from headway.models import TaskStatus
from tests.eta.tasks import STAGES, asked, left, run

# What so many seconds of preparation, execution and finalization add up to, without a wait.
SECONDS = (0.0, 2.0, 20.0, 1.0)


def taught(*, runs: int = 8, seconds: tuple[float, ...] = SECONDS, **more: object) -> ETAPredictor:
    """Return a predictor that has seen so many runs, each alone."""
    known = ETAPredictor()
    for number in range(runs):
        run(known, f"run-{number}", at=1_000.0 * number, seconds=seconds, reports=9, **more)  # type: ignore[arg-type]
    return known


NOW = 100_000.0


# -- The first task ----------------------------------------------------------------------------------------


def test_before_anything_is_known_nothing_is_said() -> None:
    known = ETAPredictor()
    known.submitted("a", "portrait", {}, STAGES, NOW)
    assert known.predict("a", NOW) is None
    known.progressed("a", "preparation", 0.0, NOW + 1)
    assert known.predict("a", NOW + 2) is None
    known.progressed("a", "execution", 0.0, NOW + 3)
    assert known.predict("a", NOW + 4) is None
    assert known.expected_weights("a") is None


def test_the_very_first_task_has_its_pace_and_a_wide_range() -> None:
    known = ETAPredictor()
    known.submitted("a", "portrait", {}, ("execution",), NOW)
    known.progressed("a", "execution", 0.0, NOW)
    known.progressed("a", "execution", 0.25, NOW + 10)
    estimate = asked(known, "a", NOW + 10)
    assert estimate.median - NOW == pytest.approx(40.0, rel=0.02)
    assert estimate.high - NOW - 10 > 1.5 * 30
    assert estimate.low - NOW - 10 < 30 / 1.5
    assert estimate.basis == "pace of the current stage"
    assert estimate.evidence is not None
    assert (estimate.evidence.runs, estimate.evidence.same, estimate.evidence.pace_share) == (0, 0, 1.0)
    assert estimate.evidence.usual_s is None


def test_the_pace_becomes_surer_on_the_way() -> None:
    known = ETAPredictor()
    known.submitted("a", "portrait", {}, ("execution",), NOW)
    known.progressed("a", "execution", 0.0, NOW)
    widths = []
    for report in range(1, 20):
        known.progressed("a", "execution", report / 20, NOW + report)
        low, median, high = left(known, "a", NOW + report)
        assert median == pytest.approx(20 - report, rel=0.05)
        widths.append(high - low)
    assert widths[-1] < 0.2 * widths[0]


def test_without_history_the_stages_to_come_take_what_their_weights_say() -> None:
    known = ETAPredictor()
    known.submitted("a", "portrait", {}, ("preparation", "execution", "finalization"), NOW, weights=(1, 8, 2))
    known.progressed("a", "preparation", 0.0, NOW)
    assert known.predict("a", NOW + 1) is None, "nothing was timed"
    known.progressed("a", "execution", 0.0, NOW + 2)
    assert known.predict("a", NOW + 3) is None, "a weight of 1 in 11 was timed"
    known.progressed("a", "execution", 0.5, NOW + 22)
    assert left(known, "a", NOW + 22)[1] == pytest.approx(20 + 10, rel=0.02)
    known.progressed("a", "finalization", 0.0, NOW + 38)
    estimate = asked(known, "a", NOW + 40)
    assert estimate.median - NOW == pytest.approx(38 + 2 * 38 / 9)
    assert estimate.basis == "pace of the stages before"
    assert [stage.id for stage in estimate.stages] == ["finalization"]
    assert known.predict("a", NOW + 60) is None, "it takes longer than its weight said"


def test_without_weights_the_pace_speaks_for_its_stage_only() -> None:
    known = ETAPredictor()
    known.submitted("a", "portrait", {}, ("execution", "finalization"), NOW)
    known.progressed("a", "execution", 0.0, NOW)
    known.progressed("a", "execution", 0.5, NOW + 10)
    assert left(known, "a", NOW + 10)[1] == pytest.approx(10.0, rel=0.02)
    known.progressed("a", "finalization", 0.0, NOW + 20)
    assert known.predict("a", NOW + 21) is None


def test_a_first_task_that_falls_silent_stalls() -> None:
    known = ETAPredictor()
    known.submitted("a", "portrait", {}, ("execution",), NOW)
    known.progressed("a", "execution", 0.0, NOW)
    for report in range(1, 6):
        known.progressed("a", "execution", report / 10, NOW + report)
    assert not asked(known, "a", NOW + 10).stalled
    assert asked(known, "a", NOW + 600).stalled


def test_an_unknown_task_has_no_estimate_and_no_end() -> None:
    known = taught()
    assert known.predict("nobody", NOW) is None
    assert known.completed("nobody", NOW) is None
    assert known.ended("nobody", TaskStatus.FAILED, NOW) is None
    assert known.expected_weights("nobody") is None
    known.progressed("nobody", "execution", 0.5, NOW)
    known.forget("nobody")


def test_a_task_without_stages_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one stage"):
        ETAPredictor().submitted("a", "portrait", {}, (), NOW)


# -- With history ------------------------------------------------------------------------------------------


def test_after_one_run_there_is_an_estimate_at_submission() -> None:
    known = taught(runs=1)
    known.submitted("a", "portrait", {}, STAGES, NOW)
    estimate = asked(known, "a", NOW)
    assert estimate.median - NOW == pytest.approx(23.0, rel=0.05)
    assert estimate.low < estimate.median < estimate.high
    assert estimate.basis == "1 run of this template"
    assert estimate.evidence is not None
    assert (estimate.evidence.runs, estimate.evidence.ahead) == (1, 0)
    assert estimate.evidence.usual_s == pytest.approx(23.0, rel=0.02)


def test_without_a_queue_too_a_stage_that_has_begun_follows_history() -> None:
    known = taught(stages=STAGES[1:], seconds=SECONDS[1:])
    known.submitted("a", "portrait", {}, STAGES[1:], NOW)
    assert left(known, "a", NOW)[1] == pytest.approx(23.0, rel=0.05)
    known.progressed("a", "preparation", 0.0, NOW)
    assert left(known, "a", NOW + 1)[1] == pytest.approx(22.0, rel=0.05)
    known.progressed("a", "execution", 0.0, NOW + 2)
    assert left(known, "a", NOW + 12)[1] == pytest.approx(11.0, rel=0.1)
    known.progressed("a", "finalization", 0.0, NOW + 22)
    assert left(known, "a", NOW + 22)[1] == pytest.approx(1.0, rel=0.1)


def test_history_leads_early_and_the_pace_late() -> None:
    known, rng = ETAPredictor(), random.Random(4)
    for number in range(20):
        seconds = (0.0, 2.0, 20.0 * rng.lognormvariate(0.0, 0.3), 1.0)
        run(known, f"{number}", at=1_000.0 * number, seconds=seconds, reports=9)
    known.submitted("a", "portrait", {}, STAGES, NOW)
    known.progressed("a", "execution", 0.0, NOW)
    known.progressed("a", "execution", 0.02, NOW + 1.0)
    first = asked(known, "a", NOW + 1.0).evidence
    assert first is not None
    assert first.pace_share is not None
    assert first.pace_share < 0.6
    shares = []
    for report in range(1, 20):
        known.progressed("a", "execution", report / 20, NOW + 1.5 * report)
        evidence = asked(known, "a", NOW + 1.5 * report).evidence
        assert evidence is not None
        assert evidence.pace_share is not None
        shares.append(evidence.pace_share)
    assert first.pace_share < shares[0] <= shares[5] <= shares[10]
    estimate = asked(known, "a", NOW + 28.5)
    assert estimate.basis.startswith("20 runs of this template")
    assert estimate.basis.endswith("; pace of the current stage")
    assert estimate.median - NOW == pytest.approx(31.0, rel=0.05)


def test_each_stage_that_is_not_over_has_its_seconds_and_they_add_up() -> None:
    known = taught()
    known.submitted("a", "portrait", {}, STAGES, NOW)
    at_first = asked(known, "a", NOW)
    assert [stage.id for stage in at_first.stages] == list(STAGES)
    known.progressed("a", "preparation", 0.0, NOW)
    prepared = asked(known, "a", NOW + 1)
    assert [stage.id for stage in prepared.stages] == list(STAGES[1:])
    known.progressed("a", "execution", 0.5, NOW + 12)
    executed = asked(known, "a", NOW + 12)
    assert [stage.id for stage in executed.stages] == list(STAGES[2:])
    for estimate, now in ((at_first, NOW), (prepared, NOW + 1), (executed, NOW + 12)):
        assert sum(stage.median for stage in estimate.stages) == pytest.approx(
            estimate.median - now, rel=0.15
        )
        for stage in estimate.stages:
            assert 0.0 <= stage.low <= stage.median <= stage.high


def test_steps_that_double_take_about_twice_as_long() -> None:
    known = ETAPredictor()
    for number in range(40):
        steps = 10 + number % 21
        run(known, f"{number}", at=100.0 * number, seconds=(0, 0.1, steps / 2, 0.1), params={"steps": steps})
    known.submitted("a", "portrait", {"steps": 30}, STAGES, NOW)
    known.submitted("b", "portrait", {"steps": 60}, STAGES, NOW)
    known.progressed("a", "execution", 0.0, NOW)
    known.progressed("b", "execution", 0.0, NOW)
    assert left(known, "a", NOW)[1] == pytest.approx(15.0, rel=0.15)
    assert left(known, "b", NOW)[1] == pytest.approx(30.0, rel=0.2)


def test_runs_with_the_same_parameters_are_asked_first_and_counted() -> None:
    known = ETAPredictor()
    for number in range(20):
        is_large = number % 2 == 1
        params = {"model": "xl" if is_large else "tiny"}
        run(known, f"{number}", at=1_000.0 * number, seconds=(0, 1, 90 if is_large else 9, 0), params=params)
    for model, seconds in (("xl", 91.0), ("tiny", 10.0)):
        known.submitted("a", "portrait", {"model": model}, STAGES, NOW)
        estimate = asked(known, "a", NOW)
        assert estimate.median - NOW == pytest.approx(seconds, rel=0.15)
        assert estimate.evidence is not None
        assert estimate.evidence.runs == 20
        assert 8 <= estimate.evidence.same <= 11
        assert estimate.basis.startswith("20 runs of this template, ")
        assert estimate.basis.endswith(" with these parameters")


def test_a_task_that_outlived_the_warm_runs_is_a_cold_one() -> None:
    known = ETAPredictor()
    rng = random.Random(3)
    for number in range(60):
        seconds = 100.0 if rng.random() < 0.4 else 10.0
        run(known, f"{number}", at=1_000.0 * number, seconds=(seconds,), stages=("execution",))
    known.submitted("a", "portrait", {}, ("execution",), NOW)
    low, _, high = left(known, "a", NOW)
    assert low < 12.0
    assert high > 80.0, "four in ten were cold"
    known.progressed("a", "execution", 0.0, NOW)
    assert left(known, "a", NOW + 20)[1] == pytest.approx(80.0, rel=0.2)


@pytest.mark.parametrize("factor", [0.45, 1.8])
def test_a_change_of_speed_is_followed_within_six_tasks(factor: float) -> None:
    known, rng, now = ETAPredictor(), random.Random(5), 0.0
    for number in range(60):
        now += 1_000.0
        run(known, f"{number}", at=now, seconds=(20.0 * rng.lognormvariate(0, 0.05),), stages=("execution",))
    for number in range(6):
        now += 1_000.0
        seconds = 20.0 * factor * rng.lognormvariate(0, 0.05)
        run(known, f"new-{number}", at=now, seconds=(seconds,), stages=("execution",))
    known.submitted("a", "portrait", {}, ("execution",), NOW)
    assert left(known, "a", NOW)[1] == pytest.approx(20.0 * factor, rel=0.15)


def test_another_template_borrows_from_one_like_it() -> None:
    known = taught(template="sdxl-portrait")
    known.submitted("a", "sdxl-landscape", {}, STAGES, NOW)
    estimate = asked(known, "a", NOW)
    assert estimate.median - NOW == pytest.approx(23.0, rel=0.2)
    assert estimate.basis == "similar templates"
    assert estimate.evidence is not None
    assert estimate.evidence.runs == 0


def test_a_new_version_of_a_template_begins_with_the_old_ones_runs_as_a_prior() -> None:
    known = taught(template_version="1")
    known.submitted("a", "portrait", {}, STAGES, NOW, template_version="2")
    estimate = asked(known, "a", NOW)
    assert estimate.median - NOW == pytest.approx(23.0, rel=0.2)
    assert estimate.evidence is not None
    assert estimate.evidence.runs == 0
    known.forget("a")
    for number in range(4):
        run(known, f"v2-{number}", at=NOW + 100 * number, seconds=(0, 2, 80, 1), template_version="2")
    known.submitted("b", "portrait", {}, STAGES, 2 * NOW, template_version="2")
    assert left(known, "b", 2 * NOW)[1] == pytest.approx(83.0, rel=0.2)
    known.submitted("c", "portrait", {}, STAGES, 2 * NOW, template_version="1")
    known.forget("b")
    assert left(known, "c", 2 * NOW)[1] == pytest.approx(23.0, rel=0.2)


def test_a_template_with_other_stages_begins_with_its_old_runs_as_a_prior() -> None:
    known = taught()
    stages = ("queue", "preparation", "encoding", "execution", "upload")
    known.submitted("a", "portrait", {}, stages, NOW)
    estimate = asked(known, "a", NOW)
    assert estimate.median - NOW == pytest.approx(23.0, rel=0.2)
    assert [stage.id for stage in estimate.stages] == list(stages)
    assert {stage.id: round(stage.median) for stage in estimate.stages[1:]} == {
        "preparation": 2, "encoding": 0, "execution": 20, "upload": 0,
    }  # fmt: skip


def test_expected_weights_are_the_seconds_of_each_stage() -> None:
    known = taught(runs=2)
    known.submitted("a", "portrait", {}, STAGES, NOW)
    assert known.expected_weights("a") is None, "of two runs nothing is said"
    known = taught(runs=6)
    known.submitted("a", "portrait", {}, STAGES, NOW)
    known.predict("a", NOW)
    weights = known.expected_weights("a")
    assert weights is not None
    assert weights[1:] == pytest.approx((2.0, 20.0, 1.0), rel=0.05)
    assert weights[0] > 0.0


def test_fewer_runs_are_enough_for_expected_weights_if_asked_so() -> None:
    known = ETAPredictor()
    known.submitted("a", "portrait", {}, STAGES, NOW)
    assert known.expected_weights("a", least_runs=0) is None
    known = taught(runs=1)
    known.settle()
    known.submitted("a", "portrait", {}, STAGES, NOW)
    weights = known.expected_weights("a", least_runs=1)
    assert weights is not None
    assert weights[1:] == pytest.approx((2.0, 20.0, 1.0), rel=0.05)


def test_what_completes_while_a_task_runs_counts_for_it() -> None:
    known = taught(runs=2)
    known.submitted("a", "portrait", {}, STAGES[1:], NOW)
    assert left(known, "a", NOW)[1] == pytest.approx(23.0, rel=0.3)
    for number in range(6):
        run(known, f"new-{number}", at=NOW - 500 + number, seconds=(2, 80, 1), stages=STAGES[1:])
    assert left(known, "a", NOW)[1] == pytest.approx(83.0, rel=0.1)


def test_three_runs_that_were_just_learned_give_expected_weights() -> None:
    known = taught(runs=3)
    known.submitted("a", "portrait", {}, STAGES, NOW)
    assert known.expected_weights("a") is not None


# -- The queue ---------------------------------------------------------------------------------------------


def busy(workers: int) -> ETAPredictor:
    """Return a predictor that has seen so many workers work off a queue of tasks of 10 s."""
    known, free = ETAPredictor(), [0.0] * workers
    starts, ends = [], []
    for number in range(40):
        start = free.pop(0)
        free.append(start + 10.0)
        starts.append((start, number))
        ends.append((start + 10.0, number))
        known.submitted(f"{number}", "portrait", {}, ("queue", "execution"), 0.0)
        known.predict(f"{number}", 0.0)
    events = [(at, 1, number) for at, number in starts] + [(at, 0, number) for at, number in ends]
    for at, is_start, number in sorted(events):
        if is_start:
            known.progressed(f"{number}", "execution", 0.0, at)
        else:
            known.completed(f"{number}", at)
    return known


def test_with_one_worker_the_tasks_ahead_add_up() -> None:
    known = busy(1)
    for number in range(5):
        known.submitted(f"new-{number}", "portrait", {}, ("queue", "execution"), NOW)
    known.progressed("new-0", "execution", 0.0, NOW)
    for number in range(1, 5):
        estimate = asked(known, f"new-{number}", NOW)
        assert estimate.wait is not None
        assert estimate.wait.median == pytest.approx(10.0 * number, rel=0.1)
        assert estimate.wait.low <= estimate.wait.median <= estimate.wait.high
        assert estimate.median - NOW == pytest.approx(10.0 * (number + 1), rel=0.15)
        assert estimate.evidence is not None
        assert estimate.evidence.ahead == number - 1
    known.forget("new-1")
    assert asked(known, "new-4", NOW + 1).evidence.ahead == 2  # type: ignore[union-attr]


def test_with_three_workers_three_of_those_ahead_go_at_once() -> None:
    known = busy(3)
    for number in range(9):
        known.submitted(f"new-{number}", "portrait", {}, ("queue", "execution"), NOW)
    for number in range(3):
        known.progressed(f"new-{number}", "execution", 0.0, NOW)
    for number, seconds in ((3, 20.0), (5, 20.0), (6, 30.0), (8, 30.0)):
        assert left(known, f"new-{number}", NOW)[1] == pytest.approx(seconds, rel=0.15)


def test_a_free_worker_is_waited_for_as_long_as_usual() -> None:
    known = ETAPredictor()
    for number in range(20):
        run(known, f"{number}", at=100.0 * number, seconds=(3.0, 10.0), stages=("queue", "execution"))
    known.submitted("a", "portrait", {}, ("queue", "execution"), NOW)
    estimate = asked(known, "a", NOW)
    assert estimate.wait is not None
    assert estimate.wait.median == pytest.approx(3.0, rel=0.1)
    assert estimate.median - NOW == pytest.approx(13.0, rel=0.1)
    later = asked(known, "a", NOW + 60)
    assert later.wait is not None
    assert later.wait.median > 1.0, "nobody knows what it waits for"


def test_however_long_a_task_has_waited_it_still_has_to_run() -> None:
    known = ETAPredictor()
    for number in range(20):
        run(known, f"{number}", at=100.0 * number, seconds=(3.0, 10.0), stages=("queue", "execution"))
    known.submitted("a", "portrait", {}, ("queue", "execution"), NOW)
    assert left(known, "a", NOW + 60)[1] > 9.0


def test_what_runs_ahead_is_asked_how_far_it_is() -> None:
    known = busy(1)
    known.submitted("ahead", "portrait", {}, ("queue", "execution"), NOW)
    known.submitted("a", "portrait", {}, ("queue", "execution"), NOW)
    known.progressed("ahead", "execution", 0.0, NOW)
    for report in range(1, 25):
        known.progressed("ahead", "execution", report / 100, NOW + report)
    assert left(known, "a", NOW + 24)[1] > 30.0, "by its pace it needs a hundred seconds, not ten"


def test_what_runs_ahead_is_done_a_second_later_a_second_sooner() -> None:
    known = busy(1)
    known.submitted("ahead", "portrait", {}, ("queue", "execution"), NOW)
    known.progressed("ahead", "execution", 0.0, NOW)
    waits = []
    for number, at in enumerate((0.0, 0.2, 0.4)):
        known.submitted(f"new-{number}", "portrait", {}, ("queue", "execution"), NOW + at)
        estimate = asked(known, "new-0", NOW + at)
        assert estimate.wait is not None
        waits.append(estimate.wait.median)
    assert [waits[0] - wait for wait in waits] == pytest.approx([0.0, 0.2, 0.4], abs=0.02)


def test_a_line_of_tasks_of_which_nothing_is_known_has_no_wait() -> None:
    known = ETAPredictor()
    for name in ("a", "b", "c"):
        known.submitted(name, "portrait", {}, ("queue", "execution"), NOW)
    known.progressed("a", "execution", 0.0, NOW)
    assert known.predict("c", NOW) is None
    run(known, "other", at=NOW, seconds=(5.0,), stages=("execution",))
    assert known.predict("c", NOW + 5) is None


def test_tasks_ahead_of_other_stages_count_too() -> None:
    known = busy(1)
    known.submitted("unknown", "music", {}, ("queue", "composing"), NOW)
    known.submitted("a", "portrait", {}, ("queue", "execution"), NOW)
    estimate = asked(known, "a", NOW)
    assert estimate.evidence is not None
    assert estimate.evidence.ahead == 1
    assert left(known, "a", NOW)[1] == pytest.approx(10.0, rel=0.2), "nothing is known of the one ahead"
    known.progressed("unknown", "composing", 0.0, NOW + 1)
    assert left(known, "a", NOW + 1)[1] > 8.0


def test_a_stage_of_the_queue_that_is_told_of_is_still_the_queue() -> None:
    known = busy(1)
    known.submitted("a", "portrait", {}, ("queue", "execution"), NOW)
    known.progressed("a", "queue", 0.0, NOW)
    assert asked(known, "a", NOW).wait is not None
    known.progressed("a", "execution", 0.0, NOW + 4)
    assert asked(known, "a", NOW + 4).wait is None
    record = known.completed("a", NOW + 14)
    assert record is not None
    assert [stage.duration_s for stage in record.stages] == [4.0, 10.0]


# -- Late, silent, stalled ---------------------------------------------------------------------------------


def test_an_overdue_task_is_never_about_to_end_and_what_is_left_grows() -> None:
    known = taught(runs=20)
    known.submitted("a", "portrait", {}, STAGES, NOW)
    known.progressed("a", "execution", 0.0, NOW)
    lefts = [left(known, "a", NOW + elapsed)[1] for elapsed in (40, 80, 160, 320, 640, 1_280)]
    assert lefts[0] > 1.0
    assert all(later > sooner for sooner, later in pairwise(lefts))


@pytest.mark.parametrize("reports", [0, 3])
def test_a_task_becomes_late_and_then_it_has_stalled(reports: int) -> None:
    known = taught(runs=20)
    known.submitted("a", "portrait", {}, STAGES, NOW)
    known.progressed("a", "preparation", 0.0, NOW)
    known.progressed("a", "execution", 0.0, NOW + 2)
    for report in range(reports):
        known.progressed("a", "execution", 0.1 * (report + 1), NOW + 2 + 2 * (report + 1))
    said = [asked(known, "a", NOW + elapsed) for elapsed in (10, 40, 2_000)]
    assert [(estimate.late, estimate.stalled) for estimate in said] == [
        (False, False), (True, False), (True, True),
    ]  # fmt: skip
    assert said[-1].median - NOW > 2_010
    if reports:
        known.progressed("a", "execution", 0.5, NOW + 2_001)
        estimate = asked(known, "a", NOW + 2_002)
        assert (estimate.late, estimate.stalled) == (True, False), "it is heard of again"


def test_while_nothing_is_heard_no_end_becomes_earlier() -> None:
    known, rng = ETAPredictor(), random.Random(1)
    for number in range(30):
        run(known, f"{number}", at=1_000.0 * number, seconds=(0, 1, rng.lognormvariate(3, 0.8), 1), reports=5)
    known.submitted("a", "portrait", {}, STAGES, NOW)
    known.progressed("a", "execution", 0.0, NOW)
    known.progressed("a", "execution", 0.3, NOW + 5)
    said = [asked(known, "a", NOW + 5 + 0.5 * step) for step in range(200)]
    for sooner, later in pairwise(said):
        assert sooner.low <= later.low
        assert sooner.median <= later.median
        assert sooner.high <= later.high


def test_a_first_tiny_step_after_a_warm_up_does_not_outshout_history() -> None:
    known = taught(runs=20)
    known.submitted("a", "portrait", {}, STAGES, NOW)
    known.progressed("a", "execution", 0.0, NOW)
    known.progressed("a", "execution", 0.001, NOW + 10)
    assert left(known, "a", NOW + 10)[1] < 100.0


# -- What did not complete ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.LOST])
def test_tasks_that_were_cut_short_only_push_up(status: TaskStatus) -> None:
    def said(cut: float | None) -> float:
        known, rng = ETAPredictor(), random.Random(2)
        for number in range(30):
            seconds = rng.lognormvariate(3, 0.5)
            run(known, f"{number}", at=1_000.0 * number, seconds=(seconds,), stages=("execution",))
        for number in range(5 if cut is not None else 0):
            run(known, f"cut-{number}", at=NOW / 2, seconds=(cut or 0.0,), stages=("execution",), ends=status)
        known.submitted("a", "portrait", {}, ("execution",), NOW)
        return left(known, "a", NOW)[1]

    usual = said(None)
    assert said(25.0) > usual
    assert said(0.0) == pytest.approx(usual, rel=0.05), "nothing is known of what did not begin"
    assert said(1e9) == usual, "none took longer"


def test_a_task_that_failed_is_recorded_and_counts_as_no_run() -> None:
    known = taught(runs=3)
    record = run(known, "a", at=NOW, seconds=(1.0, 2.0), ends=TaskStatus.FAILED, category="image", attempt=3)
    assert record.status == "failed"
    assert (record.category, record.attempt, record.evidence) == ("image", 3, None)
    assert [stage.duration_s for stage in record.stages] == [1.0, 2.0, None, None]
    assert [stage.status for stage in record.stages] == ["completed", "completed", "skipped", "skipped"]
    known.submitted("b", "portrait", {}, STAGES, 2 * NOW)
    assert asked(known, "b", 2 * NOW).basis.startswith("3 runs of this template")


def test_only_failures_teach_no_estimate() -> None:
    known = ETAPredictor()
    run(known, "a", at=0.0, seconds=SECONDS, ends=TaskStatus.FAILED)
    known.submitted("b", "portrait", {}, STAGES, NOW)
    assert known.predict("b", NOW) is None


# -- Records and what is told out of turn ------------------------------------------------------------------


def test_a_record_tells_what_happened() -> None:
    known = ETAPredictor()
    record = run(
        known, "a", at=NOW, seconds=(1.5, 2.5, 20.0, 1.0), params={"steps": 3}, reports=3, device="H100",
        template_version="2", is_asked=False,
    )  # fmt: skip
    assert (record.task_id, record.template_id, record.status) == ("a", "portrait", "completed")
    assert (record.submitted_at, record.finished_at, record.total_s) == (NOW, NOW + 25, 25.0)
    assert (record.params, record.device, record.template_version) == ({"steps": 3}, "H100", "2")
    assert [(stage.id, stage.duration_s) for stage in record.stages] == list(
        zip(STAGES, (1.5, 2.5, 20.0, 1.0), strict=True)
    )
    assert record.to_json()
    assert record.evidence is not None


def test_a_stage_that_is_returned_to_takes_the_sum_of_both() -> None:
    known = ETAPredictor()
    known.submitted("a", "portrait", {}, STAGES, NOW)
    for stage, at in (("preparation", 0), ("execution", 2), ("preparation", 5), ("execution", 6)):
        known.progressed("a", stage, 0.0, NOW + at)
    record = known.completed("a", NOW + 16)
    assert record is not None
    assert [stage.duration_s for stage in record.stages] == [0.0, 3.0, 13.0, None]


def test_a_stage_that_is_returned_to_goes_on_at_its_pace() -> None:
    known = ETAPredictor()
    known.submitted("a", "portrait", {}, ("execution", "finalization"), NOW)
    known.progressed("a", "execution", 0.0, NOW)
    known.progressed("a", "execution", 0.5, NOW + 100)
    known.progressed("a", "finalization", 0.0, NOW + 100)
    known.progressed("a", "execution", 0.5, NOW + 110)
    assert left(known, "a", NOW + 110)[1] == pytest.approx(100.0, rel=0.2)


def test_a_stage_that_nobody_named_is_not_heard() -> None:
    known = taught()
    known.submitted("a", "portrait", {}, STAGES, NOW)
    before = asked(known, "a", NOW)
    known.progressed("a", "painting", 0.5, NOW)
    assert asked(known, "a", NOW) == before
    known.progressed("a", "execution", 0.0, NOW)
    known.progressed("a", "painting", 0.5, NOW + 1)
    record = known.completed("a", NOW + 20)
    assert record is not None
    assert record.stages[2].duration_s == 20.0


def test_submitted_again_it_begins_anew() -> None:
    known = taught()
    known.submitted("a", "portrait", {}, STAGES, NOW)
    known.progressed("a", "execution", 0.9, NOW + 18)
    known.submitted("a", "portrait", {}, STAGES, NOW + 100)
    assert left(known, "a", NOW + 100)[1] == pytest.approx(23.0, rel=0.1)
    known.submitted("b", "portrait", {}, STAGES, NOW + 100)
    assert asked(known, "b", NOW + 100).evidence.ahead == 1  # type: ignore[union-attr]


def test_a_task_that_is_over_is_forgotten() -> None:
    known = taught()
    known.submitted("a", "portrait", {}, STAGES, NOW)
    assert known.completed("a", NOW + 20) is not None
    assert known.predict("a", NOW + 21) is None
    assert known.completed("a", NOW + 21) is None


def test_of_too_many_tasks_that_never_end_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor, "KEPT_TASKS", 10)
    known = taught()
    for number in range(25):
        known.submitted(f"{number}", "portrait", {}, STAGES, NOW + number)
    assert [known.predict(f"{number}", NOW + 30) is None for number in range(25)] == [True] * 15 + [
        False
    ] * 10
    estimate = asked(known, "24", NOW + 30)
    assert estimate.evidence is not None
    assert estimate.evidence.ahead == 9, "nobody waits for those"


def test_a_task_asked_about_ten_thousand_times_teaches_few_answers() -> None:
    known = taught()
    known.submitted("a", "portrait", {}, STAGES, NOW)
    for number in range(10_000):
        known.progressed("a", "execution", min(1.0, number / 10_000), NOW + 0.002 * number)
        if number % 10 == 0:
            known.predict("a", NOW + 0.002 * number)
    record = known.completed("a", NOW + 20)
    assert record is not None
    assert record.evidence is not None
    assert len(record.evidence["answers"]) <= predictor.MAX_ANSWERS
    assert len(record.to_json()) < 4_000


def test_whoever_would_be_told_of_decades_is_told_nothing() -> None:
    known = ETAPredictor()
    known.submitted("a", "portrait", {}, ("execution",), NOW)
    known.progressed("a", "execution", 0.0, NOW)
    known.progressed("a", "execution", 1e-6, NOW + 86_400)
    assert known.predict("a", NOW + 86_400) is None


# -- Ranges ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sigma", "reports"), [(0.1, 0), (0.4, 0), (0.4, 8), (0.9, 4)])
def test_of_log_normal_tasks_eight_in_ten_end_within_their_range(sigma: float, reports: int) -> None:
    known, rng, said = ETAPredictor(), random.Random(11), []
    stages = ("preparation", "execution")
    for number in range(260):
        at, seconds = 10_000.0 * number, rng.lognormvariate(3.0, sigma)
        known.submitted("a", "portrait", {}, stages, at, attempt=number)
        known.progressed("a", "preparation", 0.0, at)
        estimates: list[Estimate | None] = [known.predict("a", at)]
        known.progressed("a", "execution", 0.0, at + 1)
        for report in range(1, reports + 1):
            share = report / (reports + 1)
            now = at + 1 + seconds * share
            known.progressed("a", "execution", min(share * rng.lognormvariate(0.0, 0.1), 0.99), now)
            estimates.append(known.predict("a", now))
        end = at + 1 + seconds
        assert known.completed("a", end) is not None
        if number >= 60:
            said += [estimate.low <= end <= estimate.high for estimate in estimates if estimate is not None]
    assert 0.7 <= sum(said) / len(said) <= 0.9


def test_how_often_the_ranges_held_is_said_once_it_was_measured() -> None:
    known, rng, coverages = ETAPredictor(), random.Random(8), []
    for number in range(100):
        known.submitted("a", "portrait", {}, ("execution",), 1_000.0 * number, attempt=number)
        estimate = known.predict("a", 1_000.0 * number)
        coverages.append(
            None if estimate is None or estimate.evidence is None else estimate.evidence.coverage
        )
        known.progressed("a", "execution", 0.0, 1_000.0 * number)
        known.completed("a", 1_000.0 * number + rng.lognormvariate(3.0, 0.3))
    assert coverages[:5] == [None] * 5
    assert coverages[-1] == pytest.approx(0.8, abs=0.15)


def test_ranges_of_tasks_that_always_take_the_same_hold() -> None:
    known = taught(runs=60)
    known.submitted("a", "portrait", {}, STAGES, NOW)
    evidence = asked(known, "a", NOW).evidence
    assert evidence is not None
    assert evidence.coverage is not None
    assert evidence.coverage > 0.7


def test_of_runs_that_all_have_these_parameters_no_number_is_given() -> None:
    known = taught(runs=3)
    known.submitted("a", "portrait", {}, STAGES, NOW)
    assert asked(known, "a", NOW).basis == "3 runs of this template"


def test_answers_are_finite_whatever_the_history_spans() -> None:
    known = ETAPredictor()
    for number, seconds in enumerate((0.0, 1e-9, 1.0, 1e9, 1e300)):
        run(known, f"{number}", at=0.0, seconds=(seconds,), stages=("execution",))
    known.submitted("a", "portrait", {}, ("execution",), NOW)
    estimate = known.predict("a", NOW)
    assert estimate is None or NOW <= estimate.low <= estimate.median <= estimate.high < math.inf
