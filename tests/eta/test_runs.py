"""The runs that are remembered, and how durations follow the parameters."""

from __future__ import annotations

import math
from itertools import count

import numpy as np
import pytest

from headway.eta import runs
from headway.eta.features import MAX_NUMBERS, Features
from headway.eta.runs import KEPT_RUNS, MAX_S, MIN_S, Family, Rows, Slopes, Template, log_durations

KEYS = count()


def features(**numbers: float) -> Features:
    return Features(numbers, frozenset({"portrait"}), 7)


def learned(family: Family, template: Template, seconds: float, **numbers: float) -> None:
    key = next(KEYS)
    family.learn(template, features(**numbers), log_durations([seconds]), at=float(key), key=key)


def test_rows_are_kept_oldest_first_and_the_oldest_leave() -> None:
    rows = Rows(3, 1)
    assert len(rows) == 0
    for value in range(5):
        rows.append(np.array([float(value)]))
    assert rows.table.tolist() == [[2.0], [3.0], [4.0]]
    assert len(rows) == rows.count == 3


def test_a_new_column_was_0_before() -> None:
    rows = Rows(3, 1)
    rows.append(np.array([5.0]))
    rows.widen(2)
    rows.append(np.array([6.0, 7.0]))
    assert rows.table.tolist() == [[5.0, 0.0], [6.0, 7.0]]


def test_slopes_are_those_of_the_runs_shrunk_by_the_ridge() -> None:
    slopes = Slopes(1, 1, decay=1.0, ridge=2.0)
    assert slopes.solve().tolist() == [[0.0]]
    for x in (1.0, -1.0, 2.0):
        slopes.add(np.array([[x * x]]), np.array([[3.0 * x * x]]))
    assert slopes.solve().item() == pytest.approx(18.0 / 8.0)
    assert slopes.solve(np.array([[3.0]])).item() == pytest.approx(3.0)
    slopes.widen(2)
    assert slopes.solve().tolist() == [[pytest.approx(18.0 / 8.0)], [0.0]]


def test_older_runs_fade_from_the_slopes() -> None:
    slopes = Slopes(1, 1, decay=0.5, ridge=0.0)
    slopes.add(np.array([[1.0]]), np.array([[0.0]]))
    slopes.add(np.array([[1.0]]), np.array([[3.0]]))
    assert slopes.solve().item() == pytest.approx(2.0)


def test_a_row_is_the_stages_and_then_what_is_left_at_the_beginning_of_each() -> None:
    family = Family(("queue", "execution", "finalization"), 1)
    row = np.exp(log_durations([1.0, 2.0, 3.0]))
    assert row == pytest.approx([1.0, 2.0, 3.0, 6.0, 5.0])
    assert len(row) == family.outputs
    assert [row[family.rest(stage)] for stage in range(3)] == pytest.approx([6.0, 5.0, 3.0])
    assert row[family.run] == pytest.approx(5.0), "without the queue"


@pytest.mark.parametrize(
    ("stages", "has_queue", "run"),
    [(("queue", "a"), True, 1), (("a", "queue"), False, 2), (("queue",), False, 0), (("a",), False, 0)],
)
def test_only_a_first_stage_of_that_name_is_a_queue(
    stages: tuple[str, ...], has_queue: bool, run: int
) -> None:
    family = Family(stages, 1)
    assert (family.has_queue, family.run) == (has_queue, run)


def test_absurd_durations_are_bounded() -> None:
    assert np.exp(log_durations([0.0])).item() == pytest.approx(MIN_S)
    assert np.exp(log_durations([1e300, 1e308])) == pytest.approx([MAX_S] * 3)


def test_what_a_task_does_not_name_is_as_usual_for_its_template() -> None:
    family = Family(("a",), 1)
    template = family.template("portrait")
    for steps in (2.0, 4.0):
        learned(family, template, 10.0, steps=steps, size=1.0)
    assert family.vector(features(size=5.0), template)[:2].tolist() == pytest.approx([3.0, 5.0])


