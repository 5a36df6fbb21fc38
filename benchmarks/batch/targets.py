"""What the batch has to reach, and whether it did. Pure. What did not run is left out."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.batch.contestants import OURS
from benchmarks.batch.journal import Way
from benchmarks.batch.summary import Row
from benchmarks.common.targets import Target, at_least

_CORES = 1.8
_JOURNAL_PERCENT = 10.0


def targets(rows: Sequence[Row], ways: Sequence[Way]) -> list[Target]:
    """Those of one regime."""
    found = []
    for row in rows:
        if row.client == "workers-2" and row.of_reference is not None:
            found += at_least("two workers, of one", row.of_reference.median, _CORES)
        if row.client == OURS and row.histories:
            passed = sum(history.passes for history in row.histories)
            of = len(row.histories)
            found.append(Target("killed lists that are right", f"{of} of {of}", f"{passed} of {of}", passed == of))
    for way in ways:
        if way.name == "lines":
            percent = (way.times_cpu.median - 1) * 100
            what = "the journal, CPU time above that of plain lines"
            found.append(Target(what, f"< {_JOURNAL_PERCENT:g} %", f"{percent:.1f} %", percent < _JOURNAL_PERCENT))
    return found
