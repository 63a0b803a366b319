"""The estimates of a process's own tasks: when they are made, what is kept of them, what is learned."""

from __future__ import annotations

import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from headway import transitions
from headway.models import StageStatus, TaskProgress, TaskStatus
from headway.records import ASKED_AT, TaskHistory, history_of
from headway.stages import parse_stages
from headway.timestamps import Timestamp
from headway.worker.forecasts import KEPT_SAID, MAX_INTERVAL_S, Forecasts, device_name

T0 = 1_763_800_000.0
STAGES = parse_stages({"queue": 0.05, "loading": 0.15, "generation": 0.8})


@pytest.fixture
def forecasts() -> Forecasts:
    made = Forecasts()
    made.load()
    return made


def new(task_id: str = "a", *, at: float = T0) -> TaskProgress:
    return transitions.create(task_id, "portrait", STAGES, now=Timestamp(at), params={"steps": 20})


def enter(task: TaskProgress, stage: str, at: float) -> TaskProgress:
    return transitions.start_stage(task, stage, now=Timestamp(at))


def advance(task: TaskProgress, progress: float, at: float) -> TaskProgress:
    assert task.current_stage is not None
    return transitions.update_stage(task, task.current_stage, now=Timestamp(at), progress=progress)


def finish(task: TaskProgress, at: float, status: TaskStatus = TaskStatus.COMPLETED) -> TaskProgress:
    return transitions.finish(task, status, now=Timestamp(at))


def live(
    forecasts: Forecasts, task_id: str, *, at: float, status: TaskStatus = TaskStatus.COMPLETED
) -> TaskHistory:
    """One second in the queue, two of loading, ten of generation, looked at every half second."""
    task = forecasts.estimate(new(task_id, at=at), at)
    task = forecasts.estimate(enter(task, "loading", at + 1), at + 1)
    task = enter(task, "generation", at + 3)
    for half in range(1, 20):
        task = forecasts.estimate(advance(task, half / 20, at + 3 + half / 2), at + 3 + half / 2)
    return forecasts.over(finish(task, at + 13, status))


def slow_runs() -> list[TaskHistory]:
    """Six tasks of four hundred seconds."""
    runs = []
    for number in range(6):
        at = T0 - 9_000 + 1_000 * number
        task = enter(enter(new(f"h{number}", at=at), "loading", at), "generation", at)
        runs.append(history_of(finish(task, at + 400)))
    return runs


def test_a_task_has_an_estimate_at_once_where_history_is_known(forecasts: Forecasts) -> None:
    for number in range(6):
        live(forecasts, f"h{number}", at=T0 + 20 * number)
    task = forecasts.estimate(new("x", at=T0 + 200), T0 + 200)
    assert task.eta is not None
    assert task.eta.median - (T0 + 200) == pytest.approx(13, rel=0.1)
    assert task.eta.basis == "6 runs of this template"
    assert [stage.id for stage in task.eta.stages] == ["queue", "loading", "generation"]


def test_the_stages_weigh_what_they_take_from_the_third_run_on(forecasts: Forecasts) -> None:
    for number in range(3):
        assert forecasts.estimate(new(), T0).stages[2].weight == 0.8
        forecasts.forget("a")
        live(forecasts, f"h{number}", at=T0 + 20 * number)
    task = forecasts.estimate(new("x", at=T0 + 200), T0 + 200)
    loading, generation = task.stages[1].weight, task.stages[2].weight
    assert generation / loading == pytest.approx(5, rel=0.1)
    task = advance(enter(enter(task, "loading", T0 + 201), "generation", T0 + 203), 0.35, T0 + 206.5)
    assert forecasts.estimate(task, T0 + 206.5).overall_progress == pytest.approx(50, abs=2)


def test_overall_progress_does_not_fall_when_the_weights_are_learned_on_the_way(forecasts: Forecasts) -> None:
    task = enter(enter(new("x"), "loading", T0), "generation", T0 + 1)
    task = forecasts.estimate(task, T0 + 1)
    before = task.overall_progress
    forecasts.learn([live(_loaded(), f"h{number}", at=T0 - 100) for number in range(5)])
    task = forecasts.estimate(task, T0 + 3)
    assert task.stages[2].weight > 5
    assert task.overall_progress >= before


def test_between_stage_changes_and_marks_it_is_estimated_once_a_second(forecasts: Forecasts) -> None:
    task = enter(enter(new(), "loading", T0), "generation", T0)
    task = forecasts.estimate(advance(task, 0.5, T0 + 5), T0 + 5)
    first = task.eta
    assert first is not None
    task = forecasts.estimate(advance(task, 0.52, T0 + 5.5), T0 + 5.5)
    assert task.eta is first
    assert not forecasts.is_due(task, T0 + 5.9)
    assert forecasts.is_due(task, T0 + 6)
    task = forecasts.estimate(task, T0 + 6)
    assert task.eta is not first
    passed = forecasts.estimate(advance(task, 0.8, T0 + 6.1), T0 + 6.1)
    assert passed.eta is not task.eta, "it passed three quarters"


