"""The estimates of a process's own tasks: made from their states, on the reporter's thread.

A task is estimated anew when its stage changes, when it passes one of `MARKS`, and else at most once a
second, so that a task of a second has heard of its own pace too; the less often, the longer nothing is heard
of it. What was said is kept until the task is over, and goes into its record with what happened.
"""

from __future__ import annotations

import math
import platform
import sys
from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from headway.diagnostics import warn_once
from headway.estimates import Estimate
from headway.eta.submissions import begun_stages, submit
from headway.models import StageProgress, StageStatus, TaskProgress, TaskStatus
from headway.records import ASKED_AT, Prediction, TaskHistory, history_of, submitted_at
from headway.stages import overall_progress

if TYPE_CHECKING:
    from headway.eta.predictor import ETAPredictor

# How often a task is estimated while its stage goes on.
INTERVAL_S = 1.0
# While nothing is heard of it, what was said may grow as old as this share of the silence, and of the least
# time that was left: by more than that an answer does not change. But that a task is late, or has stalled, is
# noticed as soon as that a worker has died.
SILENT_SHARE = 0.05
MAX_INTERVAL_S = 5.0
# Overall progress, in percent, at which a task is estimated anew: the shares that the accuracy is judged at.
MARKS = tuple(100.0 * share for share in ASKED_AT[1:])
# Of what was said of a task: all at stage changes, and so many of the others, evenly thinned.
KEPT_SAID = 128
# History is worth more than a guess from so many runs on.
MIN_RUNS = 3


class Said(NamedTuple):
    """An estimate, when it was made, and the stage that had just begun, if one had."""

    at: float
    estimate: Estimate
    stage: str | None


class _Followed:
    """What is known of one task beside its state."""

    def __init__(self, submitted: float) -> None:
        self.submitted = submitted
        self.entered: str | None = None
        # The stage and its progress, and since when nothing else was heard.
        self.heard: tuple[str | None, float] | None = None
        self.heard_at = submitted
        self.asked_at: float | None = None
        # When it is estimated anew though nothing is heard.
        self.due_at = math.inf
        self.version = -1
        self.marks = 0
        self.said: list[Said] = []
        # How far apart the kept ones are, of those that are not of a stage's beginning.
        self.kept_every_s = 0.0
        self.is_weighed = False


class Forecasts:
    """Estimates for the tasks of one process; see the module.

    Until `load` was called, and of tasks like which none is known, nothing is said beside the pace.
    """

    def __init__(self) -> None:
        self._predictor: ETAPredictor | None = None
        self._followed: dict[str, _Followed] = {}
        # Rises as records are learned.
        self._version = 0

    def load(self) -> None:
        """Import what makes estimates: numpy, some 100 ms where nobody else has."""
        if self._predictor is None:
            from headway.eta.predictor import ETAPredictor

            self._predictor = ETAPredictor()

    def learn(self, records: Iterable[TaskHistory]) -> None:
        """Learn from tasks that are over."""
        if self._predictor is None:
            return
        try:
            for record in records:
                self._version += self._predictor.learn(record)
            self._predictor.settle()
        except Exception as error:  # a defect in what is learned must not end the reporting
            warn_once("history", "the history of a template cannot be learned: %r", error)

    def is_due(self, task: TaskProgress, now: float) -> bool:
        """Whether a task is to be estimated though nothing was heard of it."""
        known = self._followed.get(task.task_id)
        if known is None or known.asked_at is None:
            return self._predictor is not None
        return now >= known.due_at or (known.version != self._version and now - known.asked_at >= INTERVAL_S)

    def estimate(self, task: TaskProgress, now: float) -> TaskProgress:
        """Return the task with the estimate that holds now, its stages weighed as was learned."""
        if not task.status.is_over and self._predictor is not None:
            try:
                return self._estimated(self._predictor, task, now)
            except Exception as error:  # nor must one in an estimate
                warn_once("estimate", "task %s cannot be estimated: %r", task.task_id, error)
                if known := self._followed.get(task.task_id):  # tried again as any other, not at every look
                    known.asked_at, known.due_at = now, math.inf
        return task if task.eta is None else replace(task, eta=None)

    def _estimated(self, predictor: ETAPredictor, task: TaskProgress, now: float) -> TaskProgress:
        known = self._follow(task, now)
        running = task.stage(task.current_stage) if task.current_stage else None
        has_changed = self._observe(known, task, running, now)
        _hear(known, running, now)
        marks = bisect_right(MARKS, task.overall_progress)
        is_due = has_changed or marks > known.marks
        known.marks = marks
        if not is_due and known.asked_at is not None and now - known.asked_at < INTERVAL_S:
            return task
        if not known.is_weighed:
            task = self._weigh(known, task)
        known.asked_at, known.version, known.due_at = now, self._version, math.inf
        estimate = predictor.predict(task.task_id, now)
        if estimate is not None:
            known.due_at = now + _silent_interval_s(now - known.heard_at, estimate.low - now)
            self._keep(known, Said(now, estimate, known.entered if has_changed else None))
        return replace(task, eta=estimate)

    def over(self, task: TaskProgress) -> TaskHistory:
        """Return the record of a task that is over, with what was said of it."""
        record = history_of(task)
        if self._predictor is not None:
            try:
                record = self._taught(self._predictor, task)
            except Exception as error:
                warn_once("estimate", "task %s cannot be learned from: %r", task.task_id, error)
        return _described(record)

    def _taught(self, predictor: ETAPredictor, task: TaskProgress) -> TaskHistory:
        end = task.finished_at if task.finished_at is not None else task.updated_at
        known = self._follow(task, end)
        del self._followed[task.task_id]
        self._observe(known, task, None, end)
        taught = predictor.ended(task.task_id, task.status, end)
        record = history_of(task, predictions=_in_force(known, end))
        if taught is not None and task.status is TaskStatus.COMPLETED:
            record = replace(record, evidence=taught.evidence)
        return record

    def forget(self, task_id: str) -> None:
        """Forget a task that is another process's now."""
        self._followed.pop(task_id, None)
        if self._predictor is not None:
            self._predictor.forget(task_id)

    def _follow(self, task: TaskProgress, now: float) -> _Followed:
        known = self._followed.get(task.task_id)
        if known is None:
            assert self._predictor is not None
            known = self._followed[task.task_id] = _Followed(float(submitted_at(task, now)))
            submit(task, self._predictor, known.submitted)
        return known

    def _observe(
        self, known: _Followed, task: TaskProgress, running: StageProgress | None, now: float
    ) -> bool:
        """Tell the predictor what the state says; return whether a stage has begun since."""
        assert self._predictor is not None
        entered = known.entered
        if running is not None and running.id == entered:  # nearly every look: no stage has begun since
            if running.status is StageStatus.IN_PROGRESS:
                self._predictor.progressed(task.task_id, running.id, running.progress, now)
            return False
        for began, stage in begun_stages(task, known.submitted, now, after=entered):
            self._predictor.progressed(task.task_id, stage.id, 0.0, began)
            known.entered = stage.id
        if running is not None and running.status is StageStatus.IN_PROGRESS:
            self._predictor.progressed(task.task_id, running.id, running.progress, now)
        return known.entered != entered

    def _weigh(self, known: _Followed, task: TaskProgress) -> TaskProgress:
        """Let the stages weigh as long as they are expected to take, once in an attempt."""
        assert self._predictor is not None
        weights = self._predictor.expected_weights(task.task_id, least_runs=MIN_RUNS)
        if weights is None:
            return task
        known.is_weighed = True
        stages = tuple(
            replace(stage, weight=float(f"{weight:.3g}"))
            for stage, weight in zip(task.stages, weights, strict=True)
        )
        progress = max(task.overall_progress, overall_progress(stages))
        return replace(task, stages=stages, overall_progress=progress)

    def _keep(self, known: _Followed, said: Said) -> None:
        last, before = known.said[-1:], known.said[-2:-1]
        if last and before and last[0].stage is None and last[0].at - before[0].at < known.kept_every_s:
            known.said.pop()  # the newest is kept in any case, until the next takes its place
        known.said.append(said)
        if len(known.said) > KEPT_SAID:
            others = [entry for entry in known.said if entry.stage is None]
            dropped = {entry.at for entry in others[1:-1:2]}
            known.said = [entry for entry in known.said if entry.stage is not None or entry.at not in dropped]
            known.kept_every_s = 2.0 * (known.kept_every_s or INTERVAL_S)


