"""Children of a batch that are none: what the parent's parts say to them is written down."""

from __future__ import annotations

from typing import cast

from app.policy.sharding import Shard
from workers.child import Child
from workers.feed import Feed
from workers.messages import ToChild


class StubChild:
    """Has what a `Child` has that is asked for without a process."""

    def __init__(self, *, is_ready: bool = True) -> None:
        self.shards: dict[int, Shard] = {}
        self.begun: set[int] = set()
        self.is_ready = is_ready
        self.is_dismissed = False
        self.sent: list[ToChild] = []
        self.kills = 0

    def send(self, message: ToChild) -> None:
        self.sent.append(message)

    def kill(self) -> None:
        self.kills += 1

    @property
    def child(self) -> Child:
        """As the parts know it."""
        return cast("Child", self)


class StubFeed:
    """Shards of one line, which are there when the test says so."""

    def __init__(self) -> None:
        self.ready: list[Shard] = []
        self.is_exhausted = False

    def put(self, *numbers: int) -> None:
        self.ready += [Shard(number, number, [b"http://h.test/"]) for number in numbers]

    def take(self) -> Shard | None:
        return self.ready.pop(0) if self.ready else None

    @property
    def feed(self) -> Feed:
        """As the parts know it."""
        return cast("Feed", self)