def asked(forecasts: Forecasts, task: TaskProgress, seconds: range) -> list[float]:
    """Look every tenth of some seconds after T0 at a task of which nothing is heard; say when it was due."""
    due = []
    for tenth in range(10 * seconds.start, 10 * seconds.stop):
        now = T0 + tenth / 10
        if forecasts.is_due(task, now):
            due.append(tenth / 10)
            task = forecasts.estimate(task, now)
    return due


def test_the_longer_a_task_is_silent_the_less_often_it_is_estimated(forecasts: Forecasts) -> None:
    task = enter(enter(new(), "loading", T0), "generation", T0)
    task = forecasts.estimate(advance(task, 0.01, T0 + 10), T0 + 10)
    assert task.eta is not None
    due = asked(forecasts, task, range(10, 400))
    gaps = [later - earlier for earlier, later in pairwise(due)]
    assert due[:10] == pytest.approx([11 + second for second in range(10)])
    assert max(gaps) <= MAX_INTERVAL_S + 0.11
    assert sorted(gaps) == pytest.approx(gaps, abs=0.11), "each gap is as long as the one before, or longer"
    assert len(due) < 150


def test_a_silent_task_is_estimated_each_second_while_it_is_about_to_end(forecasts: Forecasts) -> None:
    forecasts.learn(slow_runs())
    task = forecasts.estimate(enter(enter(new(), "loading", T0), "generation", T0), T0)
    due = asked(forecasts, task, range(0, 410))
    assert len([at for at in due if 150 <= at < 250]) < 30, "the end is far"
    assert len([at for at in due if 390 <= at < 400]) >= 8, "history says 400 s"


def test_a_silent_task_is_seen_to_be_late_and_to_have_stalled(forecasts: Forecasts) -> None:
    forecasts.learn(slow_runs())
    every_second = _loaded()
    every_second.learn(slow_runs())
    task = each_second = enter(enter(new(), "loading", T0), "generation", T0)
    noticed: dict[str, dict[bool, int]] = {"late": {}, "stalled": {}}
    for second in range(2_500):
        now = T0 + second
        each_second = every_second.estimate(each_second, now)
        if forecasts.is_due(task, now):
            task = forecasts.estimate(task, now)
        for word, at in noticed.items():
            for is_rare, state in ((True, task), (False, each_second)):
                if getattr(state.eta, word):
                    at.setdefault(is_rare, second)
    for at in noticed.values():
        assert 400 < at[False] <= at[True] <= at[False] + MAX_INTERVAL_S


def test_what_is_heard_of_a_task_that_was_silent_is_in_an_estimate_within_a_second(
    forecasts: Forecasts,
) -> None:
    task = enter(enter(new(), "loading", T0), "generation", T0)
    task = forecasts.estimate(advance(task, 0.11, T0 + 10), T0 + 10)
    for second in range(11, 300):
        if forecasts.is_due(task, T0 + second):
            task, last = forecasts.estimate(task, T0 + second), T0 + second
    assert not forecasts.is_due(task, last + 3)
    heard = forecasts.estimate(advance(task, 0.12, last + 0.3), last + 0.3)
    assert heard.eta is task.eta, "less than a second ago"
    assert not forecasts.is_due(heard, last + 0.9)
    assert forecasts.is_due(heard, last + 1.0)


def test_what_was_said_is_kept_with_what_happened(forecasts: Forecasts) -> None:
    for number in range(4):
        live(forecasts, f"h{number}", at=T0 + 20 * number)
    record = live(forecasts, "x", at=T0 + 200)
    assert record.total_s == 13
    assert [(stage.id, stage.duration_s) for stage in record.stages] == [
        ("queue", 1.0),
        ("loading", 2.0),
        ("generation", 10.0),
    ]
    shares = [said.share for said in record.predictions if said.share is not None]
    assert shares == list(ASKED_AT)
    begun = [said.stage for said in record.predictions if said.stage is not None]
    assert begun == ["queue", "loading", "generation"]
    half = next(said for said in record.predictions if said.share == 0.5)
    assert half.elapsed_s == 6.5
    assert half.low_s <= half.median_s <= half.high_s
    assert half.median_s == pytest.approx(6.5, rel=0.1)
    assert record.evidence
    assert record.host
    assert record.peak_rss_bytes is None or record.peak_rss_bytes > 1_000_000


def test_a_task_that_was_over_before_anybody_looked_has_a_record_without_predictions(
    forecasts: Forecasts,
) -> None:
    task = finish(enter(new(), "loading", T0 + 1), T0 + 3)
    record = forecasts.over(task)
    assert [stage.duration_s for stage in record.stages] == [1.0, 2.0, None]
    assert record.predictions == ()
    assert not forecasts._followed


def test_before_it_is_loaded_nothing_is_said_and_the_record_is_kept() -> None:
    forecasts = Forecasts()
    task = enter(new(), "loading", T0 + 1)
    assert forecasts.estimate(task, T0 + 2).eta is None
    assert not forecasts.is_due(task, T0 + 9)
    forecasts.learn([])
    forecasts.forget("a")
    record = forecasts.over(finish(task, T0 + 3))
    assert record.total_s == 3
    assert record.evidence is None


