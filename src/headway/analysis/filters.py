"""Which tasks a frame is made of: the arguments that all frames share."""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import UTC, datetime
from numbers import Real
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headway.errors import UsageError
from headway.models import TaskStatus

#: One name or several; ``None`` is all.
Names: TypeAlias = str | Collection[str] | None
#: A datetime or a pandas Timestamp (UTC where it has no zone), an ISO 8601 text, or UTC epoch seconds.
Moment: TypeAlias = datetime | str | float | None


class Filters:
    """What was asked for, checked.

    Parameters
    ----------
    template_id, category, device, status
        Only tasks of these; one text or a collection of texts.
    since, until
        Only tasks that finished at `since` or later, and before `until`.

    Raises
    ------
    UsageError
        When one of them is not of that form.
    """

    def __init__(
        self,
        *,
        template_id: Names = None,
        category: Names = None,
        device: Names = None,
        status: Names = None,
        since: Moment = None,
        until: Moment = None,
    ) -> None:
        asked = {"template_id": template_id, "category": category, "device": device, "status": status}
        self._names = {name: parse_names(name, value) for name, value in asked.items() if value is not None}
        for unknown in sorted(self._names.get("status", frozenset()) - set(TaskStatus)):
            raise UsageError(f"expected a status of {', '.join(TaskStatus)}, got {unknown!r}")
        self._since = None if since is None else parse_moment("since", since)
        self._until = None if until is None else parse_moment("until", until)
        if self._since and self._until and self._since > self._until:
            raise UsageError(f"expected since= before until=, got {since!r} and {until!r}")

    def select(self, tasks: pd.DataFrame) -> NDArray[np.bool_]:
        """Say for each row of a frame of tasks whether it was asked for."""
        wanted = np.ones(len(tasks), np.bool_)
        for name, values in self._names.items():
            wanted &= tasks[name].isin(values).to_numpy()
        if self._since is not None:
            wanted &= (tasks["finished_at"] >= self._since).to_numpy()
        if self._until is not None:
            wanted &= (tasks["finished_at"] < self._until).to_numpy()
        return wanted


def parse_moment(name: str, value: object) -> pd.Timestamp:
    """Read a moment as UTC.

    Raises
    ------
    UsageError
        When it is no datetime, pandas Timestamp, ISO 8601 text or number of seconds since the epoch.
    """
    moment: datetime
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
        elif isinstance(value, datetime) and not isinstance(value, type(pd.NaT)):
            moment = value
        elif isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
            moment = datetime.fromtimestamp(float(value), UTC)
        else:
            raise TypeError(type(value).__name__)
        stamp = pd.Timestamp(moment)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"expected {name}= as a datetime, a pandas Timestamp, an ISO 8601 text or UTC seconds since the "
            f"epoch, got {value!r}"
        ) from error
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def parse_names(name: str, value: object) -> frozenset[str]:
    """Read one name or several.

    Raises
    ------
    UsageError
        When it is no text and no collection of texts.
    """
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, Collection) or isinstance(values, (bytes, bytearray)):
        raise UsageError(f"expected {name}= as a text or a collection of texts, got {value!r}")
    for item in values:
        if not isinstance(item, str):
            raise UsageError(f"expected {name}= as a text or a collection of texts, got {item!r} in it")
    return frozenset(str(item) for item in values)
