"""The runs that are remembered, and how durations follow the parameters: of one template, and of a family."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from headway.eta.calibration import Calibration
from headway.eta.features import MAX_NUMBERS, Features
from headway.eta.pace import ErrorTable

if TYPE_CHECKING:
    from headway.eta.pool import Pool

Array = NDArray[np.float64]
Floats = NDArray[np.floating]

KEPT_RUNS = 150
KEPT_OTHERS = 120
KEPT_TEMPLATES = 500
KEPT_CENSORED = 20
# What a run taught beside its durations is kept of the newest; older lessons have faded by then.
KEPT_LESSONS = 25
# A template with so many runs stands on its own.
WARM = 15
# Durations are compared as logs; below a millisecond they are noise, above three years a mistake.
MIN_S, MAX_S = 1e-3, 1e8
# Parameters move a duration by a factor of twenty at most; surprises teach the slopes up to a factor of 4.5.
MAX_SHIFT, MAX_SURPRISE = 3.0, 1.5
QUEUE = "queue"
# The losses of templates with so many runs are shared; by how much a new loss moves a template's, and all's.
BUCKETS = (0, 1, 2, 5, 15)
MAX_LOSS, FIRST_LOSS, OWN_RATE, SHARED_RATE, SHARED_WEIGHT = 0.4, 0.3, 0.05, 0.01, 8.0


class Rows:
    """The newest rows of a table, oldest first."""

    def __init__(self, kept: int, width: int, *, dtype: type[np.floating] = np.float32) -> None:
        self._rows = np.zeros((kept, width), dtype)
        self.count = 0

    def __len__(self) -> int:
        return self.count

    @property
    def table(self) -> Floats:
        """A view: rows x columns."""
        return self._rows[: self.count]

    def append(self, row: Array) -> None:
        """Add the newest row; the oldest leaves a full table."""
        if self.count == len(self._rows):
            self._rows[:-1] = self._rows[1:]
            self.count -= 1
        self._rows[self.count] = row
        self.count += 1

    def widen(self, width: int) -> None:
        """Add columns of zeros."""
        self._rows = np.pad(self._rows, ((0, 0), (0, width - self._rows.shape[1])))


class Slopes:
    """An online ridge regression of log durations on log parameters, around their running means."""

    def __init__(self, inputs: int, outputs: int, *, decay: float, ridge: float) -> None:
        self._xx = np.zeros((inputs, inputs))
        self._xy = np.zeros((inputs, outputs))
        self._decay = decay
        self._ridge = ridge

    def add(self, outer: Array, cross: Array) -> None:
        """Take in the products of one run's deviations."""
        self._xx *= self._decay
        self._xx += outer
        self._xy *= self._decay
        self._xy += cross

    def solve(self, toward: Array | None = None) -> Array:
        """Return inputs x outputs slopes, shrunk toward those given, or 0."""
        xx = self._xx + self._ridge * np.eye(len(self._xx))
        return _solved(xx, self._xy if toward is None else self._xy + self._ridge * toward)

    def widen(self, inputs: int) -> None:
        """Make room for more parameters."""
        more = inputs - len(self._xx)
        self._xx = np.pad(self._xx, ((0, more), (0, more)))
        self._xy = np.pad(self._xy, ((0, more), (0, 0)))


