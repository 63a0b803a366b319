"""What ``import headway`` costs in a fresh process, and what its peers cost in the same run.

The figures are medians of interleaved rounds, in milliseconds more than ``import json``. The third one is
what a user pays once: the import and the first task. Prints one JSON line.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

ROUNDS = 15
WAYS = {
    "json": "import json",
    "headway": "import headway",
    "headway_and_first_task": "import headway; headway.task",
    "tqdm": "from tqdm import tqdm",
    "redis": "import redis",
}


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, code in WAYS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times[name].append(1e3 * (time.perf_counter() - began))
    medians = {name: statistics.median(values) for name, values in times.items()}
    added = {f"{name}_ms": round(medians[name] - medians["json"], 1) for name in WAYS if name != "json"}
    print(json.dumps({"benchmark": "import_time", "rounds": ROUNDS, **added}))


if __name__ == "__main__":
    main()
