"""Slot table: the slots that are alive, and when they are forgotten.

The law: a slot lives while somebody has a permit or waits for one. Afterwards its state is forgotten as soon as a new
one would do as well (`OriginState.forgettable_s`): at once for an origin in good health without a delay; else when
delay, embargo and trouble are over, each of which has an end. No more than MAX_REMEMBERED idle ones are kept; beyond,
the one that would be forgotten first makes room. So memory follows the origins in flight and the troubled ones of the
last minutes, never the number ever seen.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count

from app.fetching.permit import Slot
from app.policy.politeness import OriginState, PolitenessRules
from app.policy.urls import Origin

MAX_REMEMBERED = 100_000


class SlotTable:
    """All slots of one hub. Times are seconds on the caller's monotonic clock.

    remembered  idle slots
    open        slots whose circuit is open; who opens or closes one counts here
    """

    def __init__(self, rules: PolitenessRules) -> None:
        self._rules = rules
        self._slots: dict[Origin, Slot] = {}
        self._idle: list[tuple[float, int, Slot]] = []  # a heap by the moment of forgetting; some are stale
        self._order = count()
        self.remembered = 0
        self.open = 0

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[Slot]:
        """The slots of this moment: they may come and go meanwhile."""
        return iter(list(self._slots.values()))

    def slot_of(self, origin: Origin, now_s: float) -> Slot:
        """The slot of `origin`, for somebody who wants a permit there."""
        slot = self._slots.get(origin)
        if slot is None:
            if self._idle:
                self.forget(now_s)
            slot = self._slots[origin] = Slot(origin, OriginState(self._rules))
        elif slot.is_remembered:
            slot.is_remembered = False
            self.remembered -= 1
        return slot

    def leave_alone(self, slot: Slot, now_s: float) -> None:
        """Forget a slot that nobody uses, now or when its time comes."""
        if slot.in_flight or slot.queue or slot.is_remembered or slot.is_forgotten:
            return
        if slot.cancel_timer is not None:
            slot.cancel_timer()
            slot.cancel_timer = None
        state = slot.state
        if state.is_unbound and state.is_healthy:
            slot.is_forgotten = True
            del self._slots[slot.origin]
            return
        slot.is_remembered = True
        self.remembered += 1
        slot.forgettable_s = state.forgettable_s(now_s)
        if not slot.is_in_heap:
            slot.is_in_heap = True
            heapq.heappush(self._idle, (slot.forgettable_s, next(self._order), slot))
        self.forget(now_s)

    def forget(self, now_s: float) -> None:
        """Forget what is not worth remembering any more."""
        while self._idle and (self._idle[0][0] <= now_s or self.remembered > MAX_REMEMBERED):
            _, _, slot = heapq.heappop(self._idle)
            slot.is_in_heap = False
            if not slot.is_remembered:
                continue  # in use again
            if slot.forgettable_s > now_s and self.remembered <= MAX_REMEMBERED:
                slot.is_in_heap = True
                heapq.heappush(self._idle, (slot.forgettable_s, next(self._order), slot))
                continue
            slot.is_remembered, slot.is_forgotten = False, True
            self.remembered -= 1
            self.open -= not slot.state.is_circuit_closed
            del self._slots[slot.origin]