def _hear(known: _Followed, running: StageProgress | None, now: float) -> None:
    """Take note of when something new was heard; it is in the next estimate, though this look makes none."""
    heard = (None, 0.0) if running is None else (running.id, running.progress)
    if heard == known.heard:
        return
    known.heard, known.heard_at = heard, now
    if known.asked_at is not None:
        known.due_at = min(known.due_at, known.asked_at + INTERVAL_S)


def _silent_interval_s(silent_s: float, left_s: float) -> float:
    """How long an estimate holds while nothing is heard, of a task that has at least so long left."""
    return min(max(SILENT_SHARE * min(silent_s, left_s), INTERVAL_S), MAX_INTERVAL_S)


def _in_force(known: _Followed, end: float) -> tuple[Prediction, ...]:
    """Choose what is kept of what was said: at stage changes, and what held as each share had passed."""
    said = known.said
    if not said:
        return ()
    kept = [
        _prediction(entry, entry.at, known, stage=entry.stage) for entry in said if entry.stage is not None
    ]
    total = end - known.submitted
    instants = [entry.at for entry in said]
    for share in ASKED_AT:
        at = known.submitted + share * total
        index = bisect_right(instants, at) - 1
        if index >= 0:
            kept.append(_prediction(said[index], at, known, share=share))
        elif share == 0.0 and instants[0] < known.submitted + ASKED_AT[1] * total:
            # The first is made a moment after the submission.
            kept.append(_prediction(said[0], instants[0], known, share=share))
    return tuple(sorted(kept, key=lambda prediction: prediction.elapsed_s))


def _prediction(
    said: Said, at: float, known: _Followed, *, stage: str | None = None, share: float | None = None
) -> Prediction:
    estimate = said.estimate
    return Prediction(
        elapsed_s=round(max(at - known.submitted, 0.0), 6),
        low_s=round(max(estimate.low - at, 0.0), 6),
        median_s=round(max(estimate.median - at, 0.0), 6),
        high_s=round(max(estimate.high - at, 0.0), 6),
        basis=estimate.basis,
        stage=stage,
        share=share,
    )


def _described(record: TaskHistory) -> TaskHistory:
    """Add what this machine knows of itself."""
    return replace(record, host=platform.node() or None)


def device_name() -> str | None:
    """Return the name of the GPU that torch uses in this process; ``None`` where it uses none."""
    name = _of_cuda("get_device_name")
    return name if isinstance(name, str) else None


def _of_cuda(what: str) -> Any:
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    try:
        if cuda is None or not cuda.is_initialized():
            return None
        return getattr(cuda, what)()
    except Exception:  # whatever a driver raises, the task goes on
        return None
