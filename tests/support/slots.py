"""Fetches that hold slots under a clock that stands still, until a test ends them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent.event import Event

from app.errors import Draining, FetchError
from app.fetching.permit import Permit
from app.fetching.slots import Slots, SlotStatistics
from app.model.outcome import ErrorKind
from app.policy.politeness import PolitenessRules
from app.policy.urls import Origin
from tests.support.clock import FakeClock

A, B, C = (Origin("http", name, 80) for name in "abc")

REFUSED = FetchError(ErrorKind.CONNECT_FAILED, "refused")

NOTHING = SlotStatistics(origins=0, users=0, in_flight=0, remembered=0, open=0)


def make(clock: FakeClock, total: int | None = None, **rules: Any) -> Slots:
    return Slots(PolitenessRules(**rules), total, clock.clock)


class Fetches:
    """Greenlets that hold a slot until they are told to end. started: their names, and when each may begin."""

    def __init__(self, slots: Slots, clock: FakeClock) -> None:
        self.slots = slots
        self.clock = clock
        self.started: list[str] = []
        self.moments: dict[str, float] = {}
        self.errors: dict[str, BaseException] = {}
        self._ends: dict[str, Event] = {}
        self._what: dict[str, Callable[[Permit], None]] = {}
        self.greenlets: dict[str, gevent.Greenlet[..., None]] = {}

    def start(self, *names: str, origin: Origin = A, crawl_delay_s: float = 0.0) -> None:
        for name in names:
            self._ends[name] = Event()
            self.greenlets[name] = gevent.spawn(self._run, name, origin, crawl_delay_s)
        self.clock.settle()

    def end(self, *names: str, what: Callable[[Permit], None] = lambda permit: permit.answered(200)) -> None:
        for name in names:
            self._what[name] = what
            self._ends[name].set()
        self.clock.settle()

    def kill(self, name: str) -> None:
        self.greenlets[name].kill()
        self.clock.settle()

    def _run(self, name: str, origin: Origin, crawl_delay_s: float) -> None:
        try:
            with self.slots.hold(origin, crawl_delay_s) as permit:
                self.started.append(name)
                self.moments[name] = self.clock.now_s
                self._ends[name].wait()
                self._what[name](permit)
        except (FetchError, Draining) as error:
            self.errors[name] = error


@contextmanager
def held(slots: Slots, origin: Origin = A) -> Iterator[Permit]:
    with slots.hold(origin) as permit:
        yield permit


def dead(permit: Permit) -> None:
    permit.failed(REFUSED)
