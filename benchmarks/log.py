"""What a log call costs its caller: `task.log`, `logging` into a file, and the ways from there into a task.

Each call is timed by itself, with everything running: the reporter takes the entries every 100 ms and stores
them in a real Valkey. The ways take turns, some hundred calls at a time, with a pause as a job that computes
has. Prints one JSON line: microseconds a call, median and 99 %, and those of a line that is printed into a
file with and without being captured.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import headway
from headway.worker.logs import LogHandler
from headway.worker.outputs import OutputCapture
from headway.worker.reporter import REPORTER

ROUNDS = 60
CALLS = 200
# Between rounds: the entries of one are stored before the next.
PAUSE_S = 0.15

Way = Callable[[int], None]


def time_calls(way: Way) -> list[float]:
    times = []
    for number in range(CALLS):
        began = time.perf_counter_ns()
        way(number)
        times.append((time.perf_counter_ns() - began) / 1_000)
    return times


def logger_of(name: str, handler: logging.Handler) -> logging.Logger:
    logger = logging.getLogger(name)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    return logger


def measure(folder: Path) -> dict[str, list[float]]:
    """Return the microseconds of each call, by way."""
    with contextlib.ExitStack() as stack:
        task = stack.enter_context(headway.task("log"))
        task.flush()
        into_file = logger_of("bench.file", logging.FileHandler(folder / "bench.log"))
        into_task = logger_of("bench.task", LogHandler(task))
        plain = stack.enter_context((folder / "plain.txt").open("w"))
        captured = stack.enter_context((folder / "captured.txt").open("w"))
        with contextlib.redirect_stdout(captured):
            stack.enter_context(OutputCapture(task))
        ways: dict[str, Way] = {
            "task_log": lambda number: task.log("step done"),
            "task_log_metadata": lambda number: task.log("step done", number=number),
            "logging_file": lambda number: into_file.info("step done"),
            "logging_task": lambda number: into_task.info("step done"),
            "print": lambda number: print("step done", number, file=plain),
            "print_captured": lambda number: print("step done", number, file=captured),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                times[name] += time_calls(way)
                time.sleep(PAUSE_S)
    return times


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hw") as folder:
        os.environ["HEADWAY_DATA_DIR"] = f"{folder}/data"
        times = measure(Path(folder))
        REPORTER.close()
    result = {}
    for name, found in times.items():
        result[f"{name}_p50_us"] = round(statistics.median(found), 2)
        result[f"{name}_p99_us"] = round(statistics.quantiles(found, n=100)[98], 2)
    result["capture_adds_p50_us"] = round(result["print_captured_p50_us"] - result["print_p50_us"], 2)
    print(json.dumps({"benchmark": "log", "calls": ROUNDS * CALLS, **result}))


if __name__ == "__main__":
    main()
