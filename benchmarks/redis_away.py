"""What reporting costs a job while Redis is there, is away, or stands still.

The job is 400 steps of about 5 ms of arithmetic, each of which reports its count and a log entry, and every
twentieth a checkpoint. It runs in a process of its own for each round, without Headway, with a Redis, with an
address where nothing listens, and with a Redis that accepts and never answers; the rounds are interleaved.
Prints one JSON line: the medians of wall-clock and of the process's processor time (all threads) in seconds,
and by how many percent each way takes longer than the bare job of the same round.
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
    for _ in range(20):
        state = step(state)
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
                "wall_s": {way: round(statistics.median(some), 3) for way, some in walls.items()},
                "cpu_s": {way: round(statistics.median(some), 3) for way, some in cpus.items()},
                "wall_more_percent": more_percent(walls),
                "cpu_more_percent": more_percent(cpus),
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


def more_percent(times: dict[str, list[float]]) -> dict[str, float]:
    ratios = {
        way: [one / bare - 1 for one, bare in zip(some, times["bare"], strict=True)]
        for way, some in times.items()
        if way != "bare"
    }
    return {way: round(100 * statistics.median(some), 2) for way, some in ratios.items()}


if __name__ == "__main__":
    main()
