"""When a task is expected to end, as a value: its range, and what it rests on.

Estimates are made in `headway.eta`; a task carries the newest of them.
"""

from __future__ import annotations

import msgspec

from headway.timestamps import Timestamp


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A length of time that is not known exactly: seconds, ``0 <= low <= median <= high``.

    ``low`` and ``high`` are the 10 % and the 90 % quantile.
    """

    low: float
    median: float
    high: float


class StageEstimate(Span, frozen=True, kw_only=True):
    """How many seconds one stage, of the id ``id``, is expected to take yet."""

    id: str


class Figures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The figures that an estimate rests on.

    Parameters
    ----------
    runs
        Completed tasks of the template that were learned from.
    same
        Those of them with exactly these parameters.
    pace_share
        0 to 1: how much of the answer for the running stage is its own pace; the rest is history.
    coverage
        0 to 1: how often such ranges, of about 80 %, held lately; ``None`` until that was measured.
    usual_s
        Seconds that such a task usually takes, from its submission to its end.
    ahead
        Tasks that are ahead of it in the queue.
    """

    runs: int = 0
    same: int = 0
    pace_share: float | None = None
    coverage: float | None = None
    usual_s: float | None = None
    ahead: int | None = None


class Estimate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a task is expected to end.

    Parameters
    ----------
    low, median, high
        Finish times in UTC seconds since the epoch, ``low <= median <= high``: in eight of ten tasks the
        end lies between the outer two.
    basis
        What the estimate was made from, in words.
    late
        Whether the task takes longer than nine in ten of its kind did.
    stalled
        Whether it takes so long that a task like it is usually done by now, and says nothing.
    wait
        Seconds until it leaves the queue, of a task that waits in one.
    stages
        The seconds that each stage takes yet, of those that are not over.
    evidence
        The figures behind it.
    """

    low: Timestamp
    median: Timestamp
    high: Timestamp
    basis: str
    late: bool = False
    stalled: bool = False
    wait: Span | None = None
    stages: tuple[StageEstimate, ...] = ()
    evidence: Figures | None = None

    def explain(self) -> list[str]:
        """Say in a few sentences what the estimate rests on, as the tooltip of a view does.

        Returns
        -------
        list of str
            The basis, then what is known of: the tasks ahead, the pace's share, the usual duration, how often
            such ranges held, and whether the task is late or has stalled.
        """
        said = [f"From {self.basis}."]
        figures = self.evidence or Figures()
        if figures.ahead is not None and self.wait is not None:
            tasks = "task is" if figures.ahead == 1 else "tasks are"
            said.append(f"{figures.ahead} {tasks} ahead; it starts in about {self.wait.median:.3g} s.")
        if figures.pace_share is not None:
            said.append(f"{figures.pace_share:.0%} current pace, {1.0 - figures.pace_share:.0%} history.")
        if figures.usual_s is not None:
            said.append(f"Such a task usually takes {figures.usual_s:.3g} s.")
        if figures.coverage is not None:
            said.append(f"Ranges like this one held {figures.coverage:.0%} of the time lately; 80% is meant.")
        if self.stalled:
            said.append("It says nothing any more; tasks like it are usually done by now.")
        elif self.late:
            said.append("It takes longer than nine in ten tasks like it did.")
        return said
