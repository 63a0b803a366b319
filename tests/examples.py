"""How many examples a property test tries, and whether always the same ones.

A gate's answer depends on the change alone: there, every run draws the same examples. ``HEADWAY_EXAMPLES``
(as ``make chaos`` sets it) draws new ones, and as many as it says where a test usually tries 100.
"""

from __future__ import annotations

import os

USUAL = 100
GIVEN = os.environ.get("HEADWAY_EXAMPLES")
ARE_THE_SAME = GIVEN is None


def examples(usual: int) -> int:
    """The number for a test that tries `usual` ones at the gate."""
    return usual * int(GIVEN or USUAL) // USUAL
