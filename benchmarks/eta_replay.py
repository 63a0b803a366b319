"""How good the ETA is: recorded tasks are replayed in time order, and what was said is scored.

    python benchmarks/eta_replay.py                                   # tasks that it runs and measures
    python benchmarks/eta_replay.py --traces FOLDER --reference FILE  # recorded ones, against given figures
    python benchmarks/eta_replay.py --drift 1.8                       # a machine that slows down half way
    python benchmarks/eta_replay.py --costs                           # microseconds and memory

The predictor is told only what a live system would know at an instant, and is asked when these shares of a
task's true duration have passed: 0, 10, 25, 50, 75 and 90 %. Its peers, from the same run, are the median of
a template's last 20 totals, and elapsed time over progress. Prints a table and, last, one JSON line. The
traces' columns are those of `make_trace`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headway.eta import ETAPredictor

Floats = NDArray[np.float64]
Figures = dict[str, list[float]]

ASKED_AT = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)
HALF_WAY = ASKED_AT.index(0.5)
QUANTILES = (0.1, 0.5, 0.9)
WITHIN = 0.20
# One outlier carries no mean.
PINBALL_CAP = 10.0
# With so many completed runs a template is warm; tasks of others are scored apart.
WARM = 5
# How far a share within 20 % may be below the reference's, and where the coverage of 80 % ranges is to be.
SLACK = 0.01
COVERAGE = (0.75, 0.86)
SHOWN = {"within20": "within 20 %", "coverage80": "coverage", "width80": "width", "pinball": "pinball"}

# The trace that is measured when none is given.
OWN_TASKS, OWN_SEED = 300, 7
OWN_FOLDER = Path(tempfile.gettempdir()) / f"headway-eta-trace-{os.getuid()}"

COST_STAGES = ["queue", "preparation", "execution", "finalization"]
COST_RUNS, COST_TASKS, COST_STEPS = 150, 150, 30
# Tracing makes everything slow, so the tasks are asked for less often.
MEMORY_TEMPLATES, MEMORY_STEPS = 20, 5


class Predictor(Protocol):
    """What is scored."""

    def submitted(self, task_id: str, template_id: str, params: dict, stages: list[str], now: float) -> None:
        """Take note of a task."""

    def progressed(self, task_id: str, stage: str, progress: float, now: float) -> None:
        """Take note of how far its running stage is."""

    def predict(self, task_id: str, now: float) -> tuple[float, float, float] | None:
        """Return the 10, 50 and 90 % quantiles of the seconds left; ``None`` for no answer."""

    def completed(self, task_id: str, now: float) -> object:
        """Take note of its end."""


class SecondsLeft:
    """An `ETAPredictor` that answers in seconds left, as the scoring has it."""

    def __init__(self, predictor: ETAPredictor) -> None:
        self._predict = predictor.predict
        self.submitted = predictor.submitted
        self.progressed = predictor.progressed
        self.completed = predictor.completed

    def predict(self, task_id: str, now: float) -> tuple[float, float, float] | None:
        """Return the quantiles of the seconds left."""
        estimate = self._predict(task_id, now)
        if estimate is None:
            return None
        return estimate.low - now, estimate.median - now, estimate.high - now


def make_predictor() -> Predictor:
    """Make the project's predictor, for any scoring that speaks the protocol."""
    return SecondsLeft(ETAPredictor())


class Peer:
    """What most progress bars do, without ranges; `total` says how long a task will take in all."""

    def __init__(self) -> None:
        self.tasks: dict[str, tuple[str, float]] = {}
        self.totals: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=20))
        self.progress: dict[str, tuple[float, float]] = {}

    def submitted(self, task_id: str, template_id: str, params: dict, stages: list[str], now: float) -> None:
        """Take note of a task."""
        self.tasks[task_id] = template_id, now

    def progressed(self, task_id: str, stage: str, progress: float, now: float) -> None:
        """Take note of when its stage began, and of how far it is."""
        began = now if progress == 0.0 else self.progress[task_id][0]
        self.progress[task_id] = began, progress

    def predict(self, task_id: str, now: float) -> tuple[float, float, float] | None:
        """Return the seconds left, three times."""
        total = self.total(task_id, now)
        return None if total is None else (max(total - (now - self.tasks[task_id][1]), 0.0),) * 3

    def completed(self, task_id: str, now: float) -> None:
        """Keep how long it took."""
        template_id, submitted = self.tasks.pop(task_id)
        self.totals[template_id].append(now - submitted)

    def total(self, task_id: str, now: float) -> float | None:
        """Say how long a task will take."""
        raise NotImplementedError


class MedianOfTotals(Peer):
    """The median of the template's last 20 totals."""

    def total(self, task_id: str, now: float) -> float | None:
        """Say how long a task will take."""
        totals = self.totals[self.tasks[task_id][0]]
        return statistics.median(totals) if totals else None


