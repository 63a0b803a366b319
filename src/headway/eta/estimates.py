"""From what was found to the estimate that viewers get, with the figures that it rests on."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from headway.estimates import Estimate, Figures, Span, StageEstimate
from headway.eta.pool import Pool, stage_estimate
from headway.eta.survival import Left
from headway.timestamps import Timestamp

BY_PACE = "pace of the current stage"
BY_WEIGHT = "pace of the stages before"
BY_LIKENESS = "similar templates"
# A pace of less than this share is not worth a word.
NOTABLE_PACE = 0.1


class Look(NamedTuple):
    """What was found of one task at one instant.

    Parameters
    ----------
    kind
        Answers of one kind are calibrated together.
    left
        Seconds left in all, before they are calibrated.
    pool
        The runs it was compared with.
    current, stage_left
        The running stage, -1 for none, and the seconds left of it.
    wait, ahead
        Seconds until it leaves the queue, and how many tasks leave it first.
    pace_share
        How much of the answer for the running stage is its own pace, 0 to 1.
    basis
        What it was made from where there is no history.
    others
        Kind and seconds left of answers of other kinds than which this one is to say no later end.
    """

    kind: str
    left: Left
    pool: Pool | None
    current: int = -1
    stage_left: Left | None = None
    wait: Left | None = None
    ahead: int | None = None
    pace_share: float | None = None
    basis: str = BY_LIKENESS
    late: bool = False
    stalled: bool = False
    others: tuple[tuple[str, Left], ...] = ()


def as_estimate(
    look: Look,
    finishes: tuple[float, float, float],
    *,
    names: tuple[str, ...],
    coverage: float | None,
    usual_s: float | None,
    runs: int,
) -> Estimate:
    """Put an answer into the words of the wire.

    Parameters
    ----------
    finishes
        The calibrated finish times.
    names
        The stages' ids.
    coverage
        How often such ranges held lately.
    usual_s
        Seconds that such a task usually takes.
    runs
        How many tasks of the template have completed.
    """
    same = 0 if look.pool is None else look.pool.same
    share = look.pace_share
    low, median, high = finishes
    return Estimate(
        low=Timestamp(low),
        median=Timestamp(median),
        high=Timestamp(high),
        basis=_basis(look, runs, same),
        late=look.late,
        stalled=look.stalled,
        wait=None if look.wait is None else _span(look.wait),
        stages=_stages(look, names),
        evidence=Figures(
            runs=runs,
            same=same,
            pace_share=None if share is None else round(share, 2),
            coverage=coverage,
            usual_s=None if usual_s is None else round(usual_s, 3),
            ahead=look.ahead,
        ),
    )


def _basis(look: Look, runs: int, same: int) -> str:
    if look.pool is None:
        return look.basis
    return _words(runs, same, with_pace=look.pace_share is not None and look.pace_share >= NOTABLE_PACE)


@lru_cache(maxsize=64)
def _words(runs: int, same: int, *, with_pace: bool) -> str:
    if not runs:
        words = BY_LIKENESS
    else:
        words = f"{runs} run{'' if runs == 1 else 's'} of this template"
        if 0 < same < runs:
            words += f", {same} with these parameters"
    if with_pace:
        words += f"; {BY_PACE}"
    return words


def _stages(look: Look, names: tuple[str, ...]) -> tuple[StageEstimate, ...]:
    later = () if look.pool is None else look.pool.expected(names, look.current)
    if look.stage_left is None:
        return later
    return (stage_estimate(names[look.current], look.stage_left), *later)


def _span(left: Left) -> Span:
    return Span(low=round(left.low, 3), median=round(left.median, 3), high=round(left.high, 3))
