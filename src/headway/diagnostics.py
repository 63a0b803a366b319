"""What Headway says about itself: each thing once."""

from __future__ import annotations

# What was said, so that it is not said again; forgotten all at once when it has grown too long.
_said: set[str] = set()
MAX_SAID = 1_000


def warn_once(topic: str, message: str, *args: object) -> None:
    """Log a warning, the first time that this topic comes up.

    Parameters
    ----------
    topic
        What counts as the same warning.
    message, args
        As `logging.Logger.warning` takes them.
    """
    if topic in _said:
        return
    if len(_said) >= MAX_SAID:
        _said.clear()
    _said.add(topic)
    import logging

    logging.getLogger("headway").warning("headway: " + message, *args)


def warn_superseded(task_id: str) -> None:
    """Say once that a run of a task is reported no more."""
    warn_once(
        f"superseded:{task_id}",
        "task %s was taken up by another run of the same id and is no longer reported from the first one",
        task_id,
    )


def settle(topic: str) -> None:
    """Let a topic be warned about again: what it was about is over."""
    _said.discard(topic)
