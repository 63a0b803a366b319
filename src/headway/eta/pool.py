"""The weighted sample of earlier runs that a task is compared with."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import NDArray

from headway.estimates import StageEstimate
from headway.eta.features import Features, likeness
from headway.eta.runs import KEPT_OTHERS, KEPT_RUNS, MAX_SHIFT, WARM, Family, Template
from headway.eta.survival import Left, residual_life

Array = NDArray[np.float64]

# A template's own runs are weighed in six ways: by age with these half-lives, in runs, each with and without
# regard to how near their parameters are, in log seconds.
HALF_LIVES = (1.0, 8.0, 100.0)
BANDWIDTH = 0.03
# How far away, in log seconds, parameters count as that only differ in what has no number, and other words.
UNEQUAL, OTHERWISE = 0.1, 0.1
# Runs of all templates in three: (half-life, bandwidth, whether likeness counts).
OTHERS = ((60.0, 0.15, True), (60.0, 0.03, True), (1000.0, 0.03, False))
# The surprises of all templates, around this template's own level, in two.
SURPRISES = (6.0, 60.0)
N_OWN = 2 * len(HALF_LIVES)
N_OTHERS = len(OTHERS)
N_EXPERTS = N_OWN + N_OTHERS + len(SURPRISES)

# Of exponentially weighted voters, by their mean log error.
SHARPNESS = 40.0
# Voters of less than this share are not asked once the template is warm.
NEGLIGIBLE = 0.003
# Rows of less than this weight do not change a quantile that anybody sees.
LEAST_WEIGHT = 1e-5
# The sample gets the tail of a log-normal of its own spread, the more the fewer runs it stands on.
TAIL_Z = np.array([-1.834, -1.282, -0.967, -0.728, -0.524, -0.341, -0.168, 0.0,
                   0.168, 0.341, 0.524, 0.728, 0.967, 1.282, 1.834])  # fmt: skip
TAIL_WIDTH, MIN_SPREAD, COLD_SPREAD, COLD_RUNS = 1.3, 0.06, 0.30, 4
# Beyond all but this share of the history the residual life of a log-normal takes over; with this weight it
# is heard from the half on.
OUTLIVED, HUMILITY = 0.004, 0.03
# Of the three quantiles of what outlives them all, by Swanson's rule.
OVERDUE = (0.3 * HUMILITY, 0.4 * HUMILITY, 0.3 * HUMILITY)
QUANTILES = np.array([0.1, 0.5, 0.9])
SIGMAS = np.array([0.16, 0.5, 0.84])
LN2 = math.log(2.0)


def _ages(kept: int, half_lives: tuple[float, ...]) -> Array:
    return np.asarray(np.exp(-LN2 * np.arange(kept)[::-1] / np.array(half_lives)[:, None]))


OWN_AGES = _ages(KEPT_RUNS, HALF_LIVES)
OTHER_AGES = _ages(KEPT_OTHERS, tuple(half_life for half_life, _, _ in OTHERS))
SURPRISE_AGES = _ages(KEPT_OTHERS, SURPRISES)


class Pool:
    """Log seconds of earlier runs, carried over to one task's parameters, with weights that sum to 1.

    Parameters
    ----------
    logs
        Runs x columns; see `Family`.
    weights
        One a run.
    runs, same
        How many runs are the template's own, and how many of those have these very parameters.
    experts
        What each way of weighing the runs expects of the run time, in log seconds, NaN of those that were not
        asked; ``None`` where it was not wanted.
    """

    def __init__(
        self, logs: Array, weights: Array, *, runs: int, same: int, experts: Array | None = None
    ) -> None:
        self._logs = logs
        self._weights = weights
        self.runs = runs
        self.same = same
        self.experts = experts
        self._levels: dict[int, tuple[float, float]] = {}
        self._tables: dict[tuple[int, int | None], tuple[Array, Array, Array, Array]] = {}
        self._lists: dict[int, tuple[list[float], list[float]]] = {}
        self._expected: dict[int, tuple[StageEstimate, ...]] = {}
        self._typical: dict[int, float] = {}
        self._fresh: dict[tuple[int, int | None], Left] = {}
        # Fewer runs, or one that outweighs the others, know less.
        self._tail = 1.0 / (1.0 / float(weights @ weights) + 1.0)

    def level(self, column: int) -> tuple[float, float]:
        """Return the median of a column's log seconds, and half of the distance of its 16 % and 84 %."""
        level = self._levels.get(column)
        if level is None:
            values = self._logs[:, column]
            order = values.argsort()
            at = self._weights[order].cumsum().searchsorted(SIGMAS)
            low, median, high = values[order[np.minimum(at, len(order) - 1)]].tolist()
            level = self._levels[column] = (median, 0.5 * (high - low))
        return level

    def typical(self, column: int) -> float:
        """Return the median of a column in seconds."""
        seconds = self._typical.get(column)
        if seconds is None:
            seconds = self._typical[column] = math.exp(self.level(column)[0])
        return seconds

    def left(self, column: int, rest: int | None, elapsed: float) -> Left:
        """Return the seconds left of what a column measures, and of the rest that follows it.

        Parameters
        ----------
        column, rest
            What has been going on for `elapsed` seconds, and what comes after it, if anything.
        """
        key = column, rest
        if elapsed <= 0.0:
            fresh = self._fresh.get(key)
            if fresh is None:
                wholes, _, _, cumulated = self._table(key)
                fresh = self._fresh[key] = _quantiles(wholes, cumulated)
            return fresh
        if rest is None:
            return self._left_alone(column, elapsed)
        wholes, parts, weights, _ = self._table(key)
        kept = (weights * (parts > elapsed)).cumsum()
        share = float(kept[-1])
        if share >= 0.5:
            return _quantiles(wholes, kept).plus(-elapsed)
        more = self.typical(rest)
        overdue = residual_life(elapsed, *self.level(column)).plus(more)
        if share < OUTLIVED:
            return overdue
        return _mixed(wholes, kept, overdue.plus(elapsed)).plus(-elapsed)

    def _left_alone(self, column: int, elapsed: float) -> Left:
        """Return the same where there is no rest: the values above `elapsed` are the end of a list."""
        table = self._lists.get(column)
        if table is None:
            values, _, _, cumulated = self._table((column, None))
            table = self._lists[column] = (values.tolist(), cumulated.tolist())
        values_s, shares = table
        gone = bisect_right(values_s, elapsed)
        below = shares[gone - 1] if gone else 0.0
        share = shares[-1] - below
        if share >= 0.5:
            last = len(values_s) - 1
            return Left(
                values_s[min(bisect_left(shares, below + 0.1 * share), last)] - elapsed,
                values_s[min(bisect_left(shares, below + 0.5 * share), last)] - elapsed,
                values_s[min(bisect_left(shares, below + 0.9 * share), last)] - elapsed,
            )
        overdue = residual_life(elapsed, *self.level(column))
        if share < OUTLIVED:
            return overdue
        whole = share + HUMILITY

        def quantile(level: float) -> float:
            """Find the quantile of what is left of the sample together with the three of what outlives it."""
            wanted, beyond, lowest = level * whole, 0.0, elapsed
            for highest, weight in zip((*overdue, math.inf), (*OVERDUE, 0.0), strict=True):
                if wanted <= beyond:
                    break
                if wanted - beyond <= share:
                    at = bisect_left(shares, below + wanted - beyond)
                    value = values_s[min(at, len(values_s) - 1)]
                    if value <= elapsed + highest:
                        return max(value, lowest) - elapsed
                beyond += weight
                lowest = elapsed + highest
            return lowest - elapsed

        return Left(quantile(0.1), quantile(0.5), quantile(0.9))

    def expected(self, names: tuple[str, ...], after: int) -> tuple[StageEstimate, ...]:
        """Return the expected seconds of each stage after one, -1 for all of them."""
        known = self._expected.get(after)
        if known is None:
            known = self._expected[after] = tuple(
                stage_estimate(names[column], self.left(column, None, 0.0))
                for column in range(after + 1, len(names))
            )
        return known

    def _table(self, key: tuple[int, int | None]) -> tuple[Array, Array, Array, Array]:
        """Return, sorted: seconds from a column's beginning to the end; of the column; weights; sums."""
        table = self._tables.get(key)
        if table is None:
            column, rest = key
            parts = self._seconds(column)
            wholes = parts if rest is None else parts + self._seconds(rest)
            tail = np.full(len(TAIL_Z), self._tail / len(TAIL_Z))
            weights = np.concatenate((self._weights, tail)) / (1.0 + self._tail)
            order = wholes.argsort()
            weights = weights[order]
            table = self._tables[key] = (wholes[order], parts[order], weights, weights.cumsum())
        return table

    def _seconds(self, column: int) -> Array:
        median, spread = self.level(column)
        spread = max(TAIL_WIDTH * spread, COLD_SPREAD if self.runs < COLD_RUNS else MIN_SPREAD)
        return np.exp(np.concatenate((self._logs[:, column], median + spread * TAIL_Z)))


