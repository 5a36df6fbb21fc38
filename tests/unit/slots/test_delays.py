"""The delay between two fetches of an origin, its Crawl-delay and Retry-After."""

from __future__ import annotations

from collections.abc import Callable

from app.fetching.slots import SlotStatistics
from tests.support.clock import FakeClock
from tests.support.slots import NOTHING, B, Fetches, make


def test_fetches_of_one_origin_begin_a_delay_apart(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, delay_s=2.0), clock)
    fetches.start("1", "2", "3")
    fetches.start("b", origin=B)
    assert fetches.started == ["1", "b"]
    clock.advance(1.9)
    assert fetches.started == ["1", "b"]
    clock.advance(2.2)
    assert [fetches.moments[name] for name in "123"] == [1000.0, 1002.0, 1004.0]


def test_the_delay_outlives_the_last_fetch_and_is_forgotten_then(
    clock: FakeClock, fetching: Callable[..., Fetches]
) -> None:
    fetches = fetching(make(clock, delay_s=2.0), clock)
    fetches.start("1")
    fetches.end("1")
    assert fetches.slots.statistics() == SlotStatistics(origins=1, users=0, in_flight=0, remembered=1, open=0)
    fetches.start("2")
    assert fetches.started == ["1"]
    clock.advance(2.0)
    assert fetches.started == ["1", "2"]
    fetches.end("2")
    clock.advance(2.0)
    assert fetches.slots.statistics() == NOTHING
    assert clock.timers == 0


def test_waiting_for_a_permit_among_all_does_not_shorten_the_delay(
    clock: FakeClock, fetching: Callable[..., Fetches]
) -> None:
    fetches = fetching(make(clock, total=1, delay_s=2.0), clock)
    fetches.start("b", origin=B)
    fetches.start("1", "2")
    clock.advance(10.0)
    fetches.end("b")
    assert fetches.started == ["b", "1"]
    fetches.end("1")
    assert fetches.started == ["b", "1"], "the second has waited long, but the first has only begun"
    clock.advance(2.0)
    assert fetches.started == ["b", "1", "2"]


def test_a_crawl_delay_raises_the_delay(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, delay_s=1.0, max_crawl_delay_s=5.0), clock)
    fetches.start("1", "2", "3", crawl_delay_s=60.0)
    clock.advance(20.0)
    assert [fetches.moments[name] for name in "123"] == [1000.0, 1005.0, 1010.0]


def test_retry_after_holds_everybody_back(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, per_origin=2), clock)
    fetches.start("1", "2", "3", "4")
    fetches.end("1", what=lambda permit: permit.answered(429, 7.0))
    fetches.end("2")
    fetches.start("late")
    clock.advance(6.9)
    assert fetches.started == ["1", "2"]
    clock.advance(0.2)
    assert fetches.started == ["1", "2", "3"], "one at a time: it had said that two are too many"
    assert fetches.moments["3"] == 1007.0
    fetches.end("3")
    assert fetches.started == ["1", "2", "3", "4", "late"]
