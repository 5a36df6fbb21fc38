"""Slots under a clock that stands still: who waits for what, who is next, and what is left behind (nothing)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
from gevent.event import Event
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import Draining, FetchError
from app.fetching import slot_table
from app.fetching.place import Place
from app.fetching.slots import Slots, SlotStatistics
from app.model.outcome import ErrorKind
from app.policy.breaker import PATIENT_PROBES, BreakerRules
from app.policy.politeness import PolitenessRules
from app.policy.urls import Origin
from tests.support.clock import FakeClock

A, B, C = (Origin("http", name, 80) for name in "abc")

REFUSED = FetchError(ErrorKind.CONNECT_FAILED, "refused")
NOTHING = SlotStatistics(origins=0, users=0, in_flight=0, remembered=0, open=0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


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
        self._what: dict[str, Callable[[Place], None]] = {}
        self.greenlets: dict[str, gevent.Greenlet[..., None]] = {}

    def start(self, *names: str, origin: Origin = A, crawl_delay_s: float = 0.0) -> None:
        for name in names:
            self._ends[name] = Event()
            self.greenlets[name] = gevent.spawn(self._run, name, origin, crawl_delay_s)
        self.clock.settle()

    def end(self, *names: str, what: Callable[[Place], None] = lambda place: place.answered(200)) -> None:
        for name in names:
            self._what[name] = what
            self._ends[name].set()
        self.clock.settle()

    def kill(self, name: str) -> None:
        self.greenlets[name].kill()
        self.clock.settle()

    def _run(self, name: str, origin: Origin, crawl_delay_s: float) -> None:
        try:
            with self.slots.hold(origin, crawl_delay_s) as place:
                self.started.append(name)
                self.moments[name] = self.clock.now_s
                self._ends[name].wait()
                self._what[name](place)
        except (FetchError, Draining) as error:
            self.errors[name] = error


@pytest.fixture
def fetching() -> Iterator[Callable[..., Fetches]]:
    """Makes Fetches, and ends whatever of them is left."""
    made: list[Fetches] = []

    def new(slots: Slots, clock: FakeClock) -> Fetches:
        made.append(Fetches(slots, clock))
        return made[-1]

    yield new
    for fetches in made:
        gevent.killall(list(fetches.greenlets.values()))


@contextmanager
def held(slots: Slots, origin: Origin = A) -> Iterator[Place]:
    with slots.hold(origin) as place:
        yield place


# --- places and order ------------------------------------------------------------------------------------------


def test_an_origin_gets_its_places_in_the_order_of_asking(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
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


def test_a_place_tells_since_when_it_is_had(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, per_origin=1), clock)
    entered: list[float] = []
    fetches.start("1", "2")
    clock.now_s += 5.0
    fetches.end("1", "2", what=lambda place: entered.append(place.entered_s))
    assert entered == [1000.0, 1005.0]


def test_origins_get_scarce_places_in_turn(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, total=2, per_origin=8), clock)
    fetches.start("a1", "a2", "a3", "a4", "a5")
    fetches.start("b1", "b2", origin=B)
    fetches.start("c1", origin=C)
    for name in ("a1", "a2", "a3", "b1", "c1", "a4", "b2"):
        fetches.end(name)
    assert fetches.started == ["a1", "a2", "a3", "b1", "c1", "a4", "b2", "a5"]
    fetches.end("a5")
    assert fetches.slots.statistics() == NOTHING


def test_an_origin_gets_all_the_places_that_are_free(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
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


def test_who_is_killed_on_the_way_from_the_line_passes_the_place_on(
    clock: FakeClock, fetching: Callable[..., Fetches]
) -> None:
    fetches = fetching(make(clock, per_origin=1), clock)
    with held(fetches.slots):
        fetches.start("1", "2")
        fetches.greenlets["1"].kill(block=False)  # arrives when the place has been given to it, but before it has run
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


def test_drain_sends_away_who_waits_for_a_place_among_all(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    slots = make(clock, total=1)
    fetches = fetching(slots, clock)
    fetches.start("a")
    fetches.start("b1", "b2", origin=B)
    slots.drain()
    clock.settle()
    assert {name: type(error) for name, error in fetches.errors.items()} == {"b1": Draining, "b2": Draining}
    fetches.end("a")
    assert slots.statistics() == NOTHING


# --- delay and Retry-After -------------------------------------------------------------------------------------


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


def test_waiting_for_a_place_among_all_does_not_shorten_the_delay(
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
    fetches.end("1", what=lambda place: place.answered(429, 7.0))
    fetches.end("2")
    fetches.start("late")
    clock.advance(6.9)
    assert fetches.started == ["1", "2"]
    clock.advance(0.2)
    assert fetches.started == ["1", "2", "3"], "one at a time: it had said that two are too many"
    assert fetches.moments["3"] == 1007.0
    fetches.end("3")
    assert fetches.started == ["1", "2", "3", "4", "late"]


# --- the circuit -----------------------------------------------------------------------------------------------


def dead(place: Place) -> None:
    place.failed(REFUSED)


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


def test_a_pause_ends_when_the_circuit_refuses(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    slots = make(clock, per_origin=2, adapts=False, breaker=BreakerRules(failures=1, cool_down_s=1.0))
    went_on: list[bool] = []

    def retry(place: Place) -> None:
        place.failed(REFUSED)
        went_on.append(place.pause(1000.0, 2000.0))

    fetches = fetching(slots, clock)
    fetches.start("1")
    fetches.end("1", what=retry)
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

    def retry(place: Place) -> None:
        place.failed(REFUSED)
        went_on.append(place.pause(1000.0, 2000.0))

    fetches = fetching(slots, clock)
    fetches.start("1")
    fetches.end("1", what=retry)
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


# --- pauses ----------------------------------------------------------------------------------------------------


def test_a_pause_keeps_the_place_and_comes_before_new_requests(
    clock: FakeClock, fetching: Callable[..., Fetches]
) -> None:
    slots = make(clock, per_origin=1, delay_s=10.0)
    fetches = fetching(slots, clock)
    again: list[float] = []

    def retry(place: Place) -> None:
        place.answered(500)
        assert place.pause(1.0, 60.0)
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
    fetches.end("1", what=lambda place: went_on.append((place.pause(1.0, limit_s), clock.now_s)))
    clock.advance(30.0)
    assert went_on == [(goes_on, 1010.0 if goes_on else 1000.0)]


def test_a_turn_that_does_not_come_ends_at_the_limit(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, per_origin=2, adapts=False, breaker=BreakerRules(failures=1)), clock)
    went_on: list[tuple[bool, float]] = []

    def retry(place: Place) -> None:
        place.failed(REFUSED)
        went_on.append((place.pause(5.0, 8.0), clock.now_s))

    fetches.start("1", "2")
    fetches.end("1", what=retry)
    fetches.start("probe")
    fetches.end("2", what=lambda place: None)
    clock.advance(1.0)
    assert fetches.started == ["1", "2", "probe"]
    clock.advance(60.0)
    assert went_on == [(False, 1008.0)]


def test_who_is_killed_in_a_pause_gives_the_place_back(clock: FakeClock, fetching: Callable[..., Fetches]) -> None:
    fetches = fetching(make(clock, per_origin=1), clock)
    fetches.start("1", "2")
    fetches.end("1", what=lambda place: (place.pause(1.0, 60.0), None)[1])
    fetches.kill("1")
    assert fetches.started == ["1", "2"]
    fetches.end("2")
    assert fetches.slots.statistics() == NOTHING
    assert clock.timers == 0


# --- memory ----------------------------------------------------------------------------------------------------


def test_memory_does_not_follow_the_number_of_origins_seen(clock: FakeClock) -> None:
    slots = make(clock, delay_s=1.0)
    most = 0
    for n in range(5000):
        with held(slots, Origin("http", f"h{n}", 80)):
            pass
        clock.now_s += 0.01
        most = max(most, len(slots._table))
    assert 90 <= most <= 110, "a second's worth of origins"
    clock.now_s += 1.0
    assert slots.statistics() == NOTHING


def test_no_more_than_so_many_idle_origins_are_remembered(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot_table, "MAX_REMEMBERED", 100)
    slots = make(clock)
    for n in range(1000):
        with held(slots, Origin("http", f"h{n}", 80)) as place:
            dead(place)
    assert slots.statistics().remembered == 100
    assert {slot.origin.host for slot in slots._table} == {f"h{n}" for n in range(900, 1000)}, (
        "the first to be forgotten went first"
    )
    clock.now_s += 60.0
    assert slots.statistics() == NOTHING


def test_an_origin_used_again_and_again_is_remembered_once(clock: FakeClock) -> None:
    slots = make(clock, delay_s=1.0)
    for _ in range(1000):
        with held(slots):
            pass
        clock.now_s += 1.0
    assert len(slots._table._idle) <= 1


# --- anything at all -------------------------------------------------------------------------------------------

rules = st.builds(
    PolitenessRules,
    per_origin=st.integers(1, 3),
    delay_s=st.sampled_from([0.0, 1.0]),
    adapts=st.booleans(),
    breaker=st.builds(BreakerRules, st.integers(0, 2), st.just(1.0)),
)


@settings(max_examples=60, deadline=None)
@given(rules, st.none() | st.integers(1, 4), st.integers(0, 2**32))
def test_whatever_happens_everybody_is_answered_and_nothing_leaks(
    rules: PolitenessRules, total: int | None, seed: int
) -> None:
    chance = random.Random(seed)
    clock = FakeClock()
    slots = Slots(rules, total, clock.clock)
    in_flight = dict.fromkeys((A, B), 0)
    ended: list[object] = []
    began: dict[Origin, list[float]] = {A: [], B: []}

    def fetch(origin: Origin) -> None:
        try:
            with slots.hold(origin) as place:
                in_flight[origin] += 1
                try:
                    assert in_flight[origin] <= rules.per_origin
                    assert total is None or sum(in_flight.values()) <= total
                    for _ in range(3):
                        began[origin].append(clock.now_s)
                        gevent.sleep(0)
                        what = chance.randrange(6)
                        if what == 0:
                            place.failed(REFUSED)
                        elif what == 1:
                            place.answered(429, 3.0)
                        else:
                            place.answered(chance.choice([200, 404, 503]))
                        if what > 2 or not place.pause(chance.random() * 2, 10.0):
                            break
                finally:
                    in_flight[origin] -= 1
            ended.append(None)
        except FetchError as error:
            ended.append(error)

    greenlets = [gevent.spawn(fetch, chance.choice([A, B])) for _ in range(40)]
    for _ in range(12):
        clock.advance(chance.random() * 3)
        chance.choice(greenlets).kill()
    for _ in range(200):
        clock.advance(60.0)
        if all(greenlet.dead for greenlet in greenlets):
            break
    assert all(greenlet.dead for greenlet in greenlets), "somebody starved"
    assert all(greenlet.successful() for greenlet in greenlets)
    for moments in began.values():
        assert all(later - earlier >= rules.delay_s - 1e-9 for earlier, later in itertools.pairwise(moments))
    clock.advance(200.0)
    assert slots.statistics() == NOTHING
    assert clock.timers == 0
