"""Handout: which shard each child gets next, and what becomes of the shards of a child that dies.

A shard belongs to the child that it was handed to until that child says that its file is in place. A child's death
gives its shards back, and whoever takes one up goes on where its part ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

from app.policy.sharding import Shard
from workers.blame import Blame
from workers.child import Child
from workers.feed import Feed
from workers.messages import NoMoreShards, TakeShard

# How many more shards one child may have in hand than another: so many, that none waits for the next; so few, that
# the child that began first does not take a short list all for itself.
_LEAD = 2


class Handout:
    """The shards of one batch on their way to its children. Never waits."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._hungry: list[Child] = []  # one entry for each Want that is not answered
        self._returned: deque[Shard] = deque()  # of children that died
        self._begun: set[int] = set()  # numbers of shards that a child has taken up
        self._blame = Blame()

    def wants(self, child: Child) -> None:
        """It has room for one more."""
        if not child.is_dismissed:
            self._hungry.append(child)

    def taken_up(self, child: Child, number: int, records: int) -> bool:
        """It begins with a shard that has so many records already; whether it is the first in this run to do so."""
        is_first = number not in self._begun
        self._begun.add(number)
        child.begun.add(number)
        self._blame.taken_up(number, records)
        return is_first

    def finished(self, child: Child, number: int) -> None:
        """The shard's file is in place."""
        self._begun.discard(number)
        self._blame.finished(number)
        del child.shards[number]
        child.begun.discard(number)

    def gone(self, child: Child) -> None:
        """It takes no more."""
        self._hungry = [other for other in self._hungry if other is not child]

    def died(self, child: Child, running: Collection[int]) -> None:
        """Its shards are for others. running: the requests whose stages it had begun."""
        self._blame.died(running, child.begun)
        self._returned.extend(shard for _, shard in sorted(child.shards.items()))

    def hand_out(self, children: Sequence[Child]) -> None:
        """Answer every Want that can be answered now. Raises PercoreError when the input can't be read any further."""
        while self._hungry:
            child = min(self._hungry, key=lambda hungry: len(hungry.shards))
            if len(child.shards) >= min(len(other.shards) for other in children) + _LEAD:
                return
            shard = self._next_shard()
            if shard is not None:
                self._hungry.remove(child)
                child.shards[shard.number] = shard
                child.send(self._taking(shard))
            elif self._feed.is_exhausted:
                self._dismiss(child)
            else:
                return

    def is_over(self, children: Sequence[Child]) -> bool:
        """Whether every shard is finished."""
        return self._feed.is_exhausted and not self._returned and not any(child.shards for child in children)

    def _dismiss(self, child: Child) -> None:
        # All its Wants are answered by this: it leaves, and must not be given what another's death returns later.
        child.is_dismissed = True
        self.gone(child)
        child.send(NoMoreShards())

    def _taking(self, shard: Shard) -> TakeShard:
        blame = self._blame
        return TakeShard(shard, blame.suspects(shard), blame.condemned(shard), blame.gives_up(shard.number))

    def _next_shard(self) -> Shard | None:
        if self._returned:
            return self._returned.popleft()
        return None if self._feed.is_exhausted else self._feed.take()
