"""What an earlier attempt left of a task, for the attempt that goes on with it."""

from __future__ import annotations

from typing import Any

from headway.models import StageProgress, StageStatus, TaskProgress


class Resumption:
    """How a task's stages go on after those of an earlier attempt; used under the task's lock.

    A first attempt has one too, in which nothing was done before.

    Parameters
    ----------
    run
        Names the new attempt's run.
    state
        The new attempt's first state; ``None`` for a first attempt.
    checkpoint
        The newest checkpoint of the earlier attempts.
    log_id
        The id of their newest log entry.

    Attributes
    ----------
    finished
        The stages that were over.
    redone
        The one of them that is being done again.
    """

    def __init__(
        self,
        *,
        run: str,
        state: TaskProgress | None = None,
        checkpoint: dict[str, Any] | None = None,
        log_id: int = 0,
    ) -> None:
        self.run = run
        self.checkpoint = checkpoint
        self.log_id = log_id
        self.finished = frozenset(
            stage.id for stage in (state.stages if state else ()) if stage.status.is_over
        )
        self.redone: str | None = None
        self._name = ""
        self._message: str | None = None
        self._interrupted = _running(state) if state else None
        self._to_enter = self._interrupted.id if self._interrupted else None
        self._elapsed_s = 0.0
        if state and self._interrupted and self._interrupted.started_at is not None:
            self._elapsed_s = state.updated_at - self._interrupted.started_at

    def elapsed_s(self, stage_id: str | None) -> float:
        """Return the seconds that earlier attempts have spent in a stage that goes on."""
        return self._elapsed_s if self._interrupted and stage_id == self._interrupted.id else 0.0

    def go_on(self, stage_id: str) -> bool:
        """Enter a running stage; return whether that is the one that was interrupted, for the first time."""
        is_first = stage_id == self._to_enter
        if is_first:
            self._to_enter = None
        return is_first

    def is_redoing(self, stage_id: str | None) -> bool:
        """Whether a report on this stage, or on the running one, is on one that is being done again."""
        return self.redone is not None and stage_id in (None, self.redone)

    def begin_redo(self, stage: StageProgress, *, message: str | None) -> None:
        """Begin to do a finished stage again; `message` is what was shown before."""
        self.redone, self._name, self._message = stage.id, stage.name, message

    def end_redo(self) -> str | None:
        """End it; return the message that was shown before."""
        self.redone = None
        return self._message

    def shown(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Return what of some facts about the running stage is shown: while a stage is redone, that it is."""
        if self.redone is None:
            return facts
        said = facts.get("message")
        return {"message": f"{self._name}, again: {said}" if said else f"{self._name}, again"}


def _running(state: TaskProgress) -> StageProgress | None:
    stage = state.stage(state.current_stage or "")
    return stage if stage and stage.status is StageStatus.IN_PROGRESS else None