def stage_estimate(name: str, left: Left) -> StageEstimate:
    """Put the seconds that a stage takes yet into the words of the wire, in milliseconds' precision."""
    low, median, high = round(left.low, 3), round(left.median, 3), round(left.high, 3)
    return StageEstimate(
        id=name, low=max(min(low, median), 0.0), median=max(median, 0.0), high=max(high, median, 0.0)
    )


def _quantiles(values: Array, cumulated: Array) -> Left:
    at = cumulated.searchsorted(QUANTILES * cumulated[-1])
    return Left(*values[np.minimum(at, len(values) - 1)].tolist())


def _mixed(values: Array, cumulated: Array, overdue: Left) -> Left:
    """Mix a sample with three quantiles of what outlives it."""
    weights = np.diff(cumulated, prepend=0.0)
    values = np.concatenate((values, overdue))
    weights = np.concatenate((weights, OVERDUE))
    order = values.argsort()
    return _quantiles(values[order], weights[order].cumsum())


def build_pool(family: Family, template: Template, features: Features, *, scored: bool) -> Pool | None:
    """Compose the sample for a task.

    Parameters
    ----------
    scored
        Whether each expert's own median of the run time is wanted, to be scored when the task is over.

    Returns
    -------
    Pool or None
        ``None`` while nothing comparable has completed.
    """
    n, others = template.inputs.count, family.inputs.count
    if not others:
        return None
    votes = _votes(family, template)
    asks_all = template.count < WARM
    x = family.vector(features, template)
    run = family.run
    beta = family.beta if template.beta is None else template.beta
    medians = np.full(N_EXPERTS, np.nan) if scored else None
    parts: list[Array] = []
    weights: list[Array] = []
    same = 0

    def add(logs: Array, shares: Array, first: int, last: int) -> None:
        shares /= shares.sum(axis=1, keepdims=True) + 1e-300
        if medians is not None:
            medians[first:last] = _medians(logs[:, run], shares)
        parts.append(logs)
        weights.append(votes[first:last] @ shares)

    if n:
        dx = template.inputs.table - x
        logs = template.logs.table - _shift(dx, beta)
        is_other = template.marks.table[:, 2] != features.exact
        same = n - int(np.count_nonzero(is_other))
        distance = np.abs(dx * beta[:, run]).sum(axis=1) + UNEQUAL * is_other
        if not (template.has_one_wording and template.words[-1] == features.words):
            distance += OTHERWISE * np.fromiter((w != features.words for w in template.words), bool, n)
        ages = OWN_AGES[:, KEPT_RUNS - n :]
        own = np.concatenate((ages * np.exp(distance * (-1.0 / BANDWIDTH)), ages))
        if template.censored:
            own *= _censored(template, logs[:, run])
        add(logs, own, 0, N_OWN)
    if asks_all or votes[N_OWN : N_OWN + N_OTHERS].sum() > NEGLIGIBLE:
        dx = family.inputs.table - x
        logs = family.logs.table - _shift(dx, family.beta)
        distance = np.abs(dx * family.beta[:, run]).sum(axis=1)
        alike = np.fromiter((likeness(features.words, w) for w in family.words), float, others)
        near = np.stack(
            [np.exp(distance / -b) * alike if likes else np.exp(distance / -b) for _, b, likes in OTHERS]
        )
        add(logs, near * OTHER_AGES[:, KEPT_OTHERS - others :], N_OWN, N_OWN + N_OTHERS)
    if n >= 2 and (asks_all or votes[N_OWN + N_OTHERS :].sum() > NEGLIGIBLE):
        level = template.mean_y + _shift(x - template.mean_x, beta)
        ages = SURPRISE_AGES[:, KEPT_OTHERS - others :] * family.is_surprise.table[:, 0]
        add(family.surprises.table + level, ages, N_OWN + N_OTHERS, N_EXPERTS)
    logs, weight = np.concatenate(parts), np.concatenate(weights)
    is_kept = weight > LEAST_WEIGHT
    if not is_kept.any():  # all are as far away as can be: none is nearer than another
        weight = np.full(len(weight), 1.0 / len(weight))
    elif not is_kept.all():
        logs, weight = logs[is_kept], weight[is_kept]
    return Pool(logs, weight / weight.sum(), runs=n, same=same, experts=medians)


def _votes(family: Family, template: Template) -> Array:
    losses = family.losses(template)
    if not template.inputs.count:
        losses[:N_OWN] = np.inf
    if template.inputs.count < 2:
        losses[N_OWN + N_OTHERS :] = np.inf
    votes = np.exp(-SHARPNESS * (losses - losses.min()))
    return np.asarray(votes / votes.sum())


def _shift(dx: Array, beta: Array) -> Array:
    return np.asarray(np.clip(dx @ beta, -MAX_SHIFT, MAX_SHIFT))


def _censored(template: Template, logs: Array) -> Array:
    """Give the weight of runs that took at least so long to those that took longer (Efron 1967)."""
    factors = np.ones(len(logs))
    for least in template.censored:
        longer = logs > least
        count = np.count_nonzero(longer)
        if count:
            factors[longer] += 1.0 / count
    return factors


def _medians(values: Array, weights: Array) -> Array:
    order = values.argsort()
    cumulated = weights[:, order].cumsum(axis=1)
    at = (cumulated < 0.5 * cumulated[:, -1:]).sum(axis=1)
    return np.asarray(values[order[np.minimum(at, len(order) - 1)]])