class Template:
    """What is known of one template.

    Parameters
    ----------
    inputs, outputs
        How many parameters and how many durations a run has.
    n_experts
        How many ways of weighing runs are scored.
    """

    def __init__(self, inputs: int, outputs: int, n_experts: int) -> None:
        self.count = 0
        self.inputs = Rows(KEPT_RUNS, inputs)
        self.logs = Rows(KEPT_RUNS, outputs)
        #: Of each run: when it ended, what tells it from others, and what equal parameters have in common.
        self.marks = Rows(KEPT_RUNS, 3, dtype=np.float64)
        #: The same keys, from when a run is heard of on.
        self.keys = array("Q")
        self.words: deque[frozenset[str]] = deque(maxlen=KEPT_RUNS)
        self.has_one_wording = True
        self.mean_x = np.zeros(inputs)
        self.mean_y = np.zeros(outputs)
        self.slopes = Slopes(inputs, outputs, decay=0.995, ridge=2.0)
        self.beta: Array | None = None
        # Decayed mean log error of each way of weighing the runs, and how many tasks it was scored on.
        self.losses = np.zeros(n_experts)
        self.scored = 0
        #: Log seconds that runs took at least which did not complete.
        self.censored: deque[float] = deque(maxlen=KEPT_CENSORED)
        #: Rises with all that changes the sample of runs.
        self.version = 0
        #: What the newest runs taught beside their durations.
        self.lessons: deque[bytes | None] = deque(maxlen=KEPT_LESSONS)
        #: Samples of runs that tasks hold at present, to be shared by those of equal parameters.
        self.pools: WeakValueDictionary[tuple[object, ...], Pool] = WeakValueDictionary()
        self.pace = ErrorTable()
        self.calibration = Calibration()
        # How well the prior of a stage with progress fits: mean z², and the share of tasks far off.
        self.misfit = 1.0
        self.odd = 0.0
        self.fitted = 0

    def is_new(self, key: int) -> bool:
        """Whether a run was not heard of before; from now on it was."""
        if key in self.keys:
            return False
        self.keys.append(key)
        if len(self.keys) > 2 * KEPT_RUNS:
            del self.keys[:KEPT_RUNS]
        return True

    def widen(self, inputs: int) -> None:
        """Make room for more parameters."""
        more = inputs - len(self.mean_x)
        self.inputs.widen(inputs)
        self.slopes.widen(inputs)
        self.mean_x = np.pad(self.mean_x, (0, more))
        if self.beta is not None:
            self.beta = np.pad(self.beta, ((0, more), (0, 0)))


