"""Blame: which request, or which shard, costs workers their lives. Counts only; pure of processes.

A death counts against the requests whose stages were running (the black box tells). When several were, all of
them become suspects, and suspects' stages are run one at a time from then on: the next death has one name on it.
A death with no name counts against the oldest shard under way, and only if it turns out, when another child takes
that shard up, that it has gained no record: a shard that makes progress is never given up, however often its
workers are killed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from app.policy.sharding import Shard

# A request should not be tried for ever, nor be given up for one worker's bad luck.
REQUEST_DEATHS = 3

# Workers that died in a row without a name and without a record gained.
BARREN_DEATHS = 5


class Blame:
    """The deaths of one batch."""

    def __init__(self) -> None:
        self._deaths: Counter[int] = Counter()  # by index of a request
        self._barren: Counter[int] = Counter()  # by shard number
        self._totals: dict[int, int] = {}  # records that a shard had when it was last taken up
        self._in_doubt: set[int] = set()  # shards that a nameless death is to be judged by

    def taken_up(self, number: int, total: int) -> None:
        """A child begins with shard `number`, which has `total` records already."""
        if number in self._in_doubt:
            self._in_doubt.discard(number)
            self._barren[number] = 0 if total > self._totals[number] else self._barren[number] + 1
        self._totals[number] = total

    def finished(self, number: int) -> None:
        """Shard `number` is done."""
        self._in_doubt.discard(number)
        self._totals.pop(number, None)
        self._barren.pop(number, None)

    def died(self, running: Collection[int], begun: Collection[int]) -> None:
        """A child died with these requests' stages running and these shards taken up."""
        named = [index for index in running if self._deaths[index]] or running
        if named:
            self._deaths.update(named)
        elif begun:
            self._in_doubt.add(min(begun))

    def suspects(self, shard: Shard) -> frozenset[int]:
        """Its requests that were running at a death, and may be run again."""
        return self._within(shard) - self.condemned(shard)

    def condemned(self, shard: Shard) -> frozenset[int]:
        """Its requests that are not run again."""
        return frozenset(index for index in self._within(shard) if self._deaths[index] >= REQUEST_DEATHS)

    def gives_up(self, number: int) -> bool:
        """Whether nothing more of shard `number` is run."""
        return self._barren[number] >= BARREN_DEATHS

    def _within(self, shard: Shard) -> frozenset[int]:
        end = shard.first_index + len(shard.lines)
        return frozenset(i for i, deaths in self._deaths.items() if deaths and shard.first_index <= i < end)
