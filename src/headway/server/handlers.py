"""REST: thin calls on the tracker, each authenticated and authorised by the Jupyter server."""

from __future__ import annotations

import math
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from headway.checks import check_task_id
from headway.errors import HeadwayError, TaskNotFoundError, UsageError
from headway.models import TaskStatus, encode_json
from headway.server.errors import RETRY_AFTER_S, as_http_error
from headway.server.resources import resources_json
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker

AUTH_RESOURCE = "headway"
ANONYMOUS = "somebody in the browser"
# A preview never changes under its number.
PREVIEW_CACHE = "private, max-age=86400, immutable"
# What else a worker may have stored, no browser is to interpret.
PREVIEW_TYPES = frozenset(
    {
        "image/jpeg",
        "image/webp",
        "text/plain; charset=utf-8",
        "audio/wav",
        "audio/ogg",
        "audio/flac",
        "audio/mpeg",
        "audio/mp4",
    }
)
UNKNOWN_TYPE = "application/octet-stream"


class HeadwayHandler(APIHandler):
    """What the REST handlers share."""

    auth_resource = AUTH_RESOURCE

    @property
    def tracker(self) -> ProgressTracker:
        """The extension's tracker."""
        tracker: ProgressTracker = self.settings["headway_tracker"]
        return tracker

    def check_query(self, known: frozenset[str]) -> None:
        """Raise `UsageError` when the query asks for what there is not."""
        # JupyterLab adds a bare time to what must not be cached.
        unknown = {key for key in self.request.query_arguments if not key.isdigit()} - known
        if unknown:
            raise UsageError(
                f"expected some of {', '.join(sorted(known - {'token'}))} in the query, "
                f"got {', '.join(sorted(unknown))}"
            )

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer an error of ours with its text; leave the others to Jupyter."""
        cause = getattr(kwargs.get("exc_info", (None, None))[1], "__cause__", None)
        if not isinstance(cause, HeadwayError):
            super().write_error(status_code, **kwargs)
            return
        if status_code == 503:
            self.set_header("Retry-After", str(RETRY_AFTER_S))
        self.set_header("Content-Type", "application/json")
        self.finish(encode_json({"message": str(cause), "reason": type(cause).__name__}))


class TaskProgressHandler(HeadwayHandler):
    """``GET headway/tasks/{task_id}/progress``."""

    @web.authenticated
    @authorized
    async def get(self, task_id: str) -> None:
        """Answer the JSON that the task's worker wrote."""
        with as_http_error():
            stored = await self.tracker.get_stored(task_id)
        self.set_header("Cache-Control", "no-cache")
        self.finish(stored.data)


class TaskCancelHandler(HeadwayHandler):
    """``POST headway/tasks/{task_id}/cancel``."""

    @web.authenticated
    @authorized
    async def post(self, task_id: str) -> None:
        """Ask whoever runs the task to stop it; the answer does not wait until that has happened."""
        with as_http_error():
            status = await self.tracker.cancel(task_id, by=_name_of(self.current_user))
        self.set_status(202)
        self.finish(encode_json({"task_id": task_id, "status": status}))


class TaskLogsHandler(HeadwayHandler):
    """``GET headway/tasks/{task_id}/logs?since=&level=&limit=``."""

    QUERY = frozenset({"since", "level", "limit", "token"})

    @web.authenticated
    @authorized
    async def get(self, task_id: str) -> None:
        """Answer log entries, oldest first, how many were dropped, and the cursor to the next ones."""
        with as_http_error():
            self.check_query(self.QUERY)
            await self.tracker.get_stored(task_id)
            page = await self.tracker.read_logs(
                task_id,
                since=_whole(self.get_query_argument("since", "0"), "since"),
                limit=_whole(self.get_query_argument("limit", "1000"), "limit"),
                level=self.get_query_argument("level", "debug"),
            )
        self.set_header("Cache-Control", "no-cache")
        self.finish(encode_json(page))