class ElapsedOverProgress(Peer):
    """Elapsed time of the running stage over its progress."""

    def total(self, task_id: str, now: float) -> float | None:
        """Say how long a task will take."""
        began, progress = self.progress.get(task_id, (now, 0.0))
        return None if progress == 0.0 else began - self.tasks[task_id][1] + (now - began) / progress


PEERS: dict[str, Callable[[], Predictor]] = {
    "median of totals": MedianOfTotals,
    "elapsed / progress": ElapsedOverProgress,
}


class Trace:
    """Recorded tasks, in the order in which they were submitted."""

    def __init__(self, tasks: pd.DataFrame) -> None:
        self.tasks = list(tasks.itertuples(index=False))
        self.templates = tasks["template_id"].to_numpy()
        self.totals = np.array([np.sum(task.stage_s) for task in self.tasks])
        self.shares = np.array([[asked_at(row, share) for share in ASKED_AT] for row in range(len(tasks))])

    def __len__(self) -> int:
        return len(self.tasks)

    def events(self) -> Iterator[tuple[float, str, int, Any]]:
        """Return all that happens: (instant, what, row, detail).

        At one instant submissions come first, then progress, questions, and completions.
        """
        order = {"submitted": 0, "progressed": 1, "asked": 2, "completed": 3}
        happenings = (happening for row in range(len(self)) for happening in self._of_task(row))
        yield from sorted(happenings, key=lambda happening: (happening[0], order[happening[1]], happening[2]))

    def _of_task(self, row: int) -> Iterator[tuple[float, str, int, Any]]:
        task = self.tasks[row]
        began = submitted = float(task.submitted_at)
        yield submitted, "submitted", row, None
        for question, after_s in enumerate((self.shares[row] * self.totals[row]).tolist()):
            yield submitted + after_s, "asked", row, question
        for position, (stage, stage_s) in enumerate(zip(task.stages, task.stage_s.tolist(), strict=True)):
            if stage_s > 0:
                yield began, "progressed", row, (stage, 0.0)
            if position == task.progress_stage:
                for after_s, progress in zip(task.updates_t.tolist(), task.updates_p.tolist(), strict=True):
                    yield began + min(after_s, stage_s), "progressed", row, (stage, progress)
            began += stage_s
        yield began, "completed", row, None


def asked_at(row: int, share: float) -> float:
    """Return the share at which a task is asked for: a little off, so as not to fall together with a step."""
    if share == 0.0:
        return 0.0
    thousandth = (row * 7919 + int(share * 1000) * 104729) % 1000
    return share + (thousandth / 1000 - 0.5) * 0.03


def read_trace(path: Path) -> Trace:
    frame = pd.read_parquet(path)
    return Trace(frame.sort_values("submitted_at", kind="stable").reset_index(drop=True))


def changed(path: Path, factor: float) -> Trace:
    """Read a trace and stretch the second half of its tasks by a factor, and the time between them."""
    frame = pd.read_parquet(path).sort_values("submitted_at", kind="stable").reset_index(drop=True)
    half = len(frame) // 2
    since = frame["submitted_at"][half]
    later = frame.index >= half
    frame.loc[later, "submitted_at"] = since + (frame["submitted_at"][later] - since) * factor
    for column in ("stage_s", "updates_t"):
        frame[column] = [
            values * (factor if late else 1.0) for values, late in zip(frame[column], later, strict=True)
        ]
    return Trace(frame)


def replay(trace: Trace, predictor: Predictor) -> tuple[Floats, NDArray[np.int64]]:
    """Return the answers (tasks x questions x quantiles), and how many runs each task's template had had."""
    answers = np.full((len(trace), len(ASKED_AT), 3), np.nan)
    known = np.zeros(len(trace), np.int64)
    runs: defaultdict[str, int] = defaultdict(int)
    for now, what, row, detail in trace.events():
        task = trace.tasks[row]
        if what == "progressed":
            predictor.progressed(task.task_id, *detail, now)
        elif what == "asked":
            answer = predictor.predict(task.task_id, now)
            if answer is not None:
                answers[row, detail] = answer
        elif what == "submitted":
            known[row] = runs[task.template_id]
            params = json.loads(task.params)
            predictor.submitted(task.task_id, task.template_id, params, list(task.stages), now)
        else:
            predictor.completed(task.task_id, now)
            runs[task.template_id] += 1
    return answers, known


