"""What the CPU scheduler has to reach, and whether it did. Pure.

Slices are of the length that the run used. A target whose regime or clients did not run is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.common.spread import Spread
from benchmarks.common.targets import Target, at_least
from benchmarks.cpu.contestants import OURS
from benchmarks.cpu.summary import Row


def targets(regime: str, rows: Sequence[Row], slice_s: float) -> list[Target]:
    """Those of one regime."""
    by_client = {row.client: row for row in rows if row.rate}
    ours = by_client.get(OURS)
    if regime == "lateness" and ours is not None:
        return _lateness(ours, by_client.get("threads-pinned"), slice_s)
    alternating = by_client.get("alternating")
    if regime == "rate" and alternating is not None and alternating.pairs is not None:
        # By CPU time: wall time is what others leave us, and who polls leaves them more.
        share = alternating.pairs.of_plain_cpu.median
        return at_least("throughput by CPU time, of one after another", share, 0.95)
    if regime == "short" and ours is not None and ours.probes is not None:
        return [_at_most("a short stage waits, p99", ours.probes.p99, 3, slice_s)]
    if regime.startswith("native-") and "percore-threads" in by_client:
        what = f"{regime.removeprefix('native-')} on a pinned worker, of pinned threads"
        return _ratio(what, by_client["percore-threads"].of_reference, 1.8)
    if regime == "scale" and "batch-2" in by_client:
        return _ratio("two workers, of one", by_client["batch-2"].of_reference, 1.9)
    return []


def _lateness(ours: Row, threads: Row | None, slice_s: float) -> list[Target]:
    reached = []
    if ours.late_p99_s is not None and ours.late_max_s is not None:
        reached.append(_at_most("timer lateness, p99", ours.late_p99_s.median, 2, slice_s))
        reached.append(_at_most("timer lateness, max", ours.late_max_s.median, 4, slice_s))
    if threads is not None and threads.late_times is not None and threads.rate and ours.rate:
        times = threads.late_times.median
        reached.append(Target("lateness p99 of pinned threads, of ours", ">= 20x", f"{times:.1f}x", times >= 20))
        share = ours.rate.median / threads.rate.median
        reached.append(Target("throughput, of pinned threads", ">= 1.00x", f"{share:.2f}x", share >= 1.0))
    return reached


def _at_most(what: str, got_s: float, slices: int, slice_s: float) -> Target:
    limit_s = slices * slice_s
    return Target(what, f"<= {limit_s * 1e3:g} ms ({slices} slices)", f"{got_s * 1e3:.2f} ms", got_s <= limit_s)


def _ratio(what: str, got: Spread | None, wanted: float) -> list[Target]:
    return at_least(what, got.median if got else None, wanted)