class TaskResourcesHandler(HeadwayHandler):
    """``GET headway/tasks/{task_id}/resources?since=``."""

    QUERY = frozenset({"since", "token"})

    @web.authenticated
    @authorized
    async def get(self, task_id: str) -> None:
        """Answer the samples after a time, oldest first, and the seconds between them."""
        with as_http_error():
            self.check_query(self.QUERY)
            since = _moment(self.get_query_argument("since", "0"))
            await self.tracker.get_stored(task_id)
            rows = await self.tracker.store.samples.read(task_id, since=since)
        self.set_header("Cache-Control", "no-cache")
        self.finish(encode_json(resources_json(rows)))


class TasksHandler(HeadwayHandler):
    """``GET headway/tasks?status=&since=&limit=&cursor=``."""

    QUERY = frozenset({"status", "since", "limit", "cursor", "token"})

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer summaries, those of the tasks made last first, and the cursor to the next ones."""
        with as_http_error():
            self.check_query(self.QUERY)
            tasks, cursor = await self.tracker.list_tasks(
                status=_status(self.get_query_argument("status", None)),
                since=_time(self.get_query_argument("since", None)),
                limit=_whole(self.get_query_argument("limit", "100"), "limit"),
                cursor=self.get_query_argument("cursor", None),
            )
        self.set_header("Cache-Control", "no-cache")
        self.finish(encode_json({"tasks": tasks, "cursor": cursor}))


class PreviewsHandler(HeadwayHandler):
    """``GET headway/tasks/{task_id}/previews``."""

    @web.authenticated
    @authorized
    async def get(self, task_id: str) -> None:
        """Answer what is known of the previews that are kept, oldest first."""
        with as_http_error():
            await self.tracker.get_stored(task_id)
            previews = await self.tracker.store.list_previews(task_id)
        self.set_header("Cache-Control", "no-cache")
        self.finish(encode_json(previews))


class PreviewHandler(HeadwayHandler):
    """``GET headway/tasks/{task_id}/previews/{n}``."""

    @web.authenticated
    @authorized
    async def get(self, task_id: str, number: str) -> None:
        """Answer a preview; it never changes, so it may be cached for ever."""
        with as_http_error():
            preview = await self.tracker.store.read_preview(check_task_id(task_id), int(number))
            if preview is None:
                raise TaskNotFoundError(f"{task_id}/previews/{number}")
        self.set_header("Cache-Control", PREVIEW_CACHE)
        self.set_header("X-Content-Type-Options", "nosniff")
        is_known = preview.media_type in PREVIEW_TYPES
        self.finish(preview.data, set_content_type=preview.media_type if is_known else UNKNOWN_TYPE)


def _name_of(user: Any) -> str:
    """Return what the server's identity provider calls a user."""
    names = (getattr(user, name, None) for name in ("display_name", "name", "username"))
    name = next((str(name) for name in names if name), ANONYMOUS)
    # Whoever comes with a token only is given the name of a moon.
    return ANONYMOUS if name.startswith("Anonymous ") else name


def _status(text: str | None) -> TaskStatus | None:
    if text is None:
        return None
    try:
        return TaskStatus(text)
    except ValueError:
        raise UsageError(f"expected status to be one of {', '.join(TaskStatus)}, got {text[:80]!r}") from None


def _time(text: str | None) -> Timestamp | None:
    if text is None:
        return None
    try:
        return Timestamp.from_iso(text)
    except (ValueError, OverflowError):
        raise UsageError(f"expected since to be an ISO 8601 time, got {text[:80]!r}") from None


def _moment(text: str) -> float:
    """Read UTC seconds since the epoch, or an ISO 8601 time."""
    try:
        seconds = float(text)
    except ValueError:
        return _time(text) or 0.0
    if not 0 <= seconds < math.inf:
        raise UsageError(f"expected since to be UTC seconds or an ISO 8601 time, got {text[:80]!r}")
    return seconds


def _whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"expected {name} to be a whole number, got {text[:80]!r}") from None
