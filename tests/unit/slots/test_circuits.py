"""The circuit of an origin that fails: who is refused, who probes, what a pause comes to."""

from __future__ import annotations

from collections.abc import Callable

from app.errors import FetchError
from app.fetching.permit import Permit
from app.fetching.slots import SlotStatistics
from app.model.outcome import ErrorKind
from app.policy.breaker import PATIENT_PROBES, BreakerRules
from tests.support.clock import FakeClock
from tests.support.slots import NOTHING, REFUSED, Fetches, dead, make


def test_a_dead_origin_costs_a_few_attempts(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    slots = make(clock, per_origin=8)
    fetches = fetching(slots, clock)
    names = [str(n) for n in range(1000)]
    fetches.start(*names)
    while len(fetches.errors) + len(fetches.started) < len(names):
        fetches.end(*fetches.started, what=dead)
        clock.advance(1.0)
    assert len(fetches.started) == 8 + PATIENT_PROBES
    assert {error.kind for error in fetches.errors.values()} == {ErrorKind.CIRCUIT_OPEN}
    assert "connect_failed: refused" in str(fetches.errors[names[-1]])
    assert slots.statistics() == SlotStatistics(origins=1, users=0, in_flight=0, remembered=1, open=1)
    clock.advance(1000.0)
    assert slots.statistics() == NOTHING, "and it is not remembered for ever"


def test_no_origin_is_left_alone_for_what_is_lacking_here(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    slots = make(clock, per_origin=4, breaker=BreakerRules(failures=1))
    fetches = fetching(slots, clock)
    names = [str(n) for n in range(20)]
    fetches.start(*names)
    lacking = FetchError(ErrorKind.CONNECT_FAILED, "no socket: Too many open files", is_local=True)
    for name in names:
        fetches.end(name, what=lambda permit: permit.failed(lacking))
    assert fetches.started == names
    assert not fetches.errors
    assert slots.statistics() == NOTHING


def test_an_origin_that_comes_back_costs_only_time(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    slots = make(clock, per_origin=2, adapts=False, breaker=BreakerRules(failures=1, cool_down_s=4.0))
    fetches = fetching(slots, clock)
    fetches.start("1", "2", "3", "4", "5")
    fetches.end("1", what=dead)
    fetches.end("2", what=dead)
    assert fetches.started == ["1", "2"]
    assert slots.statistics().open == 1
    clock.advance(2.0)
    assert fetches.started == ["1", "2", "3"], "the probe, and nobody beside it"
    clock.advance(100.0)
    assert fetches.started == ["1", "2", "3"]
    fetches.end("3")
    assert fetches.started == ["1", "2", "3", "4", "5"]
    assert not fetches.errors
    fetches.end("4", "5")
    assert slots.statistics() == NOTHING


def test_a_probe_that_is_killed_makes_room_for_another(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, per_origin=1, breaker=BreakerRules(failures=1)), clock)
    fetches.start("1", "2", "3")
    fetches.end("1", what=dead)
    clock.advance(1.0)
    assert fetches.started == ["1", "2"]
    fetches.kill("2")
    assert fetches.started == ["1", "2", "3"]


def failing_and_pausing(went_on: list[bool]) -> Callable[[Permit], None]:
    """What a fetch does that fails once and then pauses for long; it notes whether it may go on."""

    def retry(permit: Permit) -> None:
        permit.failed(REFUSED)
        went_on.append(permit.pause(1000.0, 2000.0))

    return retry


def test_a_pause_ends_when_the_circuit_refuses(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    slots = make(clock, per_origin=2, adapts=False, breaker=BreakerRules(failures=1, cool_down_s=1.0))
    went_on: list[bool] = []
    fetches = fetching(slots, clock)
    fetches.start("1")
    fetches.end("1", what=failing_and_pausing(went_on))
    fetches.start(*"abcdef")
    assert not went_on, "it is patient at first"
    for name in "abc":
        clock.advance(60.0)
        assert fetches.started[-1] == name
        fetches.end(name, what=dead)
    assert went_on == [False]
    assert clock.now_s < 2000.0
    assert sorted(fetches.errors) == ["d", "e", "f"]
    clock.advance(200.0)
    assert slots.statistics() == NOTHING
    assert clock.timers == 0


def test_a_pause_ends_when_the_circuit_refuses_though_nobody_else_waits(
    clock: FakeClock, fetching: Callable[..., Fetches]
) -> None:
    slots = make(clock, per_origin=2, adapts=False, breaker=BreakerRules(failures=1))
    went_on: list[bool] = []
    fetches = fetching(slots, clock)
    fetches.start("1")
    fetches.end("1", what=failing_and_pausing(went_on))
    for name in "abc":
        assert not went_on
        fetches.start(name)
        clock.advance(60.0)
        fetches.end(name, what=dead)
    assert went_on == [False]


def test_an_answer_of_before_ends_the_cool_down(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    rules = {"per_origin": 2, "adapts": False, "delay_s": 1.0, "breaker": BreakerRules(failures=1, cool_down_s=32.0)}
    fetches = fetching(make(clock, **rules), clock)
    fetches.start("1", "2")
    clock.advance(1.0)
    fetches.end("1", what=dead)
    fetches.start("3")
    fetches.end("2")
    assert fetches.started == ["1", "2"]
    clock.advance(1.0)
    assert fetches.started == ["1", "2", "3"]
