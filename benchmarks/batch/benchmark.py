"""A long list fetched to its end: Percore's batch beside what people use for it, and what a kill leaves of each.

The same URLs, fetched and hashed, by `bin/fetch-batch` and by its peers, each set up as well as its interface allows:
how fast, what it costs, and whether the output is right when the process is killed again and again and started anew in
the same way. The method: docs/benchmarks.md.
"""

from __future__ import annotations

from benchmarks.batch.command import add_options, run
from benchmarks.batch.report import table

__all__ = ["add_options", "run", "table"]
