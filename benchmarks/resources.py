"""What sampling once a second costs: processor time of one core, and microseconds a sample.

One process with a hundred threads that wait, as a worker with torch has. In turn it samples one task for 10 s
and does nothing for 10 s, three times: that is the sampler alone. Then it has a reporter and an embedded
Valkey, and many tasks that run and say nothing, of which all samples are stored; in turn with and without
sampling. Each share is the process's own processor time, all threads, less that of the same time without.
Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from types import SimpleNamespace

import headway
from headway.samples import ResourceSample, ResourceSeries
from headway.worker.reporter import REPORTER
from headway.worker.resources.machine import Machine
from headway.worker.resources.sampler import Sampler
from headway.worker.resources.sources import open_sources

SECONDS = 10.0
ROUNDS = 3
THREADS = 100
SAMPLES = 2_000


def idle() -> float:
    """Return the share of a core that the process takes by itself."""
    began, began_cpu = time.perf_counter(), time.process_time()
    time.sleep(SECONDS)
    return (time.process_time() - began_cpu) / (time.perf_counter() - began)


def sampling() -> tuple[float, int]:
    """Return the share of a core that it takes with a task that is sampled, and how often it was."""
    task = SimpleNamespace(run="r", is_over=False)
    sampler = Sampler({"a": task})
    sampler.load()
    time.sleep(1.5)  # the imports and the drivers are opened once
    before = len(sampler.series("a"))
    share = idle()
    count = len(sampler.series("a")) - before
    task.is_over = True
    sampler.close()
    return share, count


def microseconds(samples: int = SAMPLES) -> tuple[float, float, ResourceSample]:
    """Return what one sample of everything takes, wall time and median, and of the machine alone."""
    sources, machine, series = open_sources(), Machine(), ResourceSeries()
    everything, alone = [], []
    for number in range(samples):
        now = time.perf_counter()
        sample = sources.sample(at=1e9 + number, now=now)
        series.add(sample)
        between = time.perf_counter()
        machine.read(now)
        everything.append(between - now)
        alone.append(time.perf_counter() - between)
    sources.close()
    return 1e6 * statistics.median(everything), 1e6 * statistics.median(alone), sample


def stored(tasks: int, rounds: int) -> tuple[list[float], list[float]]:
    """Return the shares that a reporter with so many open tasks takes, with sampling and without."""
    found: tuple[list[float], list[float]] = [], []
    with tempfile.TemporaryDirectory(prefix="hw") as folder, ExitStack() as stack:
        os.environ["HEADWAY_DATA_DIR"] = folder
        for number in range(tasks):
            stack.enter_context(headway.task("resources", task_id=f"resources-{number}", show=False))
        REPORTER.flush()
        take, ignore = REPORTER.resources.take, lambda sample: None
        for _ in range(rounds):
            for shares, taker in zip(found, (take, ignore), strict=True):
                REPORTER.resources.take = taker  # type: ignore[method-assign]
                time.sleep(2.0)  # what waits is delivered
                shares.append(idle())
        stack.close()
        REPORTER.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tasks", type=int, nargs="*", default=[1, 1_000], help="of which samples are stored"
    )
    tasks = parser.parse_args().tasks
    end = threading.Event()
    threads = [threading.Thread(target=end.wait, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    sampling_share, idle_share, count = [], [], 0
    for _ in range(ROUNDS):
        share, samples = sampling()
        sampling_share.append(share)
        count += samples
        idle_share.append(idle())
    added = [100 * (a - b) for a, b in zip(sampling_share, idle_share, strict=True)]
    sample_us, machine_us, last = microseconds()
    of_tasks = {}
    for count_of_tasks in tasks:
        with_them, without = stored(count_of_tasks, ROUNDS)
        of_tasks[count_of_tasks] = {
            "percent_of_a_core": round(100 * (statistics.median(with_them) - statistics.median(without)), 3),
            "without": round(100 * statistics.median(without), 3),
        }
    end.set()
    print(
        json.dumps(
            {
                "benchmark": "resources",
                "seconds": SECONDS * ROUNDS,
                "samples": count,
                "percent_of_a_core": round(statistics.median(added), 3),
                "worst_percent": round(max(added), 3),
                "sample_us": round(sample_us, 1),
                "machine_us": round(machine_us, 1),
                "stored": of_tasks,
                "has_gpu": last.gpu_memory_total_bytes is not None,
            }
        )
    )


if __name__ == "__main__":
    main()
