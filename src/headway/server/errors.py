"""Which HTTP status each of our errors is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tornado import web

from headway.errors import (
    HeadwayError,
    StoreError,
    TaskExistsError,
    TaskNotFoundError,
    TaskStateError,
    UsageError,
)

# The first that fits counts.
STATUSES: tuple[tuple[type[HeadwayError], int], ...] = (
    (TaskStateError, 409),
    (UsageError, 400),
    (TaskNotFoundError, 404),
    (TaskExistsError, 409),
    (StoreError, 503),
    (HeadwayError, 500),
)
RETRY_AFTER_S = 1


def http_status(error: HeadwayError) -> int:
    """Return the HTTP status that says what the error says."""
    return next(status for kind, status in STATUSES if isinstance(error, kind))


@contextmanager
def as_http_error() -> Iterator[None]:
    """Answer our errors with their status; the text goes into the JSON body, never into the status line."""
    try:
        yield
    except HeadwayError as error:
        raise web.HTTPError(http_status(error), "%s", str(error)) from error
