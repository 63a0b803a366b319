"""What previews cost the loop that offers them, and how soon a viewer has one.

A loop of 50 ms steps of work (numpy and Python, the same amount in each step) runs in turns without previews,
with a 1024 × 1024 × 3 float array offered at each step, and, for fewer steps, with a PNG of it encoded in the
loop, as is usual elsewhere. Each round is 200 steps; with and without take turns every 50 steps, because
other work on the machine changes the pace of both within seconds. The ratio is the median of those pairs',
by the wall clock, and by the loop's own processor time, which other work disturbs less; the figures of a call
are of all calls. Then a worker offers pictures that are due to a real Jupyter server, and a client fetches
each as soon as the WebSocket names it: the time is from before the offer until its bytes are there. Prints
one JSON line. ``--quick`` is for trying that it runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import operator
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import nbformat
import numpy as np
from PIL import Image
from tornado.httpclient import AsyncHTTPClient

import headway
from headway.demo import Server, start_server
from headway.worker.reporter import REPORTER

STEPS, RUN_STEPS, PNG_STEPS, STEP_S, ROUNDS = 200, 50, 10, 0.05, 7
SIDE = 1024
OFFERS, OFFER_EVERY_S = 40, 0.6
# Of one shade, which tells a viewer which offer it is of.
SHADES = 250
WORKER = """
import json, sys, time, numpy, headway
count, every_s, side, shades = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
pictures = [numpy.full((side, side, 3), i * (shades // count) / 255, "float32") for i in range(count)]
times = []
with headway.task("preview", task_id="preview-1") as task:
    task.preview(numpy.ones((side, side, 3), "float32"))
    time.sleep(1)
    for picture in pictures:
        times.append(time.time())
        task.preview(picture, now=True)
        deadline = times[-1] + every_s
        while time.time() < deadline:
            numpy.tanh(picture[:64])
print(json.dumps(times))
"""


class Work:
    """Some amount of work, the same each time, that changes a picture."""

    def __init__(self) -> None:
        self.picture = np.random.default_rng(1).random((SIDE, SIDE, 3), "float32")
        self._values = np.random.default_rng(2).random(40_000)
        self._repeats = 20
        self()
        took = []
        for _ in range(20):
            began = time.perf_counter()
            self()
            took.append(time.perf_counter() - began)
        self._repeats = max(1, round(self._repeats * STEP_S / statistics.median(took)))

    def __call__(self) -> None:
        """Do it once."""
        for i in range(self._repeats):
            np.tanh(self._values)  # on one thread, as a product of matrices would not be
            sum(range(5_000))
            self.picture[i % SIDE] *= 0.999


def run(work: Work, steps: int, show: Callable[[headway.Task], None]) -> tuple[float, float]:
    """Return how long a loop takes, a step, and how much of its processor's time."""
    with headway.task("preview", show=False) as task:
        began, began_cpu = time.perf_counter(), time.thread_time()
        for _ in task.track(range(steps), stage="execution"):
            work()
            show(task)
        took = (time.perf_counter() - began) / steps, (time.thread_time() - began_cpu) / steps
    REPORTER.flush()  # the last preview, too, is made before another loop runs
    return took


def measure(steps: int, png_steps: int, pairs: int) -> dict[str, float]:
    work = Work()
    calls: list[float] = []
    calls_cpu: list[float] = []

    def offer(task: headway.Task) -> None:
        began, began_cpu = time.perf_counter(), time.thread_time()
        task.preview(work.picture)
        calls_cpu.append(time.thread_time() - began_cpu)
        calls.append(time.perf_counter() - began)

    def encode(task: headway.Task) -> None:
        Image.fromarray((255 * work.picture).astype("uint8")).save(BytesIO(), "PNG")

    ways = {"without": lambda task: None, "with": offer}
    took: dict[str, list[tuple[float, float]]] = {"without": [], "with": [], "png": []}
    for pair in range(pairs):
        for name in sorted(ways, reverse=pair % 2 == 0):  # neither is always the first
            took[name].append(run(work, steps, ways[name]))
        took["png"].append(run(work, png_steps, encode))
    wall = {name: [each[0] for each in values] for name, values in took.items()}
    cpu = {name: [each[1] for each in values] for name, values in took.items()}
    step_s = statistics.median(wall["without"])
    return {
        "step_ms": round(1e3 * step_s, 2),
        "ratio": ratio(wall["with"], wall["without"]),
        "ratio_of_cpu": ratio(cpu["with"], cpu["without"]),
        "ratio_quartiles": [
            round(q, 3)
            for q in statistics.quantiles(map(operator.truediv, wall["with"], wall["without"]), n=4)
        ]
        if pairs > 1
        else [],
        "png_ratio": ratio(wall["png"], wall["without"]),
        "png_ms": round(1e3 * (statistics.median(wall["png"]) - step_s), 1),
        "call_p50_ms": percentile_ms(calls, 50),
        "call_p99_ms": percentile_ms(calls, 99),
        "call_p99_cpu_ms": percentile_ms(calls_cpu, 99),
    }


def ratio(these: list[float], those: list[float]) -> float:
    """Return the median of the pairs' ratios."""
    return round(statistics.median(map(operator.truediv, these, those)), 4)


def percentile_ms(values: list[float], percent: int) -> float:
    found = sorted(values)
    return round(1e3 * found[min(len(found) - 1, len(found) * percent // 100)], 3)


async def watch(server: Server, offers: int) -> dict[int, float]:
    """Return when the bytes of each offer's preview were there."""
    there: dict[int, float] = {}
    client, url = AsyncHTTPClient(), None
    async with server.connect("headway/ws/progress") as socket:
        await socket.write_message(json.dumps({"type": "subscribe", "task_ids": ["preview-1"]}))
        while (text := await socket.read_message()) is not None:
            message = json.loads(text)
            if message["type"] != "progress.update":
                continue
            state = message["data"]
            if state["preview_url"] not in (None, url):
                url = state["preview_url"]
                response = await client.fetch(server.url + url, headers=server.headers)
                now = time.time()
                shade = np.asarray(Image.open(BytesIO(response.body)).convert("L")).mean()
                if shade < SHADES:
                    there.setdefault(round(shade / (SHADES // offers)), now)
            if state["status"] == "completed":
                break
    return there


def fetch_all(folder: str, offers: int) -> dict[str, float]:
    notebook = Path(folder) / "empty.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), notebook)
    words = [str(word) for word in (offers, OFFER_EVERY_S, SIDE, SHADES)]
    with start_server(notebook, open_browser=False) as (_, server):
        worker = subprocess.Popen([sys.executable, "-c", WORKER, *words], stdout=subprocess.PIPE, text=True)
        there = asyncio.run(watch(server, offers))
        times = json.loads(worker.communicate()[0])
    found = [there[i] - offered for i, offered in enumerate(times) if i in there]
    return {
        "offered": len(times),
        "seen": len(found),
        "viewer_p50_ms": percentile_ms(found, 50),
        "viewer_p95_ms": percentile_ms(found, 95),
        "viewer_max_ms": percentile_ms(found, 100),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few steps, to try that it runs")
    quick = parser.parse_args().quick
    steps, png_steps, offers = (10, 2, 4) if quick else (RUN_STEPS, PNG_STEPS, OFFERS)
    pairs = 1 if quick else ROUNDS * STEPS // RUN_STEPS
    with tempfile.TemporaryDirectory(prefix="hw") as folder:
        os.environ["HEADWAY_DATA_DIR"] = f"{folder}/data"
        REPORTER.flush()
        loop = measure(steps, png_steps, pairs)
        REPORTER.close()
        viewer = fetch_all(folder, offers)
    print(json.dumps({"benchmark": "preview", "steps": steps, "pairs": pairs, **loop, **viewer}))


if __name__ == "__main__":
    main()
