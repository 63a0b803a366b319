"""When a task ends: pure functions of what was observed, without I/O and without a clock.

The predictor, and numpy with it, is loaded when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headway.eta.predictor import ETAPredictor

__all__ = ["ETAPredictor"]


def __getattr__(name: str) -> Any:
    if name == "ETAPredictor":
        from headway.eta.predictor import ETAPredictor

        return ETAPredictor
    raise AttributeError(f"module 'headway.eta' has no attribute {name!r}")
