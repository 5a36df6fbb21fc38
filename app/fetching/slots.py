"""Slots: how many fetches an origin gets at once, and all origins together.

A slot lives while somebody holds it or waits for it and is forgotten afterwards, so memory follows the
number of origins in flight, not the number ever seen.

The order is fixed: first a place at the origin, then one of the total. Who waits for a slow origin thus keeps
nobody from another one, and who has both waits for nobody, so this can't lock up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import msgspec
from gevent.lock import BoundedSemaphore

from app.errors import Draining
from app.policy.urls import Origin


class SlotStatistics(msgspec.Struct, frozen=True):
    """A snapshot. origins: slots alive; users: greenlets that hold or await one; in_flight: those that may fetch."""

    origins: int
    users: int
    in_flight: int


class Slots:
    """All slots of one hub.

    per_origin  fetches that one origin may have in flight
    total       fetches that all of them may have in flight; None is no limit
    """

    def __init__(self, per_origin: int, total: int | None = None) -> None:
        self._per_origin = per_origin
        self._total = nullcontext() if total is None else BoundedSemaphore(total)
        # Mutable state: changed only by `hold`, which enters and leaves in pairs.
        self._semaphores: dict[Origin, BoundedSemaphore] = {}
        self._users: dict[Origin, int] = {}
        self._in_flight = 0
        self._is_draining = False

    def drain(self) -> None:
        """From now on nobody gets a place: who holds one keeps it, who waits or comes later is sent away."""
        self._is_draining = True

    @contextmanager
    def hold(self, origin: Origin) -> Iterator[None]:
        """Wait for a place at `origin` and in all, in turn, and keep both for the block. Yields to the hub.

        Raises Draining instead, after `drain`.
        """
        semaphore = self._semaphores.get(origin)
        if semaphore is None:
            semaphore = self._semaphores[origin] = BoundedSemaphore(self._per_origin)
        self._users[origin] = self._users.get(origin, 0) + 1
        try:
            with semaphore, self._total:
                if self._is_draining:
                    raise Draining("no more fetches are begun")
                self._in_flight += 1
                try:
                    yield
                finally:
                    self._in_flight -= 1
        finally:
            self._users[origin] -= 1
            if not self._users[origin]:
                del self._users[origin], self._semaphores[origin]

    def statistics(self) -> SlotStatistics:
        """Counts at this moment; all zero when nothing is in flight."""
        return SlotStatistics(len(self._semaphores), sum(self._users.values()), self._in_flight)
