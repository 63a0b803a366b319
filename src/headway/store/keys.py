"""The names of everything in Redis.

The keys of one task share a hash tag, ``{task_id}``, so that a cluster can keep them together. Task ids are
checked before they come here: they hold no brace.
"""

from __future__ import annotations

PREFIX = "headway"

#: Sorted set: every stored task by the time it was made.
INDEX = f"{PREFIX}:tasks"
#: Channel: the ids of tasks that have just changed, separated by spaces. A hint; the truth is re-read.
CHANGES = f"{PREFIX}:changes"


def task(task_id: str) -> str:
    """Hash: ``data`` (the JSON), ``attempt``, ``seq``, the ``run`` that it is of, and its last ``writer``."""
    return f"{PREFIX}:{{{task_id}}}:task"


def previews(task_id: str) -> str:
    """Hash: the newest previews by their number, JPEG bytes."""
    return f"{PREFIX}:{{{task_id}}}:previews"
