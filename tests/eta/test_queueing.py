"""How long a task waits."""

from __future__ import annotations

import math

import pytest

from headway.eta.queueing import KEPT_STARTS, Z90, Line, Moments, moments, quantiles, waits
from headway.eta.survival import Left


def sure(*seconds: float) -> list[Moments]:
    return [Moments(value, 0.0) for value in seconds]


def test_three_quantiles_say_mean_and_variance() -> None:
    assert moments(Left(10.0, 10.0, 10.0)) == (10.0, 0.0)
    mean, variance = moments(Left(0.0, 10.0, 20.0))
    assert mean == pytest.approx(10.0)
    assert variance == pytest.approx((10.0 / Z90) ** 2)


def test_a_sure_duration_has_one_quantile() -> None:
    assert quantiles(Moments(10.0, 0.0)) == (10.0, 10.0, 10.0)


def test_the_quantiles_are_those_of_a_log_normal_of_that_mean() -> None:
    low, median, high = quantiles(Moments(10.0, 25.0))
    sigma = math.log(high / median) / Z90
    assert math.log(median / low) == pytest.approx(math.log(high / median))
    assert median * math.exp(0.5 * sigma**2) == pytest.approx(10.0)
    assert 100.0 * math.expm1(sigma**2) == pytest.approx(25.0)


def means(running: list[Moments], waiting: list[Moments], workers: int) -> list[float]:
    return [wait.mean for wait in waits(running, waiting, workers)]


def test_one_worker_takes_one_after_the_other() -> None:
    assert means(sure(5.0), sure(10.0, 20.0, 1.0), 1) == [5.0, 15.0, 35.0]
    assert list(waits([Moments(5.0, 4.0)], [Moments(10.0, 9.0)] * 2, 1)) == [(5.0, 4.0), (15.0, 13.0)]


def test_with_three_the_one_that_is_free_first_takes_the_next() -> None:
    assert means(sure(5.0, 6.0, 7.0), sure(10.0, 10.0, 10.0, 10.0), 3) == [5.0, 6.0, 7.0, 15.0]
    assert means(sure(5.0, 6.0), sure(30.0, 2.0, 1.0), 3) == [0.0, 5.0, 6.0], "30 on the free one"


def test_nobody_waits_for_a_free_worker() -> None:
    assert means([], sure(3.0), 1) == [0.0]
    assert means(sure(9.0), sure(3.0), 3) == [0.0]
    assert means(sure(9.0), [], 3) == []


def test_more_tasks_may_run_than_there_are_workers() -> None:
    assert means(sure(9.0, 8.0), sure(3.0), 1) == [8.0]


def test_a_line_is_first_come_first_served() -> None:
    line: Line[str] = Line()
    for name in "abc":
        line.join(name, name.upper(), "portrait")
    assert list(line.waiting.items()) == [("a", "A"), ("b", "B"), ("c", "C")]
    line.start("a", "A", waited=None)
    assert list(line.waiting) == ["b", "c"]
    assert line.running == {"a": "A"}
    line.leave("b")
    line.leave("a")
    line.leave("nobody")
    assert list(line.waiting) == ["c"]
    assert not line.running


def test_one_is_idle_until_somebody_waits_or_runs() -> None:
    line: Line[str] = Line()
    assert line.workers == 1
    assert line.is_idle
    line.join("a", "A", "portrait")
    assert not line.is_idle
    line.start("a", "A", waited=0.5)
    assert not line.is_idle
    line.leave("a")
    assert line.is_idle
    assert line.usual_wait() == 0.5


def test_as_many_work_as_ran_at_once_lately() -> None:
    line: Line[str] = Line()
    for name in "abc":
        line.start(name, name, waited=None)
    line.start("a", "a", waited=None)
    assert line.workers == 3
    for name in "abc":
        line.leave(name)
    for number in range(KEPT_STARTS - 1):
        line.start(str(number), "", waited=None)
        line.leave(str(number))
    assert line.workers == 3
    line.start("d", "", waited=None)
    assert line.workers == 1, "the three are forgotten"


def test_who_follows_a_task_of_the_same_template_finds_its_model_loaded() -> None:
    line: Line[str] = Line()
    assert not line.join("a", "A", "portrait")
    assert line.join("b", "B", "portrait")
    assert not line.join("c", "C", "landscape")
    line.start("a", "A", waited=None)
    line.start("b", "B", waited=None)
    assert not line.join("d", "D", "landscape"), "with two workers nobody knows who takes it"


def test_the_usual_wait_for_a_free_worker_is_the_median_of_the_last() -> None:
    line: Line[str] = Line()
    assert line.usual_wait() == 0.0
    for number, waited in enumerate((1.0, 9.0, 2.0)):
        line.start(str(number), "", waited=waited)
        line.leave(str(number))
    assert line.usual_wait() == 2.0
