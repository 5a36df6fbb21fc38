"""What ctrl-C, and a kill, do to fetch-batch: how soon it says so, how soon it is gone, and whether anything is lost.

Each trial is a batch on a terminal of its own, and ^C is typed there, at a moment drawn from the seed: with all cores
in pure-Python stages, with a slow origin, with native code that holds the GIL, with silent name servers, and while it
starts. Half of them get a second ^C, some a third. Then the same command goes on, and every record is looked at. The
method: docs/benchmarks.md.
"""

from __future__ import annotations

from benchmarks.stops.command import add_options, run
from benchmarks.stops.report import table

__all__ = ["add_options", "run", "table"]
