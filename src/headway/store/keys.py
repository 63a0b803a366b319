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
#: Channel: the ids of tasks that are asked to stop, separated by spaces. A hint likewise.
CANCELS = f"{PREFIX}:cancels"
#: Sorted set: the workers that are alive, by the Redis server's time (ms) at which their leases end.
LEASES = f"{PREFIX}:{{leases}}"
#: Hash: ``run_id`` of the Redis server and ``since`` when (its time, ms) it serves these leases.
LEASES_EPOCH = f"{LEASES}:epoch"

#: Sorted set: every template that has records, by the time when its last task ended.
HISTORY_INDEX = f"{PREFIX}:history"


def history(template_id: str) -> str:
    """Stream: the records of a template's tasks that are over, JSON in the field ``record``."""
    return f"{HISTORY_INDEX}:{template_id}"


def watched(worker: str) -> str:
    """Text, for some seconds, while a viewer looks at a task of this worker."""
    return f"{PREFIX}:watched:{worker}"


def task(task_id: str) -> str:
    """Hash: the newest state of a task, and what its writers must agree on.

    ``data`` (the JSON) with its ``attempt``, ``seq`` and ``status``; the ``run`` that the attempt is of, and
    the ``past`` runs of earlier ones; the ``writer`` of this state; the ``worker`` whose lease keeps the task
    from being lost; ``checkpoint`` (JSON); ``log_id`` (of the newest log entry); ``logs_dropped`` (a count);
    ``cancel`` (JSON: who asked this attempt to stop).
    """
    return f"{PREFIX}:{{{task_id}}}:task"


def previews(task_id: str) -> str:
    """Hash: the content of a task's previews by their number, and their facts (JSON) at ``facts:`` and it."""
    return f"{PREFIX}:{{{task_id}}}:previews"


def logs(task_id: str) -> str:
    """Stream: the log entries from level info up, by their id."""
    return f"{PREFIX}:{{{task_id}}}:logs"


def debug_logs(task_id: str) -> str:
    """Stream: the log entries of level debug, which are dropped first."""
    return f"{PREFIX}:{{{task_id}}}:logs:debug"


def resources(task_id: str) -> str:
    """Sorted set: the resource samples, JSON, by the time at which each ends, UTC seconds."""
    return f"{PREFIX}:{{{task_id}}}:resources"


def of_task(task_id: str) -> tuple[str, str, str, str, str]:
    """Every key of a task."""
    return task(task_id), previews(task_id), logs(task_id), debug_logs(task_id), resources(task_id)
