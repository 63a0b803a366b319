"""What was learned of all tasks that are over: how it is taken in, written, read and merged."""

from __future__ import annotations

import math
import zlib
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence

import msgspec

from headway.eta.calibration import KEPT_SCORES, Calibration
from headway.eta.features import Features, printable, read_features
from headway.eta.lessons import UNIT, Lesson, decode, encode
from headway.eta.pace import OWN_MEMORY, SHARED_MEMORY, ErrorTable
from headway.eta.pool import N_EXPERTS, Array, build_pool
from headway.eta.runs import KEPT_LESSONS, Family, Template, log_durations
from headway.models import TaskStatus
from headway.records import TaskHistory

VERSION = 1
KEPT_FAMILIES = 64
# A template with other stages begins with so many runs of the old ones.
LENT = 5
MAX_PENDING = 1_024
# Of a duration in seconds; see `headway.eta.runs`.
MAX_LOG = 20.0
# Of history's fit: prior weight, memory, and the share of tasks far off to begin with.
FIT_WEIGHT, FIT_MEMORY, FIRST_ODDS, ODDS_RATE = 8.0, 30, 0.1, 0.02
# A z-score past the first was off; its square counts as the second at most.
ODD_Z, MAX_Z2 = 3.0, 9.0
# The two ways of answering for a queue, by those ahead and by history: their errors to begin with, and by how
# much the first must be better.
FIRST_WAYS, WAYS_RATE, WAYS_MARGIN, MAX_WAY = (0.3, 0.35), 0.05, 0.02, 1.5


class Run(msgspec.Struct, frozen=True, array_like=True):
    """One completed run as the state keeps it.

    Parameters
    ----------
    at
        When it ended.
    key
        Tells it from any other.
    template
        Its template's name, with the version.
    numbers, words, exact
        Its `Features`.
    logs
        The log seconds of its stages.
    lesson
        What else it taught, encoded; only of the newest.
    """

    at: float
    key: int
    template: str
    numbers: dict[str, float]
    words: tuple[str, ...]
    exact: int
    logs: tuple[float, ...]
    lesson: bytes | None


class State(msgspec.Struct, frozen=True):
    """What `Knowledge` writes: the runs of each list of stages, and the least times of those cut short."""

    version: int
    families: list[tuple[tuple[str, ...], list[Run]]]
    censored: list[tuple[tuple[str, ...], str, tuple[float, ...]]]


