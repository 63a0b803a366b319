"""What holds of the estimates of any task after any history."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headway.estimates import Estimate
from headway.eta.predictor import ETAPredictor
from headway.models import TaskStatus
from tests.examples import examples

# An estimate is rounded to the microsecond.
ROUNDED = 2e-6

# A history of 40 tasks takes a tenth of a second.
EXAMPLES = examples(25)

NAMES = ("preparation", "execution", "upscaling", "decoding", "finalization", "upload")


class Run(NamedTuple):
    """One task of history: the seconds of its stages, its reports in each, and how it ended."""

    template: str
    params: dict[str, Any]
    seconds: list[float]
    reports: list[float]
    status: TaskStatus
    is_asked: bool


class Told(NamedTuple):
    """One thing that is told, so many seconds after the last."""

    gap: float
    stage: int
    progress: float


usual_seconds = st.floats(0.01, 1_000)
any_seconds = st.one_of(usual_seconds, st.sampled_from([0.0, 1e-9, 1e-3, 1e5, 1e9]), st.floats(1e-9, 1e9))
shares = st.floats(0, 1)
# Of what is left: where nothing is reported there is no pace, and history alone answers.
reported = st.floats(0.001, 1)
few_params = st.fixed_dictionaries(
    {},
    optional={
        "steps": st.integers(1, 100),
        "size": st.sampled_from([512, 1024]),
        "model": st.sampled_from("ab"),
    },
)
json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(-1e6, 1e6), st.text(max_size=80),
        st.sampled_from([math.nan, math.inf, 10**400, -(10**400), 1e-320, "\ud800", "é\0"]),
    ),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=6,
)  # fmt: skip
any_params = st.dictionaries(
    st.sampled_from(["steps", "size", "model", "", "日本", "x" * 99]), json_values, max_size=5
)


@st.composite
def stage_lists(draw: st.DrawFn) -> tuple[str, ...]:
    names = NAMES[: draw(st.integers(1, 5))]
    return ("queue", *names) if draw(st.booleans()) else names


@st.composite
def histories(
    draw: st.DrawFn, stages: Sequence[str], seconds: st.SearchStrategy[float], params: st.SearchStrategy[Any]
) -> list[Run]:
    """Draw up to 40 tasks; past a handful they repeat, so that drawing is quick."""
    one = st.builds(
        Run,
        template=st.sampled_from(["portrait", "portrait", "landscape"]),
        params=params,
        seconds=st.lists(seconds, min_size=len(stages), max_size=len(stages)),
        reports=st.lists(shares, max_size=2).map(sorted),
        status=st.sampled_from([TaskStatus.COMPLETED] * 4 + [TaskStatus.FAILED]),
        is_asked=st.booleans(),
    )
    some = draw(st.lists(one, max_size=5))
    return some * draw(st.integers(1, 8))


def relive(
    runs: list[Run], stages: Sequence[str], known: ETAPredictor | None = None, name: str = "run"
) -> ETAPredictor:
    """Tell a predictor of a history, one task after the other."""
    known = ETAPredictor() if known is None else known
    now, prefix = 0.0, name
    for number, task in enumerate(runs):
        name = f"{prefix}-{number}"
        known.submitted(name, task.template, task.params, stages, now)
        if task.is_asked:
            assert_valid(known.predict(name, now), now)
        for stage, seconds in zip(stages, task.seconds, strict=True):
            known.progressed(name, stage, 0.0, now)
            for share in task.reports:
                known.progressed(name, stage, share, now + share * seconds)
                if task.is_asked:
                    assert_valid(known.predict(name, now + share * seconds), now + share * seconds)
            now += seconds
        known.ended(name, task.status, now)
    return known


def assert_valid(estimate: Estimate | None, now: float) -> None:
    if estimate is None:
        return
    rounded = ROUNDED + 1e-15 * abs(now)
    assert now - rounded <= estimate.low <= estimate.median <= estimate.high < math.inf
    for span in (*estimate.stages, *([] if estimate.wait is None else [estimate.wait])):
        assert 0.0 <= span.low <= span.median <= span.high < math.inf
    assert estimate.basis
    evidence = estimate.evidence
    assert evidence is not None
    assert 0 <= evidence.same <= evidence.runs
    for share in (evidence.pace_share, evidence.coverage):
        assert share is None or 0.0 <= share <= 1.0
    assert evidence.usual_s is None or 0.0 <= evidence.usual_s < math.inf
    assert evidence.ahead is None or evidence.ahead >= 0


class Course(NamedTuple):
    """A task: its stages, what came before it, its parameters, and what is told of it."""

    stages: tuple[str, ...]
    runs: list[Run]
    params: Any
    told: list[Told]


@st.composite
def courses(
    draw: st.DrawFn,
    seconds: st.SearchStrategy[float] = usual_seconds,
    params: st.SearchStrategy[Any] = few_params,
    progress: st.SearchStrategy[float] = shares,
) -> Course:
    stages = draw(stage_lists())
    runs = draw(histories(stages, seconds, params))
    told = draw(
        st.lists(
            st.builds(Told, gap=seconds, stage=st.integers(0, len(stages)), progress=progress), max_size=12
        )
    )
    return Course(stages, runs, draw(params), no_way_back(stages, told))


def begin(course: Course, known: ETAPredictor, now: float) -> float:
    """Submit the task and tell what is told of it, asking each time; return the last instant."""
    known.submitted("a", "portrait", course.params, course.stages, now)
    assert_valid(known.predict("a", now), now)
    for gap, stage, progress in course.told:
        now += gap
        known.progressed("a", (*course.stages, "unknown")[stage], progress, now)
        assert_valid(known.predict("a", now), now)
    return now


def no_way_back(stages: tuple[str, ...], told: list[Told]) -> list[Told]:
    """Leave out a return to the queue, which is tested by itself."""
    kept: list[Told] = []
    for one in told:
        has_left = any(0 < other.stage < len(stages) for other in kept)
        if not (stages[0] == "queue" and one.stage == 0 and has_left):
            kept.append(one)
    return kept


def test_a_task_that_goes_back_to_the_queue_has_an_estimate() -> None:
    stages = ("queue", "execution")
    known = relive([ONE_RUN._replace(seconds=[1.0, 20.0])] * 3, stages)
    known.submitted("a", "portrait", {}, stages, 1e6)
    known.progressed("a", "execution", 0.0, 1e6 + 1)
    known.progressed("a", "queue", 0.0, 1e6 + 5)
    assert_valid(known.predict("a", 1e6 + 5), 1e6 + 5)


@settings(max_examples=EXAMPLES)
@given(courses(seconds=any_seconds))
def test_an_estimate_is_in_order_finite_and_not_in_the_past(course: Course) -> None:
    known = relive(course.runs, course.stages)
    now = begin(course, known, 1e6)
    weights = known.expected_weights("a")
    assert weights is None or all(0.0 < weight < math.inf for weight in weights)
    for silence in (1e-6, 1.0, 1e3, 1e6, 1e9):
        assert_valid(known.predict("a", now + silence), now + silence)
    record = known.completed("a", now + 1.0)
    assert record is not None
    assert all(stage.duration_s is None or stage.duration_s >= 0.0 for stage in record.stages)
    assert len(record.stages) == len(course.stages)


@settings(max_examples=EXAMPLES)
@given(courses(seconds=any_seconds), st.lists(any_seconds, min_size=1, max_size=8))
def test_more_silence_never_means_sooner(course: Course, silences: list[float]) -> None:
    known = relive(course.runs, course.stages)
    now = begin(course, known, 1e6)
    given_before = known.predict("a", now)
    for silence in silences:
        now += silence
        estimate = known.predict("a", now)
        if given_before is not None and estimate is not None:
            assert estimate.low >= given_before.low
            assert estimate.median >= given_before.median
            assert estimate.high >= given_before.high
        given_before = estimate or given_before


def left_after_more(
    course: Course, gap: float, progress: Sequence[float], silence: float
) -> list[tuple[float, float, float]]:
    """Return what predictors say is left that were told the same up to the last progress, the least first."""
    stages = course.stages
    known = relive(course.runs, course.stages)
    now = begin(course._replace(told=[]), known, 1e9)
    stage = stages[min([len(stages) - 1, *(told.stage for told in course.told)])]
    known.progressed("a", stage, 0.0, now)
    last = 0.0
    for told in course.told:
        now += told.gap
        last = max(last, told.progress)
        known.progressed("a", stage, told.progress, now)
    now += gap
    said = []
    for share in sorted(progress):
        other = copy.deepcopy(known)
        other.progressed("a", stage, last + share * (1.0 - last), now)
        estimate = other.predict("a", now + silence)
        if estimate is None:
            return []
        begun = now + silence
        said.append((estimate.low - begun, estimate.median - begun, estimate.high - begun))
    return said


ONE_RUN = Run("portrait", {}, [20.0], [0.25, 0.5, 0.75], TaskStatus.COMPLETED, is_asked=False)
silences = st.one_of(st.just(0.0), usual_seconds)


@settings(max_examples=4 * EXAMPLES)
@given(courses(), usual_seconds, st.lists(reported, min_size=2, max_size=5), silences)
@example(Course(("execution",), [ONE_RUN], {}, []), 16.0, [0.21, 0.25], 0.0)
@example(Course(("execution",), [ONE_RUN, ONE_RUN], {}, []), 28.0, [0.19, 0.24], 0.0)
@example(Course(("execution",), [], {}, []), 28.0, [0.01, 0.99], 0.0)
def test_more_progress_never_means_later(
    course: Course, gap: float, progress: list[float], silence: float
) -> None:
    for less, more in itertools.pairwise(left_after_more(course, gap, progress, silence)):
        for later, sooner in zip(less, more, strict=True):
            assert sooner <= later * (1 + 1e-9) + ROUNDED


@settings(max_examples=EXAMPLES)
@given(stage_lists(), any_params)
def test_what_is_not_known_stays_unknown(stages: tuple[str, ...], params: dict[str, Any]) -> None:
    known = ETAPredictor()
    assert known.predict("nobody", 1.0) is None
    known.submitted("a", "portrait", params, stages, 0.0)
    for number, stage in enumerate(stages):
        assert known.predict("a", float(number)) is None
        known.progressed("a", stage, 0.0, float(number))
        assert known.predict("a", number + 0.5) is None
    assert known.expected_weights("a") is None


@settings(max_examples=EXAMPLES)
@given(courses(params=any_params), st.data())
def test_parameters_of_any_kind_do_no_harm(course: Course, data: st.DataObject) -> None:
    known = relive(course.runs, course.stages)
    now = begin(course, known, 1e6)
    assert known.completed("a", now) is not None
    known.submitted("b", "landscape", data.draw(any_params), course.stages, now)
    assert_valid(known.predict("b", now), now)


@pytest.mark.parametrize(
    "values",
    [
        (10**400, -(10**400)),
        (math.nan, math.inf),
        ("a", 3),
        ({"a": {"b": [None]}}, [1]),
        (None, True),
        ("", []),
    ],
)
def test_a_parameter_of_changing_kind_does_no_harm(values: tuple[Any, ...]) -> None:
    known = ETAPredictor()
    for number in range(10):
        task = Run("portrait", {"x": values[number % 2]}, [10.0], [0.5], TaskStatus.COMPLETED, is_asked=True)
        relive([task], ("execution",), known)
    known.submitted("a", "portrait", {"x": values[0], "y": values}, ("execution",), 1e3)
    estimate = known.predict("a", 1e3)
    assert_valid(estimate, 1e3)
    assert estimate is not None
    assert estimate.median - 1e3 == pytest.approx(10.0, rel=0.1)


def test_a_thousand_parameters_do_no_harm() -> None:
    known = ETAPredictor()
    for number in range(10):
        params = {f"p{i}": (i * number) % 97 for i in range(1_000)}
        relive(
            [Run("portrait", params, [10.0], [], TaskStatus.COMPLETED, is_asked=True)], ("execution",), known
        )
    known.submitted("a", "portrait", {f"q{i}": i for i in range(1_000)}, ("execution",), 1e3)
    estimate = known.predict("a", 1e3)
    assert_valid(estimate, 1e3)
    assert estimate is not None
    assert estimate.median - 1e3 == pytest.approx(10.0, rel=0.1)


@pytest.mark.parametrize("value", [1e308, -1e308, 1e100])
@pytest.mark.parametrize("template", ["portrait", "landscape"])
def test_extreme_numbers_do_no_harm(template: str, value: float) -> None:
    runs = [
        Run("portrait", {"steps": 10 + i}, [0.01 * (10.0 + i) ** 3], [], TaskStatus.COMPLETED, is_asked=True)
        for i in range(30)
    ]
    known = relive(runs, ("execution",))
    for stages in (("execution",), ("queue", "execution")):
        known = relive([task._replace(seconds=task.seconds * len(stages)) for task in runs], stages)
        known.submitted("a", template, {"steps": value}, stages, 1e6)
        known.predict("a", 1e6)
        estimate = known.predict("a", 1e6)
        assert_valid(estimate, 1e6)
        known.submitted("b", template, {"steps": 15}, stages, 1e6)
        assert_valid(known.predict("b", 1e6), 1e6)
        assert known.completed("a", 1e6 + 10) is not None
        known.submitted("c", template, {"steps": 15}, stages, 1e6 + 20)
        assert known.predict("c", 1e6 + 20) is not None


odd_progress = st.one_of(
    shares, st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1.0, 2.0, 1e300, 1e-9, 1e-300, 5e-324, 1.0])
)


@settings(max_examples=EXAMPLES)
@given(courses(progress=odd_progress))
def test_absurd_progress_does_no_harm(course: Course) -> None:
    known = relive(course.runs, course.stages)
    now = begin(course, known, 1e6)
    assert known.completed("a", now) is not None
    known.submitted("b", "portrait", course.params, course.stages, now)
    assert_valid(known.predict("b", now), now)


def test_a_step_next_to_nothing_does_no_harm() -> None:
    known = ETAPredictor()
    known.submitted("a", "portrait", {}, ("execution",), 0.0)
    known.progressed("a", "execution", 0.0, 0.0)
    known.progressed("a", "execution", 5e-324, 1.0)
    known.progressed("a", "execution", 1.0, 2.0)
    assert_valid(known.predict("a", 2.0), 2.0)
    assert known.completed("a", 3.0) is not None


@settings(max_examples=EXAMPLES)
@given(courses(), st.lists(st.floats(-1e4, 1e4), max_size=12))
def test_a_clock_that_runs_backwards_does_no_harm(course: Course, jumps: list[float]) -> None:
    known = relive(course.runs, course.stages)
    now = 1e6
    known.submitted("a", "portrait", course.params, course.stages, now)
    for told, jump in zip(course.told, jumps, strict=False):
        now += jump
        known.progressed("a", (*course.stages, "unknown")[told.stage], told.progress, now)
        assert_valid(known.predict("a", now + jump), now + jump)
    record = known.completed("a", now)
    assert record is not None
    assert record.finished_at >= record.submitted_at
    assert all(stage.duration_s is None or stage.duration_s >= 0.0 for stage in record.stages)
    known.submitted("b", "portrait", course.params, course.stages, now)
    assert_valid(known.predict("b", now), now)


INSTANTS = (math.nan, math.inf, -math.inf, 1e300, -1e300)


@pytest.mark.parametrize("stages", [("execution", "finalization"), ("queue", "execution")])
@pytest.mark.parametrize("instant", INSTANTS)
def test_an_instant_that_is_none_gets_no_estimate_that_is_none(
    instant: float, stages: tuple[str, ...]
) -> None:
    runs = [Run("portrait", {}, [1.0, 10.0], [0.5], TaskStatus.COMPLETED, is_asked=True)] * 5
    known = relive(runs, stages)
    known.submitted("a", "portrait", {}, stages, 1e6)
    for stage in (None, *stages):
        if stage is not None:
            known.progressed("a", stage, 0.5, 1e6)
        estimate = known.predict("a", instant)
        if estimate is not None:
            assert math.isfinite(instant)
            assert_valid(estimate, instant)
    assert known.predict("a", 1e6) is not None


@pytest.mark.parametrize("what", ["submitted", "progressed", "completed"])
@pytest.mark.parametrize("instant", INSTANTS)
def test_what_is_told_of_an_absurd_instant_does_not_spoil_the_next_task(instant: float, what: str) -> None:
    stages = ("queue", "execution")
    runs = [Run("portrait", {}, [1.0, 10.0], [0.5], TaskStatus.COMPLETED, is_asked=True)] * 20
    known = relive(runs, stages)
    known.submitted("a", "portrait", {}, stages, instant if what == "submitted" else 1e6)
    known.predict("a", 1e6)
    known.progressed("a", "execution", 0.5, instant if what == "progressed" else 1e6 + 1)
    known.predict("a", 1e6 + 2)
    known.completed("a", instant if what == "completed" else 1e6 + 11)
    known.submitted("b", "portrait", {}, stages, 2e6)
    estimate = known.predict("b", 2e6)
    assert estimate is not None
    assert_valid(estimate, 2e6)
    assert estimate.median - 2e6 == pytest.approx(11.0, rel=0.5)


@pytest.mark.parametrize("weights", [(), (1.0,), (0.0, 0.0, 0.0), (1.0, 0.0, 1.0), (1.0, math.nan, 1.0)])
def test_weights_that_are_none_are_refused(weights: tuple[float, ...]) -> None:
    known = ETAPredictor()
    with pytest.raises(ValueError, match="expected a finite weight above 0 for each of 3 stages"):
        known.submitted(
            "a", "portrait", {}, ("preparation", "execution", "finalization"), 0.0, weights=weights
        )
    assert known.predict("a", 1.0) is None


@settings(max_examples=EXAMPLES)
@given(courses(), st.permutations(range(3)))
def test_states_may_be_merged_in_any_order(course: Course, order: list[int]) -> None:
    thirds = [course.runs[part::3] for part in range(3)]
    states = [
        relive(part, course.stages, name=name).to_bytes() for part, name in zip(thirds, "abc", strict=True)
    ]
    one = ETAPredictor.from_bytes(*states)
    other = ETAPredictor.from_bytes(*(states[part] for part in order), states[order[0]])
    for known in (one, other):
        known.submitted("a", "portrait", course.params, course.stages, 1e6)
    mine, theirs = one.predict("a", 1e6), other.predict("a", 1e6)
    assert (mine is None) == (theirs is None)
    if mine is not None and theirs is not None:
        assert theirs.median == pytest.approx(mine.median, abs=1e-3 * (mine.median - 1e6) + 1e-3)