class Family:
    """All templates that have the same stages; they lend each other what they know.

    A run is a row of log seconds: those of each stage, then those from the beginning of each stage but the
    last to the end.
    """

    def __init__(self, stages: tuple[str, ...], n_experts: int) -> None:
        self.stages = stages
        self.has_queue = stages[0] == QUEUE and len(stages) > 1
        self.outputs = 2 * len(stages) - 1
        #: The column of the run time, without the queue.
        self.run = self.rest(1 if self.has_queue else 0)
        self.columns: dict[str, int] = {}
        self.templates: OrderedDict[str, Template] = OrderedDict()
        self._n_experts = n_experts
        self._width = 4
        self.count = 0
        self.inputs = Rows(KEPT_OTHERS, self._width)
        self.logs = Rows(KEPT_OTHERS, self.outputs)
        self.surprises = Rows(KEPT_OTHERS, self.outputs)
        self.is_surprise = Rows(KEPT_OTHERS, 1)
        self.words: deque[frozenset[str]] = deque(maxlen=KEPT_OTHERS)
        self.slopes = Slopes(self._width, self.outputs, decay=0.999, ridge=5.0)
        self._losses = np.full((len(BUCKETS), n_experts), FIRST_LOSS)
        self.beta = np.zeros((self._width, self.outputs))

    def rest(self, stage: int) -> int:
        """Return the column of the time from the beginning of a stage to the end."""
        return len(self.stages) + stage if stage < len(self.stages) - 1 else stage

    def template(self, name: str) -> Template:
        """Return the template of that name; the one not used for longest is forgotten for a new one."""
        template = self.templates.get(name)
        if template is None:
            template = self.templates[name] = Template(self._width, self.outputs, self._n_experts)
            if len(self.templates) > KEPT_TEMPLATES:
                self.templates.popitem(last=False)
        else:
            self.templates.move_to_end(name)
        return template

    def vector(self, features: Features, template: Template) -> Array:
        """Put a task's numbers into their columns; what it does not name is as usual for its template."""
        for name in features.numbers:
            if name not in self.columns and len(self.columns) < MAX_NUMBERS:
                self.columns[name] = len(self.columns)
        while len(self.columns) > self._width:
            self._widen(min(self._width + 4, MAX_NUMBERS))
        if len(template.mean_x) < self._width:  # it was forgotten as others widened
            template.widen(self._width)
        x = template.mean_x.copy()
        for name, number in features.numbers.items():
            column = self.columns.get(name)
            if column is not None:
                x[column] = number
        return x

    def losses(self, template: Template) -> Array:
        """Return the mean log error of each way of weighing runs; of a new template it is that of all."""
        shared = self._losses[_bucket(template.count)]
        whole = template.scored + SHARED_WEIGHT
        return np.asarray((template.scored * template.losses + SHARED_WEIGHT * shared) / whole)

    def score(self, template: Template, medians: Array, log_s: float) -> None:
        """Score each way of weighing by the run time that it had expected, in log seconds; NaN for none."""
        loss = np.minimum(np.abs(medians - log_s), MAX_LOSS)
        shared = self._losses[_bucket(template.count)]
        is_asked = ~np.isnan(loss)
        rate = max(OWN_RATE, 1.0 / (template.scored + 1.0))
        template.losses[is_asked] += rate * (loss - template.losses)[is_asked]
        shared[is_asked] += SHARED_RATE * (loss - shared)[is_asked]
        template.scored += 1

    def learn(self, template: Template, features: Features, y: Array, *, at: float, key: int) -> None:
        """Take in one completed run, which ended at an instant and is told from others by its key."""
        x = self.vector(features, template)
        surprise, is_surprise = np.zeros(self.outputs), bool(template.count)
        if is_surprise:
            beta = self.beta if template.beta is None else template.beta
            dx, dy = x - template.mean_x, y - template.mean_y
            fitted = dx @ beta
            surprise = np.clip(dy - fitted, -MAX_SURPRISE, MAX_SURPRISE)
            if dx.any():
                weighed = dx * (template.count / (template.count + 1.0))
                outer, cross = np.outer(weighed, dx), np.outer(weighed, fitted + surprise)
                template.slopes.add(outer, cross)
                self.slopes.add(outer, cross)
                self.beta = self.slopes.solve()
                template.beta = template.slopes.solve(self.beta)
            rate = max(1.0 / (template.count + 1), 0.05)
            template.mean_x = template.mean_x + rate * dx
            template.mean_y = template.mean_y + rate * np.clip(dy, -MAX_SHIFT, MAX_SHIFT)
        else:
            template.mean_x, template.mean_y = x, y
        if template.words and template.words[-1] != features.words:
            template.has_one_wording = False
        template.inputs.append(x)
        template.logs.append(y)
        template.marks.append(np.array((at, key, features.exact)))
        template.words.append(features.words)
        template.count += 1
        template.version += 1
        self._lend(x, y, features.words, surprise, is_surprise=is_surprise)

    def lend(self, features: Features, y: Array) -> None:
        """Take in a run that is only like those of the family, as a prior."""
        x = self.vector(features, Template(self._width, self.outputs, self._n_experts))
        self._lend(x, y, features.words, np.zeros(self.outputs), is_surprise=False)

    def _lend(self, x: Array, y: Array, words: frozenset[str], surprise: Array, *, is_surprise: bool) -> None:
        self.inputs.append(x)
        self.logs.append(y)
        self.surprises.append(surprise)
        self.is_surprise.append(np.array([float(is_surprise)]))
        self.words.append(words)
        self.count += 1

    def _widen(self, width: int) -> None:
        self._width = width
        self.inputs.widen(width)
        self.slopes.widen(width)
        self.beta = np.pad(self.beta, ((0, width - len(self.beta)), (0, 0)))
        for template in self.templates.values():
            template.widen(width)


def _solved(matrix: Array, right: Array) -> Array:
    return np.asarray(np.linalg.solve(matrix, right), np.float64)


def _bucket(count: int) -> int:
    return bisect_right(BUCKETS, count) - 1


def log_durations(durations: Sequence[float]) -> Array:
    """Turn the seconds of each stage into the row that is learned; see `Family`."""
    rests, rest = [], 0.0
    for duration in reversed(durations):
        rest += duration
        rests.append(rest)
    return np.array([math.log(min(max(s, MIN_S), MAX_S)) for s in (*durations, *rests[:0:-1])])
