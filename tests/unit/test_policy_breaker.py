from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from app.policy.breaker import BROKEN, MAX_COOL_DOWN_S, PATIENT_PROBES, UNREACHABLE, Breaker, BreakerRules


def fail(breaker: Breaker, now_s: float = 0.0, *, weight: int = UNREACHABLE, probe: bool = False) -> None:
    breaker.failed(weight, is_probe=probe, now_s=now_s, chance=0.0)


def opened(rules: BreakerRules | None = None) -> Breaker:
    """One that has just opened, at the moment 0."""
    breaker = Breaker(rules or BreakerRules())
    while breaker.is_closed:
        fail(breaker)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(BreakerRules(failures=3))
    for _ in range(2):
        fail(breaker)
    assert breaker.is_closed
    assert not breaker.is_clean
    breaker.answered()
    assert breaker.is_clean
    for _ in range(2):
        fail(breaker)
    assert breaker.is_closed, "an answer starts the count anew"
    fail(breaker)
    assert not breaker.is_closed
    assert breaker.wait_s(0.0) == 0.5


def test_what_one_resource_can_cause_counts_a_quarter() -> None:
    breaker = Breaker(BreakerRules(failures=3))
    for _ in range(11):
        fail(breaker, weight=BROKEN)
    assert breaker.is_closed
    fail(breaker, weight=BROKEN)
    assert not breaker.is_closed


def test_with_no_number_it_never_opens() -> None:
    breaker = Breaker(BreakerRules(failures=0))
    for _ in range(1000):
        fail(breaker)
    assert breaker.is_closed


def test_one_probe_at_a_time() -> None:
    breaker = opened()
    assert breaker.wait_s(0.4) > 0
    assert breaker.wait_s(0.5) == 0
    assert breaker.begin()
    assert breaker.wait_s(0.5) == math.inf
    breaker.abandoned()
    assert breaker.wait_s(0.5) == 0, "a probe that was killed makes room"
    assert breaker.begin()
    breaker.answered()
    assert breaker.is_clean
    assert not breaker.begin()


def test_it_is_patient_at_first_and_then_refuses() -> None:
    breaker, now_s = opened(), 0.0
    for _ in range(PATIENT_PROBES):
        assert not breaker.refuses(now_s)
        now_s += breaker.wait_s(now_s)
        assert breaker.begin()
        assert not breaker.refuses(now_s)
        fail(breaker, now_s, probe=True)
    assert breaker.refuses(now_s)
    now_s += breaker.wait_s(now_s)
    assert not breaker.refuses(now_s), "the next one is the probe"
    assert breaker.begin()
    assert breaker.refuses(now_s), "and those beside it are not"
    breaker.answered()
    assert not breaker.refuses(now_s)


def test_latecomers_that_began_before_it_opened_say_nothing_new() -> None:
    breaker = opened()
    wait_s = breaker.wait_s(0.0)
    fail(breaker, 0.1)
    assert breaker.wait_s(0.0) == wait_s


@given(st.floats(0.001, 100), st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=40))
def test_cool_downs_grow_with_jitter_up_to_a_cap(cool_down_s: float, chances: list[float]) -> None:
    breaker = opened(BreakerRules(failures=1, cool_down_s=cool_down_s))
    now_s = 1e9
    for number, chance in enumerate(chances, 1):
        assert breaker.begin()
        breaker.failed(UNREACHABLE, is_probe=True, now_s=now_s, chance=chance)
        limit_s = min(MAX_COOL_DOWN_S, cool_down_s * 2.0**number)
        assert limit_s / 2 - 1e-6 <= breaker.wait_s(now_s) <= limit_s + 1e-6
        now_s += breaker.wait_s(now_s)


steps = st.lists(
    st.tuples(st.sampled_from(["begin", "answered", "failed", "broke", "killed"]), st.integers(0, 7), st.floats(0, 3)),
    max_size=80,
)


@given(steps)
def test_whatever_happens_no_two_probes_are_out_and_nothing_gets_stuck(steps: list[tuple[str, int, float]]) -> None:
    breaker = Breaker(BreakerRules(failures=2))
    now_s, out = 0.0, []  # fetches under way: whether each is the probe
    for what, which, pause_s in steps:
        now_s += pause_s
        if what == "begin":
            if breaker.wait_s(now_s) == 0:
                was_open = not breaker.is_closed
                out.append(breaker.begin())
                assert out[-1] == was_open
        elif out:
            is_probe = out.pop(which % len(out))
            if what == "answered":
                breaker.answered()
                out = [False] * len(out)  # the circuit closed over it: a probe of before is a fetch like others
            elif what == "killed" and is_probe:
                breaker.abandoned()
            elif what != "killed":
                fail(breaker, now_s, weight=UNREACHABLE if what == "failed" else BROKEN, probe=is_probe)
        assert sum(out) <= 1
        assert (breaker.wait_s(now_s) == math.inf) == any(out), "what waits without end waits for a probe"
