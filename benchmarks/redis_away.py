"""What reporting costs a job while Redis is there, is away, or stands still.

The job is 400 steps of about 5 ms of arithmetic, each of which reports its count and a log entry, and every
twentieth a checkpoint. It runs in a process of its own for each round, without Headway, with a Redis, with an
address where nothing listens, and with a Redis that accepts and never answers; the rounds are interleaved.
Prints one JSON line: the medians in seconds, and by how many percent each is slower than the bare job.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from headway.store.embedded import EmbeddedServer

ROUNDS = 9
JOB = """
import contextlib, sys, time
import numpy as np

STEPS = 400
field = np.random.default_rng(0).random((480, 480))

def step(field):
    for _ in range(3):
        field = field + 0.1 * (np.roll(field, 1, 0) + np.roll(field, -1, 1) - 2 * field) * np.cos(field)
    return field

def job(report):
    state = field
    for _ in range(20):
        state = step(state)
    began = time.perf_counter()
    for number in range(STEPS):
        state = step(state)
        report(number)
    return time.perf_counter() - began

if sys.argv[1] == "bare":
    print(job(lambda number: None))
else:
    import headway
    with headway.task("job", category="image_generation") as task:
        def report(number):
            task.update(done=number + 1, total=STEPS)
            task.log("step done", number=number)
            if number % 20 == 0:
                task.checkpoint({"done": number})
        print(job(report), flush=True)
    import os
    os._exit(0)  # what could not be delivered is not waited for
"""


def silent_server(path: Path) -> socket.socket:
    """Listen, accept, and never say a word."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    accepted: list[socket.socket] = []

    def accept() -> None:
        while True:
            accepted.append(listener.accept()[0])

    threading.Thread(target=accept, daemon=True).start()
    return listener


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hw") as name:
        folder = Path(name)
        server = EmbeddedServer(folder / "data")
        server.ensure()
        silent = silent_server(folder / "silent.sock")
        addresses = {
            "bare": "",
            "redis_there": server.url,
            "redis_away": f"unix://{folder}/missing.sock",
            "redis_silent": f"unix://{folder}/silent.sock",
        }
        times: dict[str, list[float]] = {way: [] for way in addresses}
        for number in range(ROUNDS):
            order = list(addresses)
            for way in order[number % len(order) :] + order[: number % len(order)]:
                environment = {**os.environ, "HEADWAY_REDIS_URL": addresses[way], "OMP_NUM_THREADS": "1"}
                done = subprocess.run(
                    [sys.executable, "-c", JOB, way],
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    check=True,
                    text=True,
                )
                times[way].append(float(done.stdout))
        silent.close()
        server.release()
    medians = {way: statistics.median(some) for way, some in times.items()}
    slower = {way: round(100 * (medians[way] / medians["bare"] - 1), 2) for way in medians if way != "bare"}
    # Round by round against the bare run of the same round, which sees the same neighbours.
    paired = {
        way: round(
            100
            * statistics.median(one / bare - 1 for one, bare in zip(times[way], times["bare"], strict=True)),
            2,
        )
        for way in slower
    }
    print(
        json.dumps(
            {
                "benchmark": "redis_away",
                "median_s": {way: round(median, 3) for way, median in medians.items()},
                "slower_percent": slower,
                "slower_percent_paired": paired,
                "rounds": ROUNDS,
            }
        )
    )


if __name__ == "__main__":
    main()
