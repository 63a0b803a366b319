"""What reporting costs a job while Redis is there, is away, or stands still.

The job is 400 steps of about 5 ms of arithmetic, each of which reports its count and a log entry, and every
twentieth a checkpoint. It runs in a process of its own for each round, without Headway, with a Redis, with an
address where nothing listens, and with a Redis that accepts and never answers; the rounds are interleaved.
Timing begins once the task has reported for a second or two: import_time.py measures what importing takes.
Prints one JSON line: of wall-clock and of the process's processor time (all threads) the median and the
fastest round in seconds, and by how many percent each way takes longer than the bare job. Neighbours only
ever make a round slower, so on a shared machine the fastest rounds tell more than the medians.
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

ROUNDS = 7
JOB = """
import json, sys, time
import numpy as np

STEPS = 400
field = np.random.default_rng(0).random((480, 480))

def step(field):
    for _ in range(3):
        field = field + 0.1 * (np.roll(field, 1, 0) + np.roll(field, -1, 1) - 2 * field) * np.cos(field)
    return field

def job(report):
    state = field
    for number in range(STEPS // 2):
        state = step(state)
        report(number)
    began, began_cpu = time.perf_counter(), time.process_time()
    for number in range(STEPS):
        state = step(state)
        report(number)
    return json.dumps([time.perf_counter() - began, time.process_time() - began_cpu])

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
        walls: dict[str, list[float]] = {way: [] for way in addresses}
        cpus: dict[str, list[float]] = {way: [] for way in addresses}
        for number in range(ROUNDS):
            order = list(addresses)
            for way in order[number % len(order) :] + order[: number % len(order)]:
                wall, cpu = run(way, addresses[way])
                walls[way].append(wall)
                cpus[way].append(cpu)
        silent.close()
        server.release()
    print(
        json.dumps(
            {
                "benchmark": "redis_away",
                "rounds": ROUNDS,
                "wall_s": figures(walls),
                "cpu_s": figures(cpus),
            }
        )
    )


def run(way: str, address: str) -> tuple[float, float]:
    environment = {**os.environ, "HEADWAY_REDIS_URL": address, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", JOB, way],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        text=True,
    )
    wall, cpu = json.loads(done.stdout)
    return wall, cpu


def figures(times: dict[str, list[float]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, choose in (("median", statistics.median), ("fastest", min)):
        chosen = {way: choose(some) for way, some in times.items()}
        found[name] = {way: round(one, 3) for way, one in chosen.items()}
        found[f"{name}_more_percent"] = {
            way: round(100 * (one / chosen["bare"] - 1), 2) for way, one in chosen.items() if way != "bare"
        }
    return found


if __name__ == "__main__":
    main()
