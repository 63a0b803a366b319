"""The extension's routes as a client sees them, from the table that registers them."""

from __future__ import annotations

import re
from typing import Any

from headway.server.app import HANDLERS
from headway.server.websocket import ProgressWebSocketHandler

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# What stands for each group of a pattern, in the order of the groups.
SAMPLES = ("a", "1")


def sample_path(pattern: str) -> str:
    """Fill in a pattern, without the slash at its start."""
    path = pattern.removesuffix("/?").lstrip("/")
    for sample in SAMPLES:
        path = re.sub(r"\([^)]*\)", sample, path, count=1)
    return path


#: Every verb that a handler of ours answers, with a path that reaches it.
ENDPOINTS = [
    (verb, sample_path(pattern), handler)
    for pattern, handler in HANDLERS
    for verb in VERBS
    if verb.lower() in vars(handler)
]
REST: list[tuple[str, Any]] = [
    (pattern, handler) for pattern, handler in HANDLERS if handler is not ProgressWebSocketHandler
]
