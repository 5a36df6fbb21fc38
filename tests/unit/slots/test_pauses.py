"""Pauses between two attempts: the permit is kept, and the limit is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.fetching.permit import Permit
from app.policy.breaker import BreakerRules
from tests.support.clock import FakeClock
from tests.support.slots import NOTHING, REFUSED, Fetches, make


def test_a_pause_keeps_the_permit_and_comes_before_new_requests(
    clock: FakeClock, fetching: Callable[..., Fetches]
) -> None:
    slots = make(clock, per_origin=1, delay_s=10.0)
    fetches = fetching(slots, clock)
    again: list[float] = []

    def retry(permit: Permit) -> None:
        permit.answered(500)
        assert permit.pause(1.0, 60.0)
        again.append(clock.now_s)
        fetches.started.append("again")

    fetches.start("1", "2")
    fetches.end("1", what=retry)
    clock.advance(30.0)
    assert fetches.started == ["1", "again", "2"]
    assert again == [1010.0]
    assert fetches.moments["2"] == 1020.0


@pytest.mark.parametrize(("limit_s", "goes_on"), [(5.0, False), (9.9, False), (10.1, True)])
def test_a_pause_that_would_pass_its_limit_is_none(
    clock: FakeClock, fetching: Callable[..., Fetches], limit_s: float, goes_on: bool
) -> None:
    fetches = fetching(make(clock, delay_s=10.0), clock)
    went_on: list[tuple[bool, float]] = []
    fetches.start("1")
    fetches.end("1", what=lambda permit: went_on.append((permit.pause(1.0, limit_s), clock.now_s)))
    clock.advance(30.0)
    assert went_on == [(goes_on, 1010.0 if goes_on else 1000.0)]


def test_a_turn_that_does_not_come_ends_at_the_limit(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, per_origin=2, adapts=False, breaker=BreakerRules(failures=1)), clock)
    went_on: list[tuple[bool, float]] = []

    def retry(permit: Permit) -> None:
        permit.failed(REFUSED)
        went_on.append((permit.pause(5.0, 8.0), clock.now_s))

    fetches.start("1", "2")
    fetches.end("1", what=retry)
    fetches.start("probe")
    fetches.end("2", what=lambda permit: None)
    clock.advance(1.0)
    assert fetches.started == ["1", "2", "probe"]
    clock.advance(60.0)
    assert went_on == [(False, 1008.0)]


def test_who_is_killed_in_a_pause_gives_the_permit_back(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, per_origin=1), clock)
    fetches.start("1", "2")
    fetches.end("1", what=lambda permit: (permit.pause(1.0, 60.0), None)[1])
    fetches.kill("1")
    assert fetches.started == ["1", "2"]
    fetches.end("2")
    assert fetches.slots.statistics() == NOTHING
    assert clock.timers == 0
