"""Slots under a clock that stands still: who waits for what, who is next, and what is left behind (nothing)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.errors import Draining
from app.fetching.slots import SlotStatistics
from tests.support.clock import FakeClock
from tests.support.slots import NOTHING, B, C, Fetches, held, make


def test_an_origin_gets_its_permits_in_the_order_of_asking(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, per_origin=2), clock)
    fetches.start("1", "2", "3", "4")
    assert fetches.started == ["1", "2"]
    fetches.start("b", origin=B)
    assert fetches.started == ["1", "2", "b"], "who waits at one origin keeps nobody from another"
    fetches.end("2")
    fetches.end("1")
    assert fetches.started == ["1", "2", "b", "3", "4"]
    assert fetches.slots.statistics() == SlotStatistics(origins=2, users=3, in_flight=3, remembered=0, open=0)
    fetches.end("3", "4", "b")
    assert fetches.slots.statistics() == NOTHING


def test_a_permit_tells_since_when_it_is_had(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, per_origin=1), clock)
    entered: list[float] = []
    fetches.start("1", "2")
    clock.now_s += 5.0
    fetches.end("1", "2", what=lambda permit: entered.append(permit.entered_s))
    assert entered == [1000.0, 1005.0]


def test_origins_get_scarce_permits_in_turn(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, total=2, per_origin=8), clock)
    fetches.start("a1", "a2", "a3", "a4", "a5")
    fetches.start("b1", "b2", origin=B)
    fetches.start("c1", origin=C)
    for name in ("a1", "a2", "a3", "b1", "c1", "a4", "b2"):
        fetches.end(name)
    assert fetches.started == ["a1", "a2", "a3", "b1", "c1", "a4", "b2", "a5"]
    fetches.end("a5")
    assert fetches.slots.statistics() == NOTHING


def test_an_origin_gets_all_the_permits_that_are_free(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, total=2), clock)
    fetches.start("a1", "a2")
    fetches.start("b1", "b2", origin=B)
    fetches.end("a1")
    fetches.end("a2")
    assert fetches.started == ["a1", "a2", "b1", "b2"]


def test_who_is_killed_while_waiting_leaves_nothing_behind(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, per_origin=1), clock)
    fetches.start("1", "2", "3")
    fetches.kill("2")
    fetches.end("1")
    assert fetches.started == ["1", "3"]
    fetches.kill("3")
    assert fetches.slots.statistics() == NOTHING


def test_who_is_killed_on_the_way_from_the_line_passes_the_permit_on(
    clock: FakeClock, fetching: Callable[..., Fetches]
) -> None:
    fetches = fetching(make(clock, per_origin=1), clock)
    with held(fetches.slots):
        fetches.start("1", "2")
        fetches.greenlets["1"].kill(block=False)  # arrives when the permit has been given to it, but before it has run
    clock.settle()
    assert fetches.started == ["2"]
    fetches.end("2")
    assert fetches.slots.statistics() == NOTHING


def test_drain_sends_away_who_waits(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    slots = make(clock, per_origin=1, delay_s=60.0)
    fetches = fetching(slots, clock)
    fetches.start("1", "2", "3")
    slots.drain()
    clock.settle()
    assert {name: type(error) for name, error in fetches.errors.items()} == {"2": Draining, "3": Draining}
    with pytest.raises(Draining), held(slots, B):
        pass
    fetches.end("1")
    clock.advance(60.0)
    assert slots.statistics() == NOTHING
    assert clock.timers == 0


def test_drain_sends_away_who_waits_for_a_permit_among_all(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    slots = make(clock, total=1)
    fetches = fetching(slots, clock)
    fetches.start("a")
    fetches.start("b1", "b2", origin=B)
    slots.drain()
    clock.settle()
    assert {name: type(error) for name, error in fetches.errors.items()} == {"b1": Draining, "b2": Draining}
    fetches.end("a")
    assert slots.statistics() == NOTHING
