"""The WebSocket: a thin tornado face of a `Connection`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from headway.errors import UsageError
from headway.server.connection import Connection
from headway.server.handlers import AUTH_RESOURCE
from headway.server.hub import Hub
from headway.server.messages import ErrorMessage, Subscribe, parse_message


class ProgressWebSocketHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """``WS headway/ws/progress``: subscribe and unsubscribe in, progress and errors out."""

    auth_resource = AUTH_RESOURCE
    _connection: Connection | None = None

    def set_default_headers(self) -> None:
        """Leave the handshake's headers alone."""

    def get_compression_options(self) -> dict[str, Any] | None:
        """Compress as the Jupyter server is configured to."""
        options: dict[str, Any] | None = self.settings.get("websocket_compression_options", None)
        return options

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Shake hands with a user who may read tasks."""
        allowed = self.authorizer.is_authorized(self, self.current_user, "read", AUTH_RESOURCE)
        if not await ensure_async(allowed):
            raise web.HTTPError(403)
        await super().get(*args, **kwargs)

    def open(self, *args: Any, **kwargs: Any) -> None:
        """Join the hub."""
        super().open(*args, **kwargs)
        hub: Hub = self.settings["headway_hub"]
        self._connection = hub.connect(self._send)

    def on_message(self, text: str | bytes) -> None:
        """Do what the viewer asks; what cannot be understood is answered, and the socket stays open."""
        if self._connection is None:
            return
        try:
            message = parse_message(text)
        except UsageError as error:
            self._connection.tell(ErrorMessage(code="bad_message", message=str(error)))
            return
        if isinstance(message, Subscribe):
            self._connection.subscribe(message)
        else:
            self._connection.unsubscribe(message.task_ids)

    def on_close(self) -> None:
        """Leave the hub."""
        super().on_close()
        connection, self._connection = self._connection, None
        if connection is not None:
            self.settings["headway_hub"].drop(connection)

    async def _send(self, frame: bytes) -> None:
        with suppress(WebSocketClosedError):  # on_close follows
            await self.write_message(frame.decode())
