"""How long a task waits: what those ahead of it still need, over the workers that there are."""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Generic, NamedTuple, TypeVar

from headway.eta.survival import Left

T = TypeVar("T")

# So many starts are remembered to see how many tasks run at once, and how long a task waits for nobody.
KEPT_STARTS = 50
# Below this share of the run time a wait does not change the shape of the whole.
SHORT_WAIT = 0.02
Z90 = 1.2816
LEAST_MEAN_S = 1e-9


class Moments(NamedTuple):
    """Mean (s) and variance (s²) of a duration."""

    mean: float
    variance: float


def moments(left: Left) -> Moments:
    """Read mean and variance off three quantiles (Swanson's rule: 30, 40 and 30 %)."""
    return Moments(
        0.3 * left.low + 0.4 * left.median + 0.3 * left.high, ((left.high - left.low) / (2.0 * Z90)) ** 2
    )


def quantiles(duration: Moments) -> Left:
    """Return the quantiles of a log-normal of that mean and variance."""
    if duration.mean < LEAST_MEAN_S:
        return Left(0.0, 0.0, 0.0)
    variance = math.log1p(duration.variance / duration.mean**2)
    middle = duration.mean * math.exp(-0.5 * variance)
    reach = math.exp(Z90 * math.sqrt(variance))
    return Left(middle / reach, middle, middle * reach)


class Line(Generic[T]):
    """The tasks that wait for the same workers, first come, first served, and those that run."""

    def __init__(self) -> None:
        self.waiting: OrderedDict[str, T] = OrderedDict()
        self.running: dict[str, T] = {}
        self._at_once: deque[int] = deque(maxlen=KEPT_STARTS)
        self._idle_waits: deque[float] = deque(maxlen=KEPT_STARTS)
        self._last: str | None = None

    @property
    def workers(self) -> int:
        """How many tasks ran at once, at most, when the last ones started."""
        return max(self._at_once, default=1)

    @property
    def is_idle(self) -> bool:
        """Whether a worker is free for the next task."""
        return self.workers - len(self.running) > len(self.waiting)

    def join(self, task_id: str, task: T, template: str) -> bool:
        """Add a task at the end; say whether its only worker will just have run one of its template."""
        follows = self._last == template and self.workers == 1
        self._last = template
        self.waiting[task_id] = task
        return follows

    def start(self, task_id: str, task: T, *, waited: float | None) -> None:
        """Move a task to those that run; `waited` seconds if it waited for nobody."""
        self.waiting.pop(task_id, None)
        if task_id not in self.running:
            self.running[task_id] = task
            self._at_once.append(len(self.running))
            if waited is not None:
                self._idle_waits.append(waited)

    def leave(self, task_id: str) -> None:
        """Forget a task."""
        self.waiting.pop(task_id, None)
        self.running.pop(task_id, None)

    def usual_wait(self) -> float:
        """Return the seconds that a task waits when a worker is free."""
        return median(self._idle_waits) if self._idle_waits else 0.0


def waits(running: list[Moments], waiting: Iterable[Moments], workers: int) -> Iterator[Moments]:
    """Say when a worker is free for each of the tasks that wait, first come, first served.

    Parameters
    ----------
    running
        What the running tasks still need.
    waiting
        What those that wait will need, in their order.
    workers
        How many there are; those that do not run are free.
    """
    free = max(workers - len(running), 0)
    slots = [0.0] * free + [task.mean for task in running]
    heapq.heapify(slots)
    variance = sum(task.variance for task in running)
    for task in waiting:
        yield Moments(slots[0], variance / len(slots) ** 2)
        heapq.heapreplace(slots, slots[0] + task.mean)
        variance += task.variance
