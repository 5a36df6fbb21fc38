"""Tally: how far a batch is, what came of it, and how its workers are. How it is shown is `workers.progress`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence

import msgspec

from app.policy.heaviest import Weighed, merged

# What is kept of workers that have ended, so that replacing them again and again costs no memory.
_SLOWEST_KEPT = 64


class WorkerState(msgspec.Struct, frozen=True):
    """One worker at this moment.

    core       the CPU that it is pinned to, None for no pin
    in_flight  fetches that hold a slot
    cpu        CPU seconds per second of late; above 1 when threads work beside the hub
    late_s     by how much its hub was late, at most, of late
    """

    pid: int
    core: int | None
    in_flight: int
    cpu: float
    late_s: float


class Tally:
    """Counts of records by kind ("ok", or an error kind), those of an earlier run of the same job included.

    resumed  how many of the records an earlier run left
    total    records that there will be, None while the input has not been read to its end
    workers  how those that are alive are, in the order of their cores
    """

    def __init__(self) -> None:
        self.resumed = 0
        self.total: int | None = None
        self.workers: Sequence[WorkerState] = ()
        self._finished: Counter[str] = Counter()
        self._open: dict[int, Mapping[str, int]] = {}  # by shard number
        self._slowest: dict[Hashable, Sequence[Weighed]] = {}  # by worker
        self._slowest_before: list[Weighed] = []  # of workers that have ended

    def set_open(self, number: int, kinds: Mapping[str, int]) -> None:
        """Replace what is known of a shard under way."""
        self._open[number] = kinds

    def finish(self, number: int, kinds: Mapping[str, int]) -> None:
        """Count a finished shard."""
        self._open.pop(number, None)
        self._finished.update(kinds)

    def set_slowest(self, worker: Hashable, origins: Sequence[Weighed]) -> None:
        """Replace what a worker has told of the origins that its time went to."""
        self._slowest[worker] = origins

    def ended(self, worker: Hashable) -> None:
        """A worker is no more; what it has told stays."""
        self._slowest_before = merged([self._slowest_before, self._slowest.pop(worker, ())], _SLOWEST_KEPT)

    def slowest(self, number: int) -> list[Weighed]:
        """The origins that most time went to, most first."""
        told: Iterable[Iterable[Weighed]] = [self._slowest_before, *self._slowest.values()]
        return merged(told, number)

    @property
    def kinds(self) -> Counter[str]:
        """All counts at this moment."""
        kinds = self._finished.copy()
        for open_kinds in self._open.values():
            kinds.update(open_kinds)
        return kinds
