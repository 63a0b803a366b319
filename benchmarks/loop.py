"""What it costs to report a loop, per iteration: bare, `tqdm`, `rich.track`, and `task.track`.

All are measured in one process, interleaved round by round, over a range and over a generator; the figures
are medians of the rounds. Prints one JSON line: nanoseconds that each adds to the bare loop's iteration.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator

import rich.console
import rich.progress
from tqdm import tqdm

import headway
from headway.worker.reporter import REPORTER

# A loop of some 0.2 s bare: long beside what beginning a task costs once.
ITEMS = 10_000_000
ROUNDS = 5


def ranged() -> Iterable[int]:
    return range(ITEMS)


def generated() -> Iterator[int]:
    return (i for i in range(ITEMS))


def bare(items: Iterable[int]) -> Iterable[int]:
    return items


def with_tqdm(items: Iterable[int]) -> Iterable[int]:
    return tqdm(items, total=ITEMS, file=io.StringIO())


def with_rich(items: Iterable[int]) -> Iterable[int]:
    console = rich.console.Console(file=io.StringIO(), force_terminal=True)
    return rich.progress.track(items, total=ITEMS, console=console)


def with_headway(items: Iterable[int]) -> Iterable[int]:
    for task in running:
        task.complete()
    running[:] = [headway.task("loop")]
    return running[0].track(items, total=ITEMS)


running: list[headway.Task] = []


WAYS: dict[str, Callable[[Iterable[int]], Iterable[int]]] = {
    "bare": bare,
    "tqdm": with_tqdm,
    "rich": with_rich,
    "headway": with_headway,
}


def run(items: Iterable[int]) -> float:
    """Iterate and return nanoseconds per item."""
    began = time.perf_counter()
    for _ in items:
        pass
    return (time.perf_counter() - began) / ITEMS * 1e9


def measure(source: Callable[[], Iterable[int]]) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, way in WAYS.items():
            times[name].append(run(way(source())))
    medians = {name: statistics.median(values) for name, values in times.items()}
    added = {name: medians[name] - medians["bare"] for name in WAYS if name != "bare"}
    return {
        "bare_ns": round(medians["bare"], 1),
        **{f"{name}_adds_ns": round(value, 1) for name, value in added.items()},
        "tqdm_to_headway": round(added["tqdm"] / added["headway"], 1),
    }


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hw") as folder:
        os.environ["HEADWAY_DATA_DIR"] = folder
        run(with_headway(ranged()))  # starts the reporter and the embedded server
        REPORTER.flush()
        result = {"range": measure(ranged), "generator": measure(generated)}
        REPORTER.close()
    print(json.dumps({"benchmark": "loop", "items": ITEMS, "rounds": ROUNDS, **result}))


if __name__ == "__main__":
    main()
