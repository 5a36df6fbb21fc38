"""The same list done in slices and one after another, pair by pair, condensed. Pure.

A pair's ratio is the time of the plain way by that of ours: our throughput in that of one after another, since the work
is the same. The two ways took turns, so what else the machine did has cost both about as much.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from msgspec import Struct

from benchmarks.common.spread import Quartiles, quartiles_of


class Pair(Struct, frozen=True):
    """What one list took in both ways.

    windows  turns that ours had
    slices   of each stage
    """

    plain_wall_s: float
    plain_cpu_s: float
    sliced_wall_s: float
    sliced_cpu_s: float
    windows: int
    slices: float


class Paired(Struct, frozen=True):
    """Of all the pairs of all rounds together.

    of_plain_cpu, of_plain_wall  throughput of ours in that of one after another, by CPU time and by wall time
    plain_ms, sliced_ms          CPU time of a stage, medians
    windows, slices              medians
    """

    pairs: int
    of_plain_cpu: Quartiles
    of_plain_wall: Quartiles
    plain_ms: float
    sliced_ms: float
    windows: float
    slices: float


def paired(pairs: Sequence[Pair], stages: int) -> Paired | None:
    """None of none; `stages` is how many a list has."""
    by_cpu = quartiles_of(pair.plain_cpu_s / pair.sliced_cpu_s for pair in pairs)
    by_wall = quartiles_of(pair.plain_wall_s / pair.sliced_wall_s for pair in pairs)
    if by_cpu is None or by_wall is None:
        return None
    return Paired(
        pairs=len(pairs),
        of_plain_cpu=by_cpu,
        of_plain_wall=by_wall,
        plain_ms=statistics.median(pair.plain_cpu_s for pair in pairs) / stages * 1e3,
        sliced_ms=statistics.median(pair.sliced_cpu_s for pair in pairs) / stages * 1e3,
        windows=statistics.median(pair.windows for pair in pairs),
        slices=statistics.median(pair.slices for pair in pairs),
    )