def score(trace: Trace, answers: Floats, rows: NDArray[np.bool_]) -> Figures:
    """Return the figures of each question about some tasks; without an answer none is within 20 %."""
    figures: Figures = {name: [] for name in ("answered", *SHOWN)}
    totals = trace.totals[rows]
    for question in range(len(ASKED_AT)):
        left = totals - trace.shares[rows, question] * totals
        said = answers[rows, question].T
        is_answered = np.isfinite(said[1])
        low, median, high = said = said[:, is_answered]
        total, left = totals[is_answered], left[is_answered]
        is_good = np.abs(median - left) / total <= WITHIN
        loss = sum(
            np.maximum(q * (left - v), (q - 1.0) * (left - v)) for q, v in zip(QUANTILES, said, strict=True)
        )
        figures["answered"].append(is_answered.mean())
        figures["within20"].append(is_good.sum() / len(totals))
        figures["coverage80"].append(_mean((low <= left) & (left <= high)))
        figures["width80"].append(float(np.median((high - low) / total)) if len(total) else np.nan)
        figures["pinball"].append(_mean(np.minimum(loss / total, PINBALL_CAP)))
    return {name: [round(float(value), 4) for value in values] for name, values in figures.items()}


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def scored(trace: Trace, make: Callable[[], Predictor]) -> dict[str, Any]:
    """Replay a trace and return the figures of tasks whose template was warm, and of the others."""
    answers, known = replay(trace, make())
    parts = {"warm": known >= WARM, "cold": known < WARM}
    return {
        name: {"tasks": int(rows.sum()), **score(trace, answers, rows)}
        for name, rows in parts.items()
        if rows.any()
    }


def contract(figures: dict[str, Any], reference: dict[str, Any]) -> dict[str, bool]:
    """Compare what was promised with what was measured."""
    ours, theirs = figures["warm"], reference["warm"]
    mean = statistics.fmean
    least, most = COVERAGE
    promises = {
        "share within 20 % at every question, at most .01 below the reference": all(
            our >= their - SLACK for our, their in zip(ours["within20"], theirs["within20"], strict=True)
        ),
        "its mean above the reference": mean(ours["within20"]) > mean(theirs["within20"]),
        "mean pinball loss at most the reference's": mean(ours["pinball"]) <= mean(theirs["pinball"]),
        "coverage .75 to .86 at every question": all(least <= value <= most for value in ours["coverage80"]),
        "mean width at most the reference's": mean(ours["width80"]) <= mean(theirs["width80"]),
    }
    if "cold" in figures and "cold" in reference:
        ours, theirs = (part["cold"]["within20"][HALF_WAY] for part in (figures, reference))
        promises["cold, half way: share within 20 % at most .01 below the reference"] = ours >= theirs - SLACK
    return promises


def print_figures(
    name: str, figures: dict[str, Any], peers: dict[str, Any], reference: dict[str, Any] | None
) -> None:
    """Print one trace's table, with the differences to the reference's figures."""
    for part, ours in figures.items():
        heads = "".join(f"{share:>8.0%}" for share in ASKED_AT)
        print(f"\n{name}, {part}: {ours['tasks']} tasks\n{'':22}{heads}    mean")
        for key, label in SHOWN.items():
            print(f"  {label:20}{_row(ours[key])}")
            if reference and part in reference:
                less = [our - their for our, their in zip(ours[key], reference[part][key], strict=True)]
                print(f"  {'  less reference':20}{_row(less, '+')}")
        for peer, theirs in peers.items():
            print(f"  {peer:20}{_row(theirs[part]['within20'])}  (within 20 %)")
    if reference:
        for promise, is_kept in contract(figures, reference).items():
            print(f"  {'kept  ' if is_kept else 'BROKEN'} {promise}")


def _row(values: list[float], sign: str = "") -> str:
    return "".join(f"{value:{sign}8.3f}" for value in [*values, statistics.fmean(values)])


def after_change(path: Path, factor: float) -> dict[str, float]:
    """Say what a change of speed half way does to the share within 20 % at submission.

    Scored are the tasks of each template from its sixth after the change on.
    """
    plain, other = read_trace(path), changed(path, factor)
    half = len(plain) // 2
    place = pd.Series(plain.templates[half:]).groupby(plain.templates[half:]).cumcount().to_numpy()
    rows = np.concatenate([np.zeros(half, bool), place >= 5])
    shares = {}
    for name, trace in (("unchanged", plain), ("changed", other)):
        answers, _ = replay(trace, make_predictor())
        shares[name] = score(trace, answers, rows)["within20"][0]
    return {
        "tasks": int(rows.sum()),
        **shares,
        "ratio": round(shares["changed"] / max(shares["unchanged"], 1e-9), 3),
    }


