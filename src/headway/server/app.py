"""The extension itself: what it makes at the start of the Jupyter server and ends with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from traitlets import Int, Unicode

from headway.errors import StoreError
from headway.server.forecasts import Forecasts
from headway.server.handlers import (
    PreviewHandler,
    PreviewsHandler,
    TaskCancelHandler,
    TaskLogsHandler,
    TaskProgressHandler,
    TaskResourcesHandler,
    TasksHandler,
)
from headway.server.hub import Hub
from headway.server.metrics import Metrics
from headway.server.websocket import ProgressWebSocketHandler
from headway.settings import DEFAULT_TTL_S, Settings
from headway.store.tasks import TaskStore
from headway.tracker import ProgressTracker

HANDLERS: list[tuple[str, Any]] = [
    (r"/headway/tasks/?", TasksHandler),
    (r"/headway/tasks/([^/]+)/progress", TaskProgressHandler),
    (r"/headway/tasks/([^/]+)/cancel", TaskCancelHandler),
    (r"/headway/tasks/([^/]+)/logs", TaskLogsHandler),
    (r"/headway/tasks/([^/]+)/resources", TaskResourcesHandler),
    (r"/headway/tasks/([^/]+)/previews/?", PreviewsHandler),
    (r"/headway/tasks/([^/]+)/previews/([0-9]{1,15})", PreviewHandler),
    (r"/headway/ws/progress", ProgressWebSocketHandler),
]

# What runs beside the handlers, by its name in the settings: started in this order.
PARTS = ("headway_hub", "headway_forecasts", "headway_metrics")


class HeadwayExtension(ExtensionApp):
    """Serves the progress of tasks to the browser, and hands Redis' address to the kernels."""

    name = "headway"
    load_other_extensions = True

    redis_url = Unicode(
        "",
        config=True,
        help="A Redis or Valkey of one's own; by default HEADWAY_REDIS_URL, else the embedded server.",
    )
    data_dir = Unicode("", config=True, help="Where the embedded server keeps its data.")
    ttl_s = Int(0, config=True, help=f"Seconds that a task stays stored; {DEFAULT_TTL_S} by default.")

    def initialize_settings(self) -> None:
        """Make the tracker and what runs on it, and tell the kernels to come where they find us."""
        settings = self._merged_settings()
        os.environ.update(_kernel_environment(settings))
        tracker = ProgressTracker(TaskStore(settings))
        self.settings["headway_tracker"] = tracker
        hub = self.settings["headway_hub"] = Hub(tracker)
        self.settings["headway_forecasts"] = Forecasts(tracker)
        self.settings["headway_metrics"] = Metrics(tracker, hub)

    def initialize_handlers(self) -> None:
        """Register the routes."""
        self.handlers.extend(HANDLERS)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        tracker: ProgressTracker = self.settings["headway_tracker"]
        try:
            await tracker.store.connect()
        except StoreError as error:
            self.log.warning("headway: %s; it is tried again", error)
        else:
            self.log.info("headway: tasks are stored at %s", _without_password(tracker.store.url))
        for part in PARTS:
            self.settings[part].start()

    async def stop_extension(self) -> None:
        """End what runs, and give up the share in the embedded server."""
        for part in reversed(PARTS):
            await self.settings[part].stop()
        await self.settings["headway_tracker"].store.close()

    def _merged_settings(self) -> Settings:
        environment = Settings.from_environment()
        return Settings(
            redis_url=self.redis_url or environment.redis_url,
            data_dir=Path(self.data_dir) if self.data_dir else environment.data_dir,
            ttl_s=self.ttl_s or environment.ttl_s,
            append_fsync=environment.append_fsync,
        )


def _kernel_environment(settings: Settings) -> dict[str, str]:
    """Say in the environment what kernels, which inherit it, need to know."""
    where = (
        {"HEADWAY_REDIS_URL": settings.redis_url}
        if settings.redis_url
        else {"HEADWAY_DATA_DIR": str(settings.embedded_dir())}
    )
    return where | {"HEADWAY_TTL_S": str(settings.ttl_s), "HEADWAY_SERVER": "1"}


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.rpartition("@")[2]