@pytest.mark.parametrize("status", [TaskStatus.FAILED, TaskStatus.CANCELLED])
def test_a_task_cut_short_is_kept_and_teaches_no_duration(forecasts: Forecasts, status: TaskStatus) -> None:
    record = live(forecasts, "x", at=T0, status=status)
    assert record.status is status
    assert record.evidence is None
    assert forecasts.estimate(new("y", at=T0 + 100), T0 + 100).eta is None


def test_a_later_attempt_counts_from_as_far_back_as_was_worked(forecasts: Forecasts) -> None:
    for number in range(5):
        live(forecasts, f"h{number}", at=T0 - 1_000 + 20 * number)
    task = enter(enter(new("x"), "loading", T0 + 1), "generation", T0 + 3)
    task = advance(task, 0.5, T0 + 8)
    task = transitions.resume(replace(task, status=TaskStatus.LOST), now=Timestamp(T0 + 508))
    task = forecasts.estimate(task, T0 + 508)
    assert task.eta is not None
    assert task.eta.median - (T0 + 508) == pytest.approx(5, rel=0.2)
    record = forecasts.over(finish(advance(task, 0.9, T0 + 512), T0 + 513))
    assert record.attempt == 2
    assert record.total_s == pytest.approx(13, abs=0.1)


def test_a_silent_task_is_estimated_anew_and_one_that_history_reaches_late_too(forecasts: Forecasts) -> None:
    task = forecasts.estimate(new("x"), T0)
    assert task.eta is None
    assert not forecasts.is_due(task, T0 + 5), "nothing has become known"
    forecasts.learn([live(_loaded(), f"h{number}", at=T0 - 100) for number in range(3)])
    assert forecasts.is_due(task, T0 + 5)
    assert forecasts.estimate(task, T0 + 5).eta is not None


def test_what_is_kept_of_a_long_task_is_bounded(forecasts: Forecasts) -> None:
    task = enter(enter(new(), "loading", T0), "generation", T0)
    for second in range(1, 5 * KEPT_SAID):
        task = advance(task, min(0.99, second / 1_000), T0 + second)
        task = forecasts.estimate(task, T0 + second)
    said = forecasts._followed["a"].said
    assert len(said) <= KEPT_SAID
    assert said[0].stage == "generation"
    assert said[-1].at == T0 + 5 * KEPT_SAID - 1


def test_what_is_kept_of_a_long_task_is_what_held_at_each_share(forecasts: Forecasts) -> None:
    hour = 3_600
    task = enter(enter(new(), "loading", T0), "generation", T0)
    for second in range(1, hour):
        task = forecasts.estimate(advance(task, second / hour, T0 + second), T0 + second)
    assert len(forecasts._followed["a"].said) <= KEPT_SAID
    apart = [later.at - one.at for one, later in pairwise(forecasts._followed["a"].said)]
    assert max(apart) <= 0.02 * hour, "the early ones are not thinned again and again"
    record = forecasts.over(finish(task, T0 + hour))
    later = {said.share: said.median_s for said in record.predictions if said.share is not None}
    for share in (0.25, 0.5, 0.75, 0.9):
        assert later[share] == pytest.approx((1 - share) * hour, rel=0.25)


def test_the_end_takes_the_estimate_away(forecasts: Forecasts) -> None:
    task = enter(enter(new(), "loading", T0), "generation", T0)
    task = forecasts.estimate(advance(task, 0.5, T0 + 5), T0 + 5)
    over = replace(finish(task, T0 + 9), eta=task.eta)
    assert forecasts.estimate(over, T0 + 9).eta is None
    assert all(stage.status is StageStatus.COMPLETED for stage in over.stages[:3])


def test_a_record_is_of_what_the_state_says() -> None:
    task = replace(finish(enter(new(), "loading", T0 + 1), T0 + 3), template_version="2", device="H100")
    record = history_of(task)
    assert (record.template_version, record.device, record.params) == ("2", "H100", {"steps": 20})


def test_the_gpu_is_named_where_torch_uses_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_name() is None
    cuda = SimpleNamespace(is_initialized=lambda: True, get_device_name=lambda: "NVIDIA H100")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert device_name() == "NVIDIA H100"
    monkeypatch.setattr(cuda, "is_initialized", lambda: False)
    assert device_name() is None

    def broken() -> bool:
        raise RuntimeError("the driver is gone")

    monkeypatch.setattr(cuda, "is_initialized", broken)
    assert device_name() is None


def _loaded() -> Forecasts:
    made = Forecasts()
    made.load()
    return made


def test_a_defect_of_the_predictor_takes_the_estimate_away_and_nothing_else(
    forecasts: Forecasts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    task = enter(new(), "loading", T0)
    for method in ("predict", "ended", "learn"):
        monkeypatch.setattr(forecasts._predictor, method, broken)
    assert forecasts.estimate(task, T0 + 1) == task
    over = finish(task, T0 + 3)
    assert forecasts.over(over).total_s == 3
    forecasts.learn([history_of(over)])
    assert "cannot be estimated" in caplog.text
    assert "cannot be learned" in caplog.text
