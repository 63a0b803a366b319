"""A worker that never rests: ten tasks at a time, each as random as its seed, until it is killed.

It is a process of its own. What it says on its standard output are `reports`, each written after the fact.
At the word ``drain`` on its standard input it begins no further task; at the end of the input it ends, so
that no worker survives its orchestrator.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Iterator

import headway
from headway.errors import HeadwayError, StoreError, StoreUnavailableError, TaskStateError
from headway.models import StageProgress, StageStatus
from tests.chaos import reports

SLOTS = 10
CATEGORIES = ("image_generation", "video_generation", "audio_generation", None)
STEPS = (6, 24)
STEP_S = (0.08, 0.32)
# The first place runs a task that is silent for a long time: one step a stage.
SILENT_SLOT = 0
SILENT_S = (6.0, 14.0)
STEPS_BETWEEN_FLUSHES = (2, 8)
LOG_SHARE = 0.6
CHECKPOINT_SHARE = 0.3
RE_ENTRY_SHARE = 0.5
FLUSH_TIMEOUT_S = 5.0
RETRY_S = 0.1
LEVELS = ("debug", "info", "warning", "error")

_draining = threading.Event()
_output = threading.Lock()


def say(report: reports.Report) -> None:
    with _output:
        os.write(1, reports.encode(report))


class Run:
    """One attempt of one task, from its beginning to its end.

    Parameters
    ----------
    task
        As `headway.task` or `headway.attach` returned it.
    is_silent
        Whether it reports once a stage only.
    """

    def __init__(self, task: headway.Task, chance: random.Random, *, is_silent: bool) -> None:
        self.task = task
        self.is_silent = is_silent
        self.chance = chance
        self.attempt = task.progress.attempt
        self.logs = 0
        self.checkpoint = (task.last_checkpoint or {}).get("count", 0)
        self.stage, self.progress = 0, 0.0
        self._logged_at = 0.0
        self._steps_to_flush = chance.randint(*STEPS_BETWEEN_FLUSHES)

    def complete(self) -> None:
        """Go through the stages that are left, and see that the end is stored."""
        with self.task:
            for index, stage in enumerate(self.task.progress.stages):
                if stage.id == "queue":
                    continue
                if not stage.status.is_over:
                    self._work(index, stage)
                elif stage.status is StageStatus.COMPLETED and self.chance.random() < RE_ENTRY_SHARE:
                    with self.task.stage(stage.id):  # as code does that knows of no earlier attempt
                        self._log()
        self.stage, self.progress = len(self.task.progress.stages) - 1, 1.0
        while not self.flush(is_completed=True):
            time.sleep(RETRY_S)

    def flush(self, *, is_completed: bool = False) -> bool:
        stage, progress, logs, checkpoint = self.stage, self.progress, self.logs, self.checkpoint
        logged_at, began_at = self._logged_at, time.monotonic()
        try:
            self.task.flush(timeout_s=FLUSH_TIMEOUT_S)
        except StoreUnavailableError:
            return False
        say(
            reports.Acked(
                task_id=self.task.task_id,
                attempt=self.attempt,
                stage=stage,
                progress=progress,
                logs=logs,
                checkpoint=checkpoint,
                is_completed=is_completed,
                logged_at=logged_at,
                began_at=began_at,
                at=time.monotonic(),
            )
        )
        return True

    def _work(self, index: int, stage: StageProgress) -> None:
        if self.is_silent:
            self.stage, self.progress = index, stage.progress
            with self.task.stage(stage.id):
                time.sleep(self.chance.uniform(*SILENT_S))
                self.task.update(progress=1.0)
                self._step(stage.id, 1, 1)
            return
        begun = stage.status is StageStatus.IN_PROGRESS
        done = (stage.done or 0) if begun else 0
        total = stage.total if begun and stage.total else self.chance.randint(*STEPS)
        self.stage, self.progress = index, done / total
        for count in self._count(stage.id, done, total):
            time.sleep(self.chance.uniform(*STEP_S))
            self._step(stage.id, count, total)

    def _count(self, stage_id: str, done: int, total: int) -> Iterator[int]:
        """Give how many steps are reported as done, after each step, in one of the two ways."""
        if self.chance.random() < 0.5:
            # Of an item that is given as many are done as its number says, and it itself when the next is.
            yield from self.task.track(range(done, total), stage=stage_id, initial=done)
            return
        with self.task.stage(stage_id, total=total):
            for count in range(done + 1, total + 1):
                self.task.update(done=count)
                yield count

    def _step(self, stage_id: str, count: int, total: int) -> None:
        self.progress = count / total
        while self.chance.random() < LOG_SHARE:
            self._log()
        if self.chance.random() < CHECKPOINT_SHARE:
            self.checkpoint += 1
            self.task.checkpoint({"count": self.checkpoint, "attempt": self.attempt, "stage": stage_id})
        if self.chance.random() < 0.2:
            self.task.update(message=f"step {count} of {total}")
        self._steps_to_flush -= 1
        if self._steps_to_flush <= 0:
            self._steps_to_flush = self.chance.randint(*STEPS_BETWEEN_FLUSHES)
            self.flush()

    def _log(self) -> None:
        self.logs += 1
        level = self.chance.choice(LEVELS)
        self._logged_at = time.monotonic()
        self.task.log(f"{self.attempt}:{self.logs}", level=level, stage=self.stage)


class Slot(threading.Thread):
    """One of the worker's places: a task to take up first, or none, and then one new task after another."""

    def __init__(self, number: int, *, name: str, seed: int, task_id: str | None) -> None:
        super().__init__(name=f"slot-{number}", daemon=True)
        self._prefix = f"{name}-{number}"
        self._is_silent = number == SILENT_SLOT
        self._chance = random.Random(f"{seed}:{name}:{number}")
        self._task_id = task_id

    def run(self) -> None:
        counter = itertools.count()
        while not _draining.is_set():
            resumed, self._task_id = self._task_id, None
            task_id = resumed or f"{self._prefix}.{next(counter)}"
            try:
                self._run_task(task_id, is_resumed=resumed is not None)
            except Exception:
                say(reports.Failed(task_id=task_id, traceback=traceback.format_exc()[-2_500:]))
                time.sleep(1.0)

    def _run_task(self, task_id: str, *, is_resumed: bool) -> None:
        began_at = time.monotonic()
        task = self._attach(task_id) if is_resumed else self._make(task_id)
        if task is None:
            return
        state, last = task.progress, task.last_checkpoint
        left = [i for i, stage in enumerate(state.stages) if not stage.status.is_over]
        say(
            reports.Started(
                task_id=task_id,
                attempt=state.attempt,
                is_resumed=is_resumed,
                checkpoint=last["count"] if last else None,
                stage=left[0] if left else len(state.stages),
                progress=state.stages[left[0]].progress if left else 1.0,
                began_at=began_at,
                at=time.monotonic(),
            )
        )
        try:
            Run(task, self._chance, is_silent=self._is_silent).complete()
        except TaskStateError:
            say(reports.Superseded(task_id=task_id, attempt=state.attempt, at=time.monotonic()))

    def _make(self, task_id: str) -> headway.Task:
        category = self._chance.choice(CATEGORIES)
        return headway.task(f"chaos {category}", category=category, task_id=task_id, show=False)

    def _attach(self, task_id: str) -> headway.Task | None:
        while True:
            try:
                return headway.attach(task_id, show=False)
            except StoreError:
                time.sleep(RETRY_S)
            except HeadwayError as error:
                reason = f"{type(error).__name__}: {error}"
                say(reports.Gone(task_id=task_id, reason=reason, at=time.monotonic()))
                return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("task_ids", nargs="*", help="tasks to take up again")
    arguments = parser.parse_args()
    resumed = [*arguments.task_ids[:SLOTS], *[None] * (SLOTS - len(arguments.task_ids))]
    for number, task_id in enumerate(resumed):
        Slot(number, name=arguments.name, seed=arguments.seed, task_id=task_id).start()
    for line in sys.stdin:
        if line.strip() == "drain":
            _draining.set()
    os._exit(0)


if __name__ == "__main__":
    main()