class Course:
    """Makes up tasks of one template after the other, for what they cost."""

    def __init__(self, predictor: ETAPredictor, *, steps: int = COST_STEPS, seed: int = 0) -> None:
        self.predictor = predictor
        self.steps = steps
        self.now = 1.79e9
        self._random = np.random.default_rng(seed)
        self._count = 0
        self.times: defaultdict[str, list[float]] = defaultdict(list)

    def run(self, template_id: str, *, end: bool = True) -> str:
        """Run a task to its last stage, asking at every step, and complete it."""
        draw, task_id = self._random, f"{template_id}-{self._count}"
        self._count += 1
        params = {
            "steps": int(draw.choice([20, 30, 50])),
            "size": int(draw.choice([512, 768, 1024])),
            "scale": round(float(draw.uniform(1, 9)), 1),
            "sampler": str(draw.choice(["euler", "ddim"])),
        }
        total = params["steps"] * params["size"] ** 2 * 1e-6 * float(np.exp(draw.normal(0, 0.1)))
        self.predictor.submitted(task_id, template_id, params, COST_STAGES, self.now)
        self._ask("first_predict_us", task_id, 0.1)
        for stage in COST_STAGES[1:]:
            self.predictor.progressed(task_id, stage, 0.0, self.now)
            steps = self.steps if stage == "execution" else 1
            for step in range(steps):
                self._ask("predict_us", task_id, total / steps * (1.0 if steps > 1 else 0.1))
                if steps > 1:
                    self._timed(
                        "observe_us", self.predictor.progressed, task_id, stage, (step + 1) / steps, self.now
                    )
        if end:
            self._timed("complete_us", self.predictor.completed, task_id, self.now)
        return task_id

    def ask_after_completions(self, template_id: str, count: int) -> None:
        """Ask for a task each time that another of its template has completed."""
        waiting = self.run(template_id, end=False)
        for _ in range(count):
            self.run(template_id)
            self._ask("predict_after_completion_us", waiting, 0.1)

    def _ask(self, name: str, task_id: str, after_s: float) -> None:
        self.now += after_s
        self._timed(name, self.predictor.predict, task_id, self.now)

    def _timed(self, name: str, call: Callable[..., object], *args: object) -> None:
        began = time.perf_counter_ns()
        call(*args)
        self.times[name].append((time.perf_counter_ns() - began) / 1e3)


def costs() -> dict[str, float]:
    """Measure microseconds, medians of thousands of calls, and kB a template."""
    course = Course(ETAPredictor())
    for _ in range(COST_RUNS):
        course.run("portrait")
    course.times.clear()
    for _ in range(COST_TASKS):
        course.run("portrait")
    course.ask_after_completions("portrait", COST_TASKS)
    figures = {name: round(statistics.median(times), 1) for name, times in course.times.items()}
    figures["calls"] = sum(map(len, course.times.values()))
    tracemalloc.start()
    course = Course(ETAPredictor(), steps=MEMORY_STEPS)
    for _ in range(COST_RUNS):
        for template in range(MEMORY_TEMPLATES):
            course.run(f"template-{template}")
        course.times.clear()
    gc.collect()  # what is kept, without what only waits to be freed
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {**figures, "template_kb": round(kept / MEMORY_TEMPLATES / 1e3, 1)}


def own_traces() -> Path:
    """Return the folder of the trace that this machine has measured, once it has."""
    path = OWN_FOLDER / "generation.parquet"
    if not path.exists():
        make_trace = Path(__file__).with_name("make_trace.py")
        words = ["--tasks", str(OWN_TASKS), "--seed", str(OWN_SEED), "--out", str(OWN_FOLDER)]
        subprocess.run([sys.executable, str(make_trace), *words], check=True)
    return OWN_FOLDER


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--traces", type=Path, help="a folder of parquet files; by default a trace is measured"
    )
    parser.add_argument("--only", default="", help="names of traces, with commas between them")
    parser.add_argument("--reference", type=Path, help="figures to compare with, a JSON file")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument(
        "--drift", type=float, metavar="FACTOR", help="durations of the second half, multiplied"
    )
    parser.add_argument("--costs", action="store_true", help="measure time and memory instead")
    options = parser.parse_args()
    if options.costs:
        print(json.dumps({"benchmark": "eta_costs", "runs": COST_RUNS, **costs()}))
        return
    paths = sorted((options.traces or own_traces()).glob("*.parquet"))
    paths = [path for path in paths if not options.only or path.stem in options.only.split(",")]
    if options.drift:
        shares = {path.stem: after_change(path, options.drift) for path in paths}
        print(json.dumps({"benchmark": "eta_drift", "factor": options.drift, **shares}))
        return
    references = json.loads(options.reference.read_text()) if options.reference else {}
    results = {}
    for path in paths:
        trace = read_trace(path)
        results[path.stem] = figures = scored(trace, make_predictor)
        peers = {name: scored(trace, make) for name, make in PEERS.items()}
        print_figures(path.stem, figures, peers, references.get(path.stem))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    warm = {name: figures.get("warm", figures.get("cold"))["within20"] for name, figures in results.items()}
    print("\n" + json.dumps({"benchmark": "eta_replay", "asked_at": ASKED_AT, "within20": warm}))


if __name__ == "__main__":
    main()
