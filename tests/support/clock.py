"""A clock that stands still until it is told to go on, for code that is given an `app.hub.clock.Clock`."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

import gevent

from app.hub.clock import Clock


class FakeClock:
    """now_s: the time; chance: what every draw gives. `clock` is to be handed in."""

    def __init__(self, now_s: float = 1000.0, chance: float = 0.0) -> None:
        self.now_s = now_s
        self.chance = chance
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._cancelled: set[int] = set()
        self._numbers = count()
        self.clock = Clock(lambda: self.now_s, lambda: self.now_s, lambda: self.chance, self._start_timer)

    @property
    def timers(self) -> int:
        """Timers that have neither fired nor been cancelled."""
        return len(self._timers) - len(self._cancelled)

    def advance(self, seconds: float) -> None:
        """Let time pass; whoever becomes due by then runs at its own moment, in order."""
        end_s = self.now_s + seconds
        self.settle()
        while self._timers and self._timers[0][0] <= end_s:
            due_s, number, callback = heapq.heappop(self._timers)
            if number in self._cancelled:
                self._cancelled.remove(number)
                continue
            self.now_s = max(self.now_s, due_s)
            callback()
            self.settle()
        self.now_s = end_s

    def settle(self) -> None:
        """Let every greenlet run that can."""
        gevent.idle()

    def _start_timer(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        number = next(self._numbers)
        heapq.heappush(self._timers, (self.now_s + max(0.0, seconds), number, callback))

        def cancel() -> None:
            if any(number == entry[1] for entry in self._timers):
                self._cancelled.add(number)

        return cancel
