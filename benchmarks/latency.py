"""How old an update is when a WebSocket client has it: one task that reports all the time, a real server.

A worker process reports every 5 ms for 20 s and remembers when; a client on the server's WebSocket remembers
when it had each state. An update's latency ends when the client has it, or a newer one: waiting for the
reporter's 100 ms is part of it. Prints one JSON line, in milliseconds, with the share of the reporter's wait
(half an interval on average) to compare with.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat

from headway.demo import Server, start_server
from headway.worker.reporter import INTERVAL_S

SECONDS = 20.0
WORKER = """
import json, sys, time, headway
times = []
with headway.task("latency", task_id="latency-1") as task:
    deadline = time.time() + float(sys.argv[1])
    while time.time() < deadline:
        times.append(time.time())
        task.update(done=len(times))
        time.sleep(0.005)
print(json.dumps(times))
"""


async def watch(server: Server) -> list[tuple[float, int]]:
    """Return when each state came, and how many updates it contains."""
    seen: list[tuple[float, int]] = []
    async with server.connect("headway/ws/progress") as socket:
        await socket.write_message(json.dumps({"type": "subscribe", "task_ids": ["latency-1"]}))
        while (text := await socket.read_message()) is not None:
            now, message = time.time(), json.loads(text)
            if message["type"] != "progress.update":
                continue
            state = message["data"]
            seen.append((now, state["stages"][2]["done"] or 0))
            if state["status"] == "completed":
                break
    return seen


def latencies(times: list[float], seen: list[tuple[float, int]]) -> list[float]:
    found, next_update = [], 0
    for received, done in seen:
        found += [received - times[i] for i in range(next_update, done)]
        next_update = max(next_update, done)
    return sorted(found)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hw") as folder:
        os.environ["HEADWAY_DATA_DIR"] = f"{folder}/data"
        notebook = Path(folder) / "empty.ipynb"
        nbformat.write(nbformat.v4.new_notebook(), notebook)
        with start_server(notebook, open_browser=False) as (_, server):
            worker = subprocess.Popen(
                [sys.executable, "-c", WORKER, str(SECONDS)], stdout=subprocess.PIPE, text=True
            )
            seen = asyncio.run(watch(server))
            times = json.loads(worker.communicate()[0])
    found = latencies(times, seen)
    assert len(found) == len(times), "every update arrived"
    percentile = {p: round(1e3 * found[min(len(found) - 1, len(found) * p // 100)], 1) for p in (50, 95, 99)}
    print(
        json.dumps(
            {
                "benchmark": "latency",
                "updates": len(times),
                "frames": len(seen),
                **{f"p{p}_ms": value for p, value in percentile.items()},
                "max_ms": round(1e3 * found[-1], 1),
                "half_interval_ms": 1e3 * INTERVAL_S / 2,
            }
        )
    )


if __name__ == "__main__":
    main()
