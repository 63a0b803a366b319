"""Estimates as values."""

from __future__ import annotations

from headway.estimates import Estimate, Figures, Span
from headway.timestamps import Timestamp


def test_an_estimate_explains_itself() -> None:
    times = {"low": Timestamp(10.0), "median": Timestamp(20.0), "high": Timestamp(30.0)}
    assert Estimate(**times, basis="pace of the current stage").explain() == [
        "From pace of the current stage."
    ]
    figures = Figures(runs=32, same=9, pace_share=0.72, coverage=0.81, usual_s=27.5, ahead=1)
    wait = Span(low=1.0, median=2.0, high=3.0)
    late = Estimate(**times, basis="32 runs of this template", late=True, wait=wait, evidence=figures)
    assert late.explain() == [
        "From 32 runs of this template.",
        "1 task is ahead; it starts in about 2 s.",
        "72% current pace, 28% history.",
        "Such a task usually takes 27.5 s.",
        "Ranges like this one held 81% of the time lately; 80% is meant.",
        "It takes longer than nine in ten tasks like it did.",
    ]
    assert Estimate(**times, basis="x", stalled=True).explain()[-1].startswith("It says nothing any more")
