"""Fetches per second on one core: Percore's fetcher beside its peers, all of them in one interleaved run.

The client has one core, the origin another. In each round every client runs once, in an order that changes; rates are
compared within a round only, since a shared machine is not the same one a minute later. The method:
docs/benchmarks.md.
"""

from __future__ import annotations

from benchmarks.fetch.command import add_options, run
from benchmarks.fetch.report import table

__all__ = ["add_options", "run", "table"]
