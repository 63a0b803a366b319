"""Headway: trustworthy live progress of AI generation tasks, in the notebook cell that launched them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from headway.api import show, stage_manager, task, tasks
from headway.errors import HeadwayError, TaskNotFoundError, UsageError
from headway.models import Estimate, Stage, StageProgress, StageStatus, TaskProgress, TaskStatus, TaskSummary
from headway.stages import STAGE_DEFINITIONS, StageManager
from headway.worker.task import Task

if TYPE_CHECKING:
    from headway.tracker import ProgressTracker
    from headway.widget import TaskWidget

__version__ = "0.1.0"

__all__ = [
    "STAGE_DEFINITIONS",
    "Estimate",
    "HeadwayError",
    "ProgressTracker",
    "Stage",
    "StageManager",
    "StageProgress",
    "StageStatus",
    "Task",
    "TaskNotFoundError",
    "TaskProgress",
    "TaskStatus",
    "TaskSummary",
    "TaskWidget",
    "UsageError",
    "show",
    "stage_manager",
    "task",
    "tasks",
]

# These bring redis and ipywidgets with them, 130 ms and more: loaded when they are asked for.
_LAZY = {"ProgressTracker": "headway.tracker", "TaskWidget": "headway.widget"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'headway' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from headway.server.app import HeadwayExtension

    return [{"module": "headway", "app": HeadwayExtension}]