class Knowledge:
    """What was learned, of each family and of all."""

    def __init__(self) -> None:
        self._families: OrderedDict[tuple[str, ...], Family] = OrderedDict()
        self.pace = ErrorTable()
        self.calibration = Calibration(KEPT_SCORES)
        self._odds = FIRST_ODDS
        self._ways = list(FIRST_WAYS)
        # Runs that were taken in and not learned from yet.
        self._pending: list[
            tuple[Family, Template, Features, Sequence[float], Lesson | None, Array | None, tuple[float, int]]
        ] = []

    @property
    def trusts_line(self) -> bool:
        """Whether the tasks ahead say better than history when a waiting task ends."""
        return self._ways[0] <= self._ways[1] - WAYS_MARGIN

    def family(self, stages: tuple[str, ...]) -> Family:
        """Return the family of templates with these stages."""
        family = self._families.get(stages)
        if family is None:
            family = self._families[stages] = Family(stages, N_EXPERTS)
            if len(self._families) > KEPT_FAMILIES:
                self._families.popitem(last=False)
        else:
            self._families.move_to_end(stages)
        return family

    def template(self, family: Family, template_id: str, version: str | None = None) -> Template:
        """Return a template of a family; a new one begins with what is known of it under other stages."""
        name = printable(template_id if version is None else f"{template_id}@{version}")
        if name not in family.templates:
            self._lend(family, name)
        return family.template(name)

    def _lend(self, family: Family, name: str) -> None:
        self.settle()
        for other in self._families.values():
            template = other.templates.get(name)
            if other is family or template is None:
                continue
            for x, y, words in list(zip(template.inputs.table, template.logs.table, template.words,
                                        strict=True))[-LENT:]:  # fmt: skip
                numbers = {column: float(x[index]) for column, index in other.columns.items()}
                durations = _restaged(other.stages, y, family.stages)
                family.lend(Features(numbers, words, 0), log_durations(durations))

    def misfit(self, template: Template) -> float:
        """Return by how much the variance of history's answers for a template's stages is too small."""
        return (template.misfit * template.fitted + FIT_WEIGHT) / (template.fitted + FIT_WEIGHT)

    def odds(self, template: Template) -> float:
        """Return how often history is far off for a template's stages."""
        n = template.fitted
        return min(max((n * template.odd + FIT_WEIGHT * self._odds) / (n + FIT_WEIGHT), 0.005), 0.5)

    def learn(self, record: TaskHistory) -> bool:
        """Learn from a record; see `ETAPredictor.learn`."""
        if not record.stages:
            return False
        stages = tuple(stage.id for stage in record.stages)
        durations = [_seconds(stage.duration_s) for stage in record.stages]
        family = self.family(stages)
        template = self.template(family, record.template_id, record.template_version)
        features = read_features(record.template_id, record.params, device=record.device)
        return self.take(record, family, template, features, durations, Lesson.of(record.evidence))

    def take(
        self,
        record: TaskHistory,
        family: Family,
        template: Template,
        features: Features,
        durations: Sequence[float],
        lesson: Lesson | None,
        *,
        experts: Array | None = None,
    ) -> bool:
        """Take in a task that is over; `experts` are the medians that it was first compared with."""
        key = _key(record)
        if not template.is_new(key):
            return False
        if record.status is not TaskStatus.COMPLETED:
            first = 1 if family.has_queue else 0
            least = math.log(max(sum(durations[first:]), 1e-3))
            template.censored.append(least)
            template.version += 1
            return True
        self._pending.append(
            (family, template, features, durations, lesson, experts, (float(record.finished_at), key))
        )
        if len(self._pending) >= MAX_PENDING:
            self.settle()
        return True

    def settle(self) -> None:
        """Learn from the runs that were taken in; it takes longer than their reporters should wait."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        left = Counter(id(run[1]) for run in pending)
        for family, template, features, durations, lesson, experts, stamp in pending:
            left[id(template)] -= 1
            self._take(
                family,
                template,
                features,
                log_durations(durations),
                lesson,
                experts,
                stamp,
                is_new=left[id(template)] < KEPT_LESSONS,
            )

    def _take(
        self,
        family: Family,
        template: Template,
        features: Features,
        logs: Array,
        lesson: Lesson | None,
        experts: Array | None,
        stamp: tuple[float, int],
        *,
        is_new: bool,
    ) -> None:
        """Learn a run; of one that many newer ones follow at once, nothing that fades."""
        if experts is None and is_new:
            pool = build_pool(family, template, features, scored=True)
            experts = None if pool is None else pool.experts
        if experts is not None:
            family.score(template, experts, float(logs[family.run]))
        template.lessons.append(None if lesson is None else encode(lesson))
        if lesson is not None:
            self._heed(template, lesson)
        family.learn(template, features, logs, at=stamp[0], key=stamp[1])

    def _heed(self, template: Template, lesson: Lesson) -> None:
        for edge, *offs in lesson.readings:
            errors = [off / UNIT for off in offs]
            template.pace.add(edge, errors, OWN_MEMORY)
            self.pace.add(edge, errors, SHARED_MEMORY)
        for fit in lesson.fits:
            z = fit / UNIT
            template.fitted = min(template.fitted + 1, FIT_MEMORY)
            template.misfit += (min(z * z, MAX_Z2) - template.misfit) / template.fitted
            is_odd = abs(z) > ODD_Z
            template.odd += (is_odd - template.odd) / template.fitted
            self._odds += ODDS_RATE * (is_odd - self._odds)
        for outcome in lesson.outcomes():
            template.calibration.of(outcome.kind).add(outcome)
            self.calibration.of(outcome.kind).add(outcome)
        for way, off in enumerate(lesson.ways[:2]):
            self._ways[way] += WAYS_RATE * (min(off / UNIT, MAX_WAY) - self._ways[way])

    def to_bytes(self) -> bytes:
        """Write what was learned."""
        self.settle()
        return msgspec.msgpack.encode(
            State(
                version=VERSION,
                families=[(stages, list(_runs(family))) for stages, family in self._families.items()],
                censored=[
                    (stages, name, tuple(template.censored))
                    for stages, family in self._families.items()
                    for name, template in family.templates.items()
                    if template.censored
                ],
            )
        )

    @classmethod
    def from_bytes(cls, *states: bytes) -> Knowledge:
        """Read what one or several wrote, and learn all of it in the order in which it happened."""
        knowledge = cls()
        runs: dict[tuple[tuple[str, ...], int], tuple[tuple[str, ...], Run]] = {}
        censored: dict[tuple[tuple[str, ...], str], dict[float, None]] = {}
        for data in states:
            state = _decoded(data)
            for stages, known in state.families:
                _check(stages, known)
                for run in known:
                    before = runs.get((stages, run.key))
                    if before is None or before[1].lesson is None:
                        runs[stages, run.key] = stages, run
            for stages, name, leasts in state.censored:
                censored.setdefault((stages, name), {}).update(dict.fromkeys(leasts))
        for stages, run in sorted(runs.values(), key=lambda item: (item[1].at, item[1].key)):
            knowledge._take_again(knowledge.family(stages), run)
        knowledge.settle()
        for (stages, name), times in sorted(censored.items()):
            knowledge.family(stages).template(name).censored.extend(sorted(times))
        return knowledge

    def _take_again(self, family: Family, run: Run) -> None:
        template = family.template(run.template)
        template.is_new(run.key)
        features = Features(dict(run.numbers), frozenset(run.words), run.exact)
        lesson = None if run.lesson is None else decode(run.lesson)
        seconds = [math.exp(log_s) for log_s in run.logs]
        self._pending.append((family, template, features, seconds, lesson, None, (run.at, run.key)))


def _runs(family: Family) -> list[Run]:
    runs = []
    for name, template in family.templates.items():
        lessons: deque[bytes | None] = deque(template.lessons)
        while len(lessons) < template.inputs.count:
            lessons.appendleft(None)
        rows = zip(template.marks.table.tolist(), template.inputs.table, template.words,
                   template.logs.table, lessons, strict=True)  # fmt: skip
        for (at, key, exact), x, words, logs, lesson in rows:
            numbers = {column: round(float(x[index]), 6) for column, index in family.columns.items()}
            seconds = tuple(round(v, 6) for v in logs[: len(family.stages)].tolist())
            runs.append(Run(at, int(key), name, numbers, tuple(sorted(words)), int(exact), seconds, lesson))
    return runs


def _restaged(old: tuple[str, ...], logs: Array, new: tuple[str, ...]) -> list[float]:
    """Spread a run's time over other stages: what kept its name keeps its time, the others share the rest."""
    seconds = {stage: math.exp(logs[index]) for index, stage in enumerate(old)}
    gone = sum(duration for stage, duration in seconds.items() if stage not in new)
    added = [stage for stage in new if stage not in seconds]
    return [seconds.get(stage, gone / max(len(added), 1)) for stage in new]


def _key(record: TaskHistory) -> int:
    return zlib.crc32(f"{record.task_id} {record.attempt} {record.finished_at!r}".encode())


def _seconds(duration: float | None) -> float:
    return duration if duration is not None and math.isfinite(duration) and duration > 0.0 else 0.0


def _check(stages: tuple[str, ...], runs: list[Run]) -> None:
    """Raise for what no predictor has written."""
    for run in runs:
        if len(run.logs) != len(stages) or not all(abs(log_s) <= MAX_LOG for log_s in run.logs):
            raise ValueError(f"expected {len(stages)} durations in the state of a predictor, got {run.logs}")
    if not stages:
        raise ValueError("expected the state of a predictor, got one of tasks without stages")


def _decoded(data: bytes) -> State:
    try:
        state: State = msgspec.msgpack.decode(data, type=State)
    except msgspec.MsgspecError as error:
        raise ValueError(f"expected the state of a predictor, got bytes that are not one: {error}") from error
    if state.version != VERSION:
        raise ValueError(f"expected a state of version {VERSION}, got one of version {state.version}")
    return state
