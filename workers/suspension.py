"""Suspension: ctrl-Z stops a whole batch, and `fg` or `bg` has it go on.

The terminal's signal reaches the parent alone: children are in process groups of their own. So the parent stops them,
whatever they have started included, and then itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from workers.child import Child
from workers.drain import StopSignals
from workers.progress import Progress


def suspend(signals: StopSignals, progress: Progress, children: Sequence[Child] = ()) -> float:
    """Stop all of it until somebody has it go on; for how many seconds that was."""
    began_s = time.monotonic()
    for child in children:
        child.suspend()
    progress.pause()
    signals.suspend()
    for child in children:
        child.resume()
    return time.monotonic() - began_s
