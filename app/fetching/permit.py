"""Permit and slot: one request's permit at its origin, and one origin with all who have or want one there.

Both are what `app.fetching.slots` keeps its accounts in; who may begin when is decided there.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Protocol

from gevent import get_hub
from gevent.hub import Waiter
from msgspec import Struct

from app.errors import Draining, FetchError
from app.hub.clock import Cancel
from app.policy.politeness import OriginState
from app.policy.urls import Origin


class End(Enum):
    GO = "begin"
    STOP = "what there is stands"


GO = End.GO
STOP = End.STOP
Verdict = End | FetchError | Draining


class Keeper(Protocol):
    """What a permit asks of its slots."""

    def leave(self, permit: Permit) -> None: ...

    def answered(self, permit: Permit, status: int, retry_after_s: float | None) -> None: ...

    def failed(self, permit: Permit, error: FetchError) -> None: ...

    def pause(self, permit: Permit, wait_s: float, limit_s: float) -> bool: ...


class Permit(Struct, eq=False):
    """A request's permit at its origin: in flight for the `with` block that `Slots.hold` is for.

    Tell it what became of each attempt: `answered` or `failed`. Its other attributes are the slots' own.

    entered_s  when it was had, on the slots' clock
    verdict    how its last wait ended, None while it waits; set some time before its greenlet runs again
    """

    _keeper: Keeper
    slot: Slot
    entered_s: float
    is_probe: bool = False
    window: int = 0
    verdict: Verdict | None = None
    _waiter: Waiter[None] | None = None

    def __enter__(self) -> Permit:
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.leave(self)

    def answered(self, status: int, retry_after_s: float | None = None) -> None:
        """An attempt got a response. retry_after_s: what its Retry-After asks for, None when absent."""
        if status >= 400 or not self.slot.state.is_healthy:
            self._keeper.answered(self, status, retry_after_s)

    def failed(self, error: FetchError) -> None:
        """An attempt got none."""
        self._keeper.failed(self, error)

    def pause(self, wait_s: float, limit_s: float) -> bool:
        """Wait `wait_s` and then for the origin's leave to try again, keeping the permit; whether that came.

        False as soon as it is known that it would take `limit_s` or longer, or that the circuit refuses: the last
        attempt's result then stands. Yields to the hub.
        """
        return self._keeper.pause(self, wait_s, limit_s)

    def raise_delay(self, crawl_delay_s: float) -> None:
        """The origin's robots.txt, just read, asks for that delay."""
        self.slot.state.raise_delay(crawl_delay_s)

    def begin(self, now_s: float) -> None:
        """Note that an attempt begins."""
        state = self.slot.state
        self.is_probe = state.begin(now_s)
        self.window = state.window

    def stand_in(self, line: OrderedDict[Permit, None]) -> None:
        """Queue up; `wait` is next."""
        self.verdict = None
        line[self] = None

    def wait(self) -> Verdict:
        """Wait in a line for `end`."""
        if self.verdict is None:
            waiter = self._waiter = Waiter()
            waiter.get()
        assert self.verdict is not None, "nothing else wakes it"
        return self.verdict

    def end(self, verdict: Verdict) -> None:
        """End its wait. Never switches; a greenlet that is dead by the time this arrives is not disturbed."""
        self.verdict = verdict
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            get_hub().loop.run_callback(waiter.switch, None)


class Slot:
    """One origin's state, and who waits for it, each line in the order of arrival.

    queue    without a permit yet
    again    with a permit, waiting for the origin's leave to repeat an attempt
    pausing  with a permit, in the pause before that
    """

    __slots__ = (
        "again",
        "cancel_timer",
        "forgettable_s",
        "in_flight",
        "is_forgotten",
        "is_in_heap",
        "is_remembered",
        "origin",
        "pausing",
        "queue",
        "state",
        "timer_s",
    )

    def __init__(self, origin: Origin, state: OriginState) -> None:
        self.origin = origin
        self.state = state
        self.in_flight = 0
        self.queue: OrderedDict[Permit, None] = OrderedDict()
        self.again: OrderedDict[Permit, None] = OrderedDict()
        self.pausing: OrderedDict[Permit, None] = OrderedDict()
        self.cancel_timer: Cancel | None = None
        self.timer_s = 0.0
        self.is_remembered = self.is_in_heap = self.is_forgotten = False
        self.forgettable_s = 0.0

    def take_all(self) -> list[Permit]:
        """Empty the queue."""
        taken = list(self.queue)
        self.queue.clear()
        return taken
