"""Held: for how long pieces of work kept the hub in one piece, counted in a way that takes little and can be added up.

The law: a duration is counted by its power of two and the next two binary digits, so a quantile read from the counts
is at most a quarter too high and never too low (the way of HdrHistogram, G. Tene, with two significant bits). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec


def bucket_of(seconds: float) -> int:
    """The bucket of a duration above 0."""
    mantissa, exponent = math.frexp(seconds)  # mantissa in [0.5, 1)
    return exponent * 4 + int((mantissa - 0.5) * 8)


def top_of(bucket: int) -> float:
    """The longest duration of a bucket, seconds."""
    exponent, part = divmod(bucket, 4)
    return math.ldexp(0.5 + (part + 1) / 8, exponent)


class Held(msgspec.Struct, frozen=True):
    """Counts at one moment.

    short  pieces that ended about when their slice did, which is as it should be
    long   bucket -> count of all others
    """

    short: int = 0
    long: dict[int, int] = {}

    @property
    def count(self) -> int:
        """All pieces."""
        return self.short + sum(self.long.values())

    def quantile_s(self, share: float) -> float:
        """What `share` of the pieces (0 to 1) did not exceed, seconds; 0.0 when that is a `short` piece."""
        above = self.count - math.ceil(self.count * share)
        for bucket in sorted(self.long, reverse=True):
            above -= self.long[bucket]
            if above < 0:
                return top_of(bucket)
        return 0.0

    @staticmethod
    def sum(parts: Iterable[Held]) -> Held:
        """All of them together."""
        short, long = 0, dict[int, int]()
        for part in parts:
            short += part.short
            for bucket, count in part.long.items():
                long[bucket] = long.get(bucket, 0) + count
        return Held(short, long)
