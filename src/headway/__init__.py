"""Headway: trustworthy live progress of AI generation tasks, in the notebook cell that launched them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headway.api import (
        accuracy,
        attach,
        cancel,
        export_history,
        history,
        show,
        stage_manager,
        task,
        tasks,
    )
    from headway.errors import HeadwayError, TaskCancelled, TaskNotFoundError, UsageError
    from headway.estimates import Estimate
    from headway.eta.predictor import ETAPredictor
    from headway.models import Stage, StageProgress, StageStatus, TaskProgress, TaskStatus, TaskSummary
    from headway.records import TaskHistory
    from headway.stages import STAGE_DEFINITIONS, StageManager
    from headway.tracker import ProgressTracker
    from headway.widget import TaskWidget
    from headway.worker.logs import LogHandler
    from headway.worker.previews.generator import PreviewGenerator
    from headway.worker.previews.options import PreviewOptions
    from headway.worker.task import Task

__version__ = "0.1.0"

__all__ = [
    "STAGE_DEFINITIONS",
    "ETAPredictor",
    "Estimate",
    "HeadwayError",
    "LogHandler",
    "PreviewGenerator",
    "PreviewOptions",
    "ProgressTracker",
    "Stage",
    "StageManager",
    "StageProgress",
    "StageStatus",
    "Task",
    "TaskCancelled",
    "TaskHistory",
    "TaskNotFoundError",
    "TaskProgress",
    "TaskStatus",
    "TaskSummary",
    "TaskWidget",
    "UsageError",
    "accuracy",
    "attach",
    "cancel",
    "export_history",
    "history",
    "show",
    "stage_manager",
    "task",
    "tasks",
]

# Each is loaded when it is first asked for: to import Headway costs next to nothing, and redis or ipywidgets
# come only where they are used.
_MODULES = {
    "headway.api": (
        "accuracy",
        "attach",
        "cancel",
        "export_history",
        "history",
        "show",
        "stage_manager",
        "task",
        "tasks",
    ),
    "headway.errors": ("HeadwayError", "TaskCancelled", "TaskNotFoundError", "UsageError"),
    "headway.estimates": ("Estimate",),
    "headway.eta.predictor": ("ETAPredictor",),
    "headway.models": ("Stage", "StageProgress", "StageStatus", "TaskProgress", "TaskStatus", "TaskSummary"),
    "headway.records": ("TaskHistory",),
    "headway.stages": ("STAGE_DEFINITIONS", "StageManager"),
    "headway.tracker": ("ProgressTracker",),
    "headway.widget": ("TaskWidget",),
    "headway.worker.logs": ("LogHandler",),
    "headway.worker.previews.generator": ("PreviewGenerator",),
    "headway.worker.previews.options": ("PreviewOptions",),
    "headway.worker.task": ("Task",),
}


def __getattr__(name: str) -> Any:
    if name == "analysis":
        return import_module("headway.analysis")
    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(module), name)
            return value
    raise AttributeError(f"module 'headway' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(globals().keys() | set(__all__))


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from headway.server.app import HeadwayExtension

    return [{"module": "headway", "app": HeadwayExtension}]
