"""Whether viewers that read nothing hold up the others: 50 viewers of 40 tasks on a real server, 5 stuck.

A worker process reports on all tasks and remembers when; viewers on the server's WebSocket remember when they
had which state. Rounds with 45 viewers that read, and rounds with 5 more that shake hands, subscribe and then
read nothing, take turns. Prints one JSON line: latencies in milliseconds, medians over the rounds, and what
the server's memory grew by in the rounds with the stuck ones.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import psutil

from headway.demo import Server, start_server

ROUND_S = 8.0
ROUNDS = 4
READERS, STUCK, TASKS = 45, 5, 40
TASK_IDS = [f"viewers-{number}" for number in range(TASKS)]
SUBSCRIBE = json.dumps({"type": "subscribe", "task_ids": TASK_IDS, "many": True})
# Small, so that what is not read comes back to the server soon.
RECEIVED_BYTES = 4_096
WORKER = """
import json, sys, time, headway
tasks = [headway.task("viewers", task_id=task_id, show=False) for task_id in sys.argv[2:]]
times = []
deadline = time.time() + float(sys.argv[1])
for task in tasks:
    task.__enter__()
print("ready", flush=True)
while time.time() < deadline:
    times.append(time.time())
    for task in tasks:
        task.update(done=len(times), message=f"step {len(times)} " + 300 * "x")
    time.sleep(0.02)
for task in tasks:
    task.complete()
print(json.dumps(times))
"""


async def watch(server: Server, until: float) -> list[tuple[float, int]]:
    """Return when each state of the first task came, and how many updates it contains."""
    seen: list[tuple[float, int]] = []
    async with server.connect("headway/ws/progress") as connection:
        await connection.write_message(SUBSCRIBE)
        while (left := until - time.time()) > 0:
            try:
                text = await asyncio.wait_for(connection.read_message(), left)
            except TimeoutError:
                break
            if text is None:
                raise RuntimeError("a viewer that reads was closed")
            now, frame = time.time(), json.loads(text)
            for message in frame if isinstance(frame, list) else [frame]:
                if message["type"] == "progress.update" and message["task_id"] == TASK_IDS[0]:
                    seen.append((now, message["data"]["stages"][2]["done"] or 0))
    return seen


async def watch_all(server: Server, until: float) -> list[list[tuple[float, int]]]:
    return await asyncio.gather(*(watch(server, until) for _ in range(READERS)))


def stuck_viewer(server: Server) -> socket.socket:
    """Subscribe to everything and never read."""
    url = urlsplit(server.url)
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
    stuck.connect((url.hostname, url.port))
    headers = {
        "Host": url.netloc,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        **server.headers,
    }
    lines = [f"GET {url.path}headway/ws/progress HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    stuck.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += stuck.recv(1)
    if b" 101 " not in answer.partition(b"\r\n")[0]:
        raise RuntimeError(f"expected the handshake to succeed, got {answer[:80]!r}")
    payload = SUBSCRIBE.encode()
    # A text frame with a mask of zeros.
    stuck.sendall(b"\x81\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload)
    return stuck


def latencies(times: list[float], seen: list[tuple[float, int]], since: float) -> list[float]:
    """Return how old each update reported since then was when it was seen, in it or in a newer state."""
    found: list[float] = []
    next_update = next((i for i, at in enumerate(times) if at >= since), len(times))
    for received, done in seen:
        found += [received - times[i] for i in range(next_update, done)]
        next_update = max(next_update, done)
    return found


def percentile(values: list[float], share: int) -> float:
    ordered = sorted(values)
    return 1e3 * ordered[min(len(ordered) - 1, len(ordered) * share // 100)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--round-s", type=float, default=ROUND_S)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hw") as folder:
        os.environ["HEADWAY_DATA_DIR"] = f"{folder}/data"
        notebook = Path(folder) / "empty.ipynb"
        nbformat.write(nbformat.v4.new_notebook(), notebook)
        with start_server(notebook, open_browser=False) as (process, server):
            seconds = 2 * options.rounds * (options.round_s + 1) + 1
            worker = subprocess.Popen(
                [sys.executable, "-c", WORKER, str(seconds), *TASK_IDS], stdout=subprocess.PIPE, text=True
            )
            assert worker.stdout is not None
            worker.stdout.readline()
            memory = psutil.Process(process.pid).memory_info
            seen: dict[str, list[tuple[float, list[list[tuple[float, int]]]]]] = {"without": [], "with": []}
            grown = []
            for number in range(2 * options.rounds):
                kind = ("without", "with")[number % 2]
                with ExitStack() as stack:
                    before = memory().rss
                    for _ in range(STUCK if kind == "with" else 0):
                        stack.enter_context(stuck_viewer(server))
                    since = time.time() + 1.0
                    seen[kind].append((since, asyncio.run(watch_all(server, since + options.round_s))))
                    if kind == "with":
                        grown.append(memory().rss - before)
            times = json.loads(worker.communicate()[0])
    figures: dict[str, list[dict[int, float]]] = {}
    for kind, rounds in seen.items():
        figures[kind] = []
        for since, viewers in rounds:
            found = [value for viewer in viewers for value in latencies(times, viewer, since)]
            figures[kind].append({share: percentile(found, share) for share in (50, 99)})
    median = {
        (kind, share): statistics.median(figure[share] for figure in of_kind)
        for kind, of_kind in figures.items()
        for share in (50, 99)
    }
    print(
        json.dumps(
            {
                "benchmark": "viewers",
                "readers": READERS,
                "stuck": STUCK,
                "tasks": TASKS,
                **{f"{kind}_p{share}_ms": round(value, 1) for (kind, share), value in median.items()},
                "p99_ratio": round(median["with", 99] / median["without", 99], 3),
                "server_grew_mb": [round(value / 1e6, 1) for value in grown],
            }
        )
    )


if __name__ == "__main__":
    main()
