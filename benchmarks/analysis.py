"""How long analysis takes at a million predictions: 125,000 recorded tasks, 8 predictions each, from JSON.

The peer reads the same JSON the way one would without Headway: `json.loads` and `pandas.json_normalize`, then
the same columns. It is measured in the same run on the first 10,000 tasks, and compared with Headway on the
same 10,000. Each step is run in a process of its own for its peak memory, which is counted above that of a
process that has only read the records. Prints one JSON line: seconds, MB, and the ratio to the peer.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headway import analysis
from headway.models import encode_json

TASKS = 125_000
PREDICTIONS = 8
PEER_TASKS = 10_000
ROUNDS = 3
# Twice what was measured: 310 MB for the accuracy frame, of which it keeps 120.
MOST_MB = 620
STAGES = {"queue": 0.05, "model_loading": 0.15, "generation": 0.7, "post_processing": 0.1}


def make_records(count: int) -> list[bytes]:
    """Make records of 50 templates, as the worker writes them, some 1.5 kB each."""
    random = np.random.default_rng(1)
    totals = np.exp(random.normal(3.5, 1.0, count))
    begun = 1.79e9 + np.sort(random.uniform(0, 90 * 86_400, count))
    errors = np.exp(random.normal(0.0, 0.3, (count, PREDICTIONS)))
    shares = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, None, None)
    at = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.05, 0.2)
    records = []
    for index in range(count):
        total, template = float(totals[index]), f"template-{index % 50}"
        predictions = [
            {
                "elapsed_s": elapsed * total,
                "low_s": left * 0.7,
                "median_s": left,
                "high_s": left * 1.4,
                "basis": f"{min(index // 50, 200)} earlier runs",
                **({"stage": "generation"} if share is None else {"share": share}),
            }
            for elapsed, share, left in zip(
                at, shares, (total * (1 - np.array(at)) * errors[index]).tolist(), strict=True
            )
        ]
        record = {
            "task_id": f"{template}-{index:08x}",
            "template_id": template,
            "category": "image_generation",
            "params": {
                "steps": 30,
                "width": 1024,
                "height": 1024,
                "seed": index,
                "prompt": "a heron at dawn",
            },
            "status": "completed" if index % 20 else "failed",
            "submitted_at": _iso(begun[index]),
            "finished_at": _iso(begun[index] + total),
            "stages": [{"id": name, "duration_s": share * total} for name, share in STAGES.items()],
            "device": "NVIDIA H100",
            "host": f"node-{index % 8}",
            "peak_rss_bytes": 4 * 2**30,
            "predictions": predictions,
        }
        records.append(encode_json(record))
    return records


def peer_frame(records: list[bytes]) -> pd.DataFrame:
    """Make the accuracy frame by way of `json.loads` and `pandas.json_normalize`."""
    rows = [json.loads(record) for record in records]
    meta = ["task_id", "template_id", "category", "device", "host", "status", "submitted_at", "finished_at"]
    frame = pd.json_normalize(rows, record_path="predictions", meta=meta)
    for name in ("submitted_at", "finished_at"):
        frame[name] = pd.to_datetime(frame[name], format="ISO8601")
    frame = frame[frame["status"] == "completed"]
    frame["total_s"] = (frame["finished_at"] - frame["submitted_at"]).dt.total_seconds()
    frame["left_s"] = frame["total_s"] - frame["elapsed_s"]
    frame["error"] = (frame["elapsed_s"] + frame["median_s"] - frame["total_s"]) / frame["total_s"]
    frame["is_within_20"] = frame["error"].abs() <= 0.2
    frame["is_covered"] = (frame["low_s"] <= frame["left_s"]) & (frame["left_s"] <= frame["high_s"])
    frame["width"] = (frame["high_s"] - frame["low_s"]) / frame["total_s"]
    return frame


def timed(step: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = step()
    return time.perf_counter() - began, result


def best(step: Callable[[], Any]) -> float:
    return min(timed(step)[0] for _ in range(ROUNDS))


def peak_mb() -> float:
    """Return the process's own peak; on Linux `getrusage` would begin with that of its parent."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure_memory(name: str, path: Path) -> tuple[float, float]:
    """Return MB: the peak of one step above the records it reads, and what its frame holds."""
    with path.open("rb") as file:
        records = list(file)  # a line each; reading so has no peak of its own
    before = peak_mb()
    frame = getattr(analysis, name)(records)
    return peak_mb() - before, frame.memory_usage().sum() / 2**20


def measure(folder: Path) -> dict[str, Any]:
    records, parquet = make_records(TASKS), folder / "records.parquet"
    (folder / "records.jsonl").write_bytes(b"\n".join(records))
    accuracy = analysis.accuracy_frame(records, status=None)
    assert len(accuracy) == TASKS * PREDICTIONS, len(accuracy)
    seconds = {
        "accuracy_frame": best(lambda: analysis.accuracy_frame(records, status=None)),
        "history_frame": best(lambda: analysis.history_frame(records)),
        "stages_frame": best(lambda: analysis.stages_frame(records)),
        "summarize": best(lambda: analysis.summarize(accuracy, by=["template_id", "share"])),
        "calibration": best(lambda: analysis.calibration(accuracy)),
        "write_parquet": best(lambda: analysis.write_parquet(records, parquet)),
        "read_parquet": best(lambda: analysis.read_parquet(parquet)),
    }
    few = records[:PEER_TASKS]
    ours, theirs = best(lambda: analysis.accuracy_frame(few)), best(lambda: peer_frame(few))
    check(analysis.accuracy_frame(few), peer_frame(few))
    return {
        "json_mb": round(sum(map(len, records)) / 2**20),
        "parquet_mb": round(parquet.stat().st_size / 2**20),
        **{f"{name}_s": round(value, 2) for name, value in seconds.items()},
        "peer_tasks": PEER_TASKS,
        "peer_s": round(theirs, 3),
        "headway_on_peer_tasks_s": round(ours, 3),
        "peer_to_headway": round(theirs / ours, 1),
    }


def check(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Assert that both made the same of the same records."""
    key = ["task_id", "elapsed_s"]
    ours, theirs = ours.sort_values(key), theirs.sort_values(key)
    for name in ("error", "left_s", "width"):
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-9)
    assert (ours["is_covered"].to_numpy() == theirs["is_covered"].to_numpy()).all()


def _iso(seconds: float) -> str:
    return str(np.datetime64(round(seconds * 1e6), "us")) + "Z"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = measure(folder)
        for step in ("accuracy_frame", "history_frame"):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                peak, frame = pool.apply(measure_memory, (step, folder / "records.jsonl"))
            assert peak < MOST_MB, f"{step} took {peak:.0f} MB"
            result |= {f"{step}_peak_mb": round(peak), f"{step}_mb": round(frame)}
    rows = TASKS * PREDICTIONS
    print(json.dumps({"benchmark": "analysis", "tasks": TASKS, "rows": rows, "rounds": ROUNDS, **result}))


if __name__ == "__main__":
    main()
