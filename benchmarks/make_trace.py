"""Measure a trace of tasks: one worker runs the generation workloads for real, first come, first served.

    python benchmarks/make_trace.py --tasks 300 --seed 7 --out FOLDER

Arrivals are drawn beforehand: a few people who stay with a template and with its parameters for a while. The
worker keeps one workload loaded, so a change of template makes the preparation slow. All times are measured;
while the worker is idle, the clock leaps to the next arrival.

Writes ``generation.parquet``, one row a task:

=============== ============ ============================================================
column          type         meaning, unit
=============== ============ ============================================================
task_id         string
template_id     string       the workload
params          string       JSON
submitted_at    double       seconds
stages          list<string> queue, preparation, execution, finalization
stage_s         list<double> seconds each took
updates_t       list<float>  seconds since the stage that reports progress had begun
updates_p       list<float>  its progress at those instants, 0 to 1
progress_stage  int64        which stage that is, from 0
=============== ============ ============================================================
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy is imported

import argparse  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, NamedTuple  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))  # a script's neighbours, also when it is imported
from generation import WORKLOADS, Workload  # noqa: E402

STAGES = ["queue", "preparation", "execution", "finalization"]
EXECUTION = STAGES.index("execution")
# Tasks take 0.35 s on average: the worker is busy about 60 % of the time.
BETWEEN_S = 0.6
SAME_TEMPLATE, SAME_PARAMS = 0.5, 0.5
# So many updates of a task are kept, evenly, and the last.
MAX_UPDATES = 60


class Order(NamedTuple):
    """What is to be generated, and when it was asked for."""

    submitted_at: float
    template_id: str
    params: dict[str, Any]


def orders(count: int, *, seed: int) -> Iterator[Order]:
    """Draw what people ask for."""
    random = np.random.default_rng(seed)
    names, now, name, last = list(WORKLOADS), 0.0, "", {}
    for number in range(count):
        now += random.exponential(BETWEEN_S)
        if not name or random.random() >= SAME_TEMPLATE:
            name = str(random.choice(names))
        if name not in last or random.random() >= SAME_PARAMS:
            last[name] = {key: random.choice(values).item() for key, values in WORKLOADS[name][1].items()}
        yield Order(now, name, {**last[name], "seed": number})


class Worker:
    """Runs orders one after the other, with one workload loaded."""

    def __init__(self) -> None:
        self._loaded: tuple[str, Workload] | None = None
        self._leapt_s = -time.perf_counter()

    def now(self) -> float:
        """Return the seconds since it was made, with those that were leapt over."""
        return time.perf_counter() + self._leapt_s

    def run(self, order: Order) -> dict[str, Any]:
        """Run an order and return its row."""
        self._leapt_s += max(order.submitted_at - self.now(), 0.0)
        began = self.now()
        workload = self._load(order.template_id)
        prepared = self.now()
        said = [(self.now() - prepared, progress) for progress in workload.steps(order.params)]
        executed = self.now()
        workload.finish()
        ended = self.now()
        instants = [order.submitted_at, began, prepared, executed, ended]
        said = said[:: -(-len(said) // MAX_UPDATES)] + said[-1:] if len(said) > MAX_UPDATES else said
        return {
            "template_id": order.template_id,
            "params": json.dumps(order.params),
            "submitted_at": order.submitted_at,
            "stages": STAGES,
            "stage_s": np.diff(instants),
            "updates_t": np.float32([after_s for after_s, _ in said]),
            "updates_p": np.float32([progress for _, progress in said]),
            "progress_stage": EXECUTION,
        }

    def _load(self, template_id: str) -> Workload:
        if self._loaded is None or self._loaded[0] != template_id:
            self._loaded = None  # before the next one takes its room
            self._loaded = template_id, WORKLOADS[template_id][0]()
        return self._loaded[1]


def make_trace(count: int, *, seed: int) -> pd.DataFrame:
    """Run tasks and return their trace."""
    gc.disable()
    worker = Worker()
    rows = [worker.run(order) for order in orders(count, seed=seed)]
    gc.enable()
    trace = pd.DataFrame(rows)
    trace.insert(0, "task_id", [f"generation-{number}" for number in range(count)])
    return trace


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True, help="a folder; it is made")
    options = parser.parse_args()
    began = time.monotonic()
    trace = make_trace(options.tasks, seed=options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "generation.parquet"
    trace.to_parquet(path)
    print(f"{len(trace)} tasks in {time.monotonic() - began:.0f} s: {path}")


if __name__ == "__main__":
    main()
