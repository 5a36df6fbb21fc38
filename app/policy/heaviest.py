"""Heaviest: which keys of a long stream weigh most, with memory for a few hundred. Pure.

Weighted Misra-Gries counters that are lowered by their median when they are all taken: Anderson and others, "A
High-Performance Algorithm for Identifying Frequent Items in Data Streams", IMC 2017. A key with more than
2/`places` of all weight is certainly kept. What is told of a key is what it has weighed since it last came in: the
truth for the heavy ones, and never too much.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

_PLACES = 256


class Weighed(msgspec.Struct, frozen=True):
    """A key, how often it came since it has its place, and what it weighed then."""

    key: str
    count: int
    weight: float


class _Place:
    __slots__ = ("count", "rank", "weight")

    def __init__(self) -> None:
        self.rank = 0.0  # the counter that is lowered
        self.count = 0
        self.weight = 0.0


class Heaviest:
    """The counters. places: keys that are kept, at most."""

    def __init__(self, places: int = _PLACES) -> None:
        self._limit = places
        self._places: dict[str, _Place] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, key: str, weight: float) -> None:
        """The key came once more, and weighs that much (0 or more)."""
        place = self._places.get(key)
        if place is None:
            if len(self._places) >= self._limit:
                self._lower()
            place = self._places[key] = _Place()
        place.rank += weight
        place.count += 1
        place.weight += weight

    def most(self, number: int) -> list[Weighed]:
        """The heaviest, most first."""
        places = sorted(self._places.items(), key=lambda item: (-item[1].weight, item[0]))
        return [Weighed(key, place.count, place.weight) for key, place in places[:number]]

    def _lower(self) -> None:
        """Make room for half of the places, once for many new keys."""
        ranks = sorted(place.rank for place in self._places.values())
        median = ranks[len(ranks) // 2]
        for place in self._places.values():
            place.rank -= median
        self._places = {key: place for key, place in self._places.items() if place.rank > 0}


def merged(lists: Iterable[Iterable[Weighed]], number: int) -> list[Weighed]:
    """The heaviest of what several have told, most first."""
    found: dict[str, Weighed] = {}
    for weighed in (weighed for each in lists for weighed in each):
        other = found.get(weighed.key)
        if other is not None:
            weighed = Weighed(weighed.key, weighed.count + other.count, weighed.weight + other.weight)
        found[weighed.key] = weighed
    return sorted(found.values(), key=lambda weighed: (-weighed.weight, weighed.key))[:number]