def test_parameters_beyond_what_is_compared_are_passed_over() -> None:
    family = Family(("a",), 1)
    template = family.template("portrait")
    learned(family, template, 10.0, steps=2.0)
    learned(family, template, 12.0, steps=3.0)
    many = {f"p{number}": float(number) for number in range(MAX_NUMBERS)}
    x = family.vector(features(**many), template)
    assert len(family.columns) == len(x) == MAX_NUMBERS
    assert x[0] == pytest.approx(2.5)
    assert x[-1] == MAX_NUMBERS - 2
    learned(family, template, 12.0, **many)
    assert template.inputs.table.shape == (3, MAX_NUMBERS)


def test_durations_that_follow_a_parameter_give_its_slope() -> None:
    family = Family(("a",), 1)
    template = family.template("portrait")
    for number in range(60):
        steps = 10.0 + number % 30
        learned(family, template, steps * 2.0, steps=math.log(steps), other=0.0)
    assert template.beta is not None
    assert template.beta[:2, 0].tolist() == pytest.approx([1.0, 0.0], abs=0.15)
    assert 0.3 < family.beta[0, 0] < 1.1, "a template not seen before begins with this"


def test_one_surprise_hardly_turns_the_slopes() -> None:
    family = Family(("a",), 1)
    template = family.template("portrait")
    for number in range(60):
        steps = 10.0 + number % 30
        learned(family, template, steps * 2.0, steps=math.log(steps))
    learned(family, template, 1e7, steps=math.log(40.0))
    assert template.beta is not None
    assert template.beta[0, 0] == pytest.approx(1.0, abs=0.2)


def test_a_template_keeps_its_last_runs_and_counts_all() -> None:
    family = Family(("a",), 1)
    template = family.template("portrait")
    for number in range(KEPT_RUNS + 10):
        learned(family, template, 1.0 + number)
    assert template.count == KEPT_RUNS + 10
    assert len(template.inputs) == len(template.logs) == len(template.words) == KEPT_RUNS
    assert math.exp(template.logs.table[0, 0]) == pytest.approx(11.0)


def test_the_template_not_used_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "KEPT_TEMPLATES", 2)
    family = Family(("a",), 1)
    family.template("one")
    family.template("two")
    family.template("one")
    family.template("three")
    assert list(family.templates) == ["one", "three"]


def test_a_run_is_new_once_and_old_ones_are_forgotten() -> None:
    template = Template(1, 1, 1)
    assert template.is_new(1)
    assert not template.is_new(1)
    for key in range(2, 1_000):
        template.is_new(key)
    assert not template.is_new(999)
    assert len(template.keys) <= 2 * KEPT_RUNS
    assert template.is_new(1)


def test_the_losses_of_a_new_template_are_those_of_all() -> None:
    family = Family(("a",), 2)
    one, other = family.template("one"), family.template("other")
    for _ in range(50):
        family.score(one, np.array([0.0, 0.3]), 0.0)
    mine, theirs = family.losses(one), family.losses(other)
    assert mine[0] < 0.1 < 0.2 < mine[1], "right, and wrong by 0.3"
    assert mine[0] < theirs[0] < theirs[1]


def test_a_way_that_was_not_asked_is_not_scored() -> None:
    family = Family(("a",), 2)
    template = family.template("portrait")
    before = family.losses(template)[1]
    family.score(template, np.array([0.0, math.nan]), 0.0)
    family.score(template, np.array([9.0, math.nan]), 0.0)
    assert template.losses[1] == 0.0
    assert family.losses(family.template("other"))[1] == before


def test_a_run_that_is_lent_is_of_no_template() -> None:
    family = Family(("a",), 1)
    family.lend(features(steps=3.0), log_durations([10.0]))
    assert (family.count, len(family.inputs), len(family.templates)) == (1, 1, 0)
    assert family.is_surprise.table.tolist() == [[0.0]]
