"""Lateness of a ticker, condensed: what was missed meanwhile is counted too, quantiles, a histogram. Pure.

A ticker that asks for 1 ms and is run after 201 ms has been late once, by 200 ms. But whoever waited for an event in
these 200 ms was late as well, by 199 ms, 198 ms and so on; left out, one long stall weighs no more than one good tick
(Gil Tene calls it coordinated omission, and HdrHistogram corrects for it in this way). So each tick that should have
been is counted: there are as many as the run has milliseconds, for every contestant.

Nothing but the standard library here: the peers' environment imports it too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

TICK_S = 0.001

PER_DECADE = 10
LEAST_S = 1e-6
DECADES = 8
BUCKETS = PER_DECADE * DECADES
"""Of a histogram: bucket i holds LEAST_S * 10 ** (i / PER_DECADE) and more. The first holds all below, the last all
above its own.
"""


def with_missed(seen_s: Iterable[float], tick_s: float = TICK_S) -> list[float]:
    """What the ticker saw and, for each tick that it missed meanwhile, how late that would have been."""
    late = []
    for value_s in seen_s:
        late.append(max(0.0, value_s))
        missed = math.ceil(value_s / tick_s) - 1
        late.extend(value_s - number * tick_s for number in range(1, missed + 1))
    return late


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share (0 to 1) of them does not pass; 0.0 of none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def histogram(values_s: Iterable[float]) -> list[int]:
    """How many in each of the BUCKETS."""
    counts = [0] * BUCKETS
    for value_s in values_s:
        counts[bucket_of(value_s)] += 1
    return counts


def bucket_of(value_s: float) -> int:
    if value_s <= LEAST_S:
        return 0
    return min(BUCKETS - 1, math.floor(math.log10(value_s / LEAST_S) * PER_DECADE + 1e-9))


def begin_of(bucket: int) -> float:
    """Seconds; `bucket` may be BUCKETS, the end of the last one."""
    return float(LEAST_S * 10 ** (bucket / PER_DECADE))
