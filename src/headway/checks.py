"""What is given from outside, checked and cut to its bounds before it becomes part of a task.

A check returns the value as it is kept, or raises and names what came.
"""

from __future__ import annotations

import math
import operator
import re
from typing import Any

import msgspec

from headway.errors import InvalidParamsError, InvalidProgressError, InvalidTaskIdError
from headway.models import encode_json

TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# Parameters and metadata are sent with every update of their task: 16 kB is ten times a usual workflow's.
MAX_VALUES_BYTES = 16_384
# A message is one line of a card, an error is a traceback's last lines.
MAX_MESSAGE_CHARS = 500
MAX_ERROR_CHARS = 4_000
# Of whoever asks for something.
MAX_NAME_CHARS = 100
# A sum of fractions may miss its end by so much.
ROUNDING = 1e-9


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
    return _checked(values, what=what)[0] if values else {}


def _checked(values: dict[str, Any], *, what: str) -> tuple[dict[str, Any], bytes]:
    """Return plain JSON values and their JSON; raises as `plain_values`."""
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
    return plain, data


def metadata_json(values: dict[str, Any]) -> bytes:
    """Write what is said with a log entry as JSON, whatever it is: a log call ends no job.

    What has no JSON form is kept as its text, what is too large as the beginning of it.
    """
    try:
        return _checked(values, what="metadata")[1]
    except InvalidParamsError:
        kept: dict[str, Any] = {}
        left_bytes = MAX_VALUES_BYTES
        for name, value in values.items():
            try:
                kept[name] = plain_values({name: value}, what="metadata")[name]
            except InvalidParamsError:
                kept[name] = _text(value)
            size_bytes = len(encode_json(kept[name]))
            if size_bytes > left_bytes:
                kept[name] = "…"
            left_bytes -= min(size_bytes, left_bytes)
        return encode_json(kept)


def _text(value: object) -> str:
    try:
        return shorten(str(value), MAX_MESSAGE_CHARS)
    except Exception:  # whatever its __str__ raises
        return f"<{type(value).__name__}>"


def parse_fraction(progress: float | None, *, done: int | None, total: int | None) -> float | None:
    """Read how far something is, from a fraction or from counts.

    Returns
    -------
    float or None
        0 to 1; ``None`` when nothing was said that tells.

    Raises
    ------
    InvalidProgressError
        When a value is out of range or not a number, or there are more steps done than there are.
    """
    total = None if total is None else check_count(total, least=1, what="a total")
    done = None if done is None else check_count(done, least=0, what="a count of steps done")
    if done is not None and total is not None and done > total:
        raise InvalidProgressError(
            f"expected at most {total} steps, the total that was given, got {done} done; "
            "give the right total, or none while it is unknown",
            done,
        )
    if progress is not None:
        return check_fraction(progress)
    return done / total if done is not None and total is not None else None


def check_fraction(progress: object) -> float:
    """Return a progress from 0 to 1 as a float.

    Raises
    ------
    InvalidProgressError
        When it is out of range, NaN or not a number; the message guesses at percentages.
    """
    try:
        value = float(progress)  # type: ignore[arg-type]  # numpy scalars are welcome
    except (TypeError, ValueError):
        value = math.nan
    if isinstance(progress, (bool, str)) or not -ROUNDING <= value <= 1.0 + ROUNDING:
        hint = f"; for a percentage, pass {value:g} / 100" if 1.0 < value <= 100.0 else ""
        raise InvalidProgressError(f"expected a progress from 0 to 1, got {progress!r}{hint}", progress)
    return min(1.0, max(0.0, value))


def check_count(value: Any, *, least: int, what: str) -> int:
    """Return a whole number of steps, numpy's welcome, as an int.

    Raises
    ------
    InvalidProgressError
        When it is less than `least`, or not a whole number.
    """
    try:
        count = operator.index(value)
    except TypeError:
        count = least - 1
    if count < least or isinstance(value, bool):
        raise InvalidProgressError(
            f"expected {what} of {least} or more, a whole number, got {value!r}", value
        )
    return count


def error_text(error: BaseException) -> str:
    """Say an exception in the words that a traceback ends with, cut to a bound."""
    name, text = type(error).__qualname__, str(error)
    return shorten(f"{name}: {text}" if text else name, MAX_ERROR_CHARS)


def shorten(text: str, limit: int) -> str:
    """Cut a text to `limit` characters, the last of them an ellipsis where something was cut."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()  # file names may hold what JSON cannot
    return text if len(text) <= limit else text[: limit - 1] + "…"
