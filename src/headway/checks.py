"""What is given from outside, checked and cut to its bounds before it becomes part of a task.

A check returns the value as it is kept, or raises and names what came.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from headway.errors import InvalidParamsError, InvalidTaskIdError
from headway.models import encode_json

TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# Parameters and metadata are sent with every update of their task: 16 kB is ten times a usual workflow's.
MAX_VALUES_BYTES = 16_384
# A message is one line of a card, an error is a traceback's last lines.
MAX_MESSAGE_CHARS = 500
MAX_ERROR_CHARS = 4_000
# Of whoever asks for something.
MAX_NAME_CHARS = 100


def check_task_id(task_id: object) -> str:
    """Return the id when it is one that may stand in a key and a URL.

    Raises
    ------
    InvalidTaskIdError
        Unless it is 1 to 128 of ``A-Z a-z 0-9 _ . -``, the first of them a letter or a digit.
    """
    if isinstance(task_id, str) and TASK_ID.fullmatch(task_id):
        return task_id
    raise InvalidTaskIdError(task_id)


def plain_values(values: dict[str, Any] | None, *, what: str) -> dict[str, Any]:
    """Copy a dict into plain JSON values; array scalars become numbers.

    Parameters
    ----------
    values
        Parameters or metadata.
    what
        How the error calls them.

    Raises
    ------
    InvalidParamsError
        When a value has no JSON form, or all of them take more than 16 kB.
    """
    if not values:
        return {}
    try:
        data = encode_json(values)
        plain = msgspec.json.decode(data)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidParamsError(
            f"expected {what} to be JSON values, got one that is not: {error}"
        ) from error
    if len(data) > MAX_VALUES_BYTES:
        raise InvalidParamsError(f"expected at most {MAX_VALUES_BYTES} bytes of {what}, got {len(data)}")
    if not isinstance(plain, dict):
        raise InvalidParamsError(f"expected {what} to be a dict, got {type(values).__name__}")
    return plain


def error_text(error: BaseException) -> str:
    """Say an exception in the words that a traceback ends with, cut to a bound."""
    name, text = type(error).__qualname__, str(error)
    return shorten(f"{name}: {text}" if text else name, MAX_ERROR_CHARS)


def shorten(text: str, limit: int) -> str:
    """Cut a text to `limit` characters, the last of them an ellipsis where something was cut."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()  # file names may hold what JSON cannot
    return text if len(text) <= limit else text[: limit - 1] + "…"
