"""CPU work beside I/O on one core: how late the loop is, what ctrl-C waits for, and what that costs in throughput.

The same pages are fetched and scored by Percore's sliced scheduler and by its peers: threads, asyncio with and without
pools, gevent without slices. In each round every client runs once, in an order that changes. The method:
docs/benchmarks.md.
"""

from __future__ import annotations

from benchmarks.cpu.command import add_options, run
from benchmarks.cpu.report import table

__all__ = ["add_options", "run", "table"]
