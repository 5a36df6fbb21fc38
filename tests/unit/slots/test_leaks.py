"""What is left behind (nothing), whatever happens."""

from __future__ import annotations

import itertools
import random

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import FetchError
from app.fetching import slot_table
from app.fetching.slots import Slots
from app.policy.breaker import BreakerRules
from app.policy.politeness import PolitenessRules
from app.policy.urls import Origin
from tests.support.clock import FakeClock
from tests.support.slots import NOTHING, REFUSED, A, B, dead, held, make


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
        with held(slots, Origin("http", f"h{n}", 80)) as permit:
            dead(permit)
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
            with slots.hold(origin) as permit:
                in_flight[origin] += 1
                try:
                    assert in_flight[origin] <= rules.per_origin
                    assert total is None or sum(in_flight.values()) <= total
                    for _ in range(3):
                        began[origin].append(clock.now_s)
                        gevent.sleep(0)
                        what = chance.randrange(6)
                        if what == 0:
                            permit.failed(REFUSED)
                        elif what == 1:
                            permit.answered(429, 3.0)
                        else:
                            permit.answered(chance.choice([200, 404, 503]))
                        if what > 2 or not permit.pause(chance.random() * 2, 10.0):
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
