from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model.outcome import ErrorKind
from app.policy.breaker import BreakerRules
from app.policy.politeness import OVERLOAD_STATUSES, OriginState, PolitenessRules

K = ErrorKind
UNREACHABLE = {K.NAME_NOT_RESOLVED, K.CONNECT_FAILED, K.TLS_FAILED}
BROKEN = {K.TIMEOUT, K.CONNECTION_LOST}
ALIVE = {K.BAD_RESPONSE, K.UNSUPPORTED_SCHEME, K.TOO_MANY_REDIRECTS, K.BODY_TOO_LARGE, K.HTTP_STATUS}


def fail(state: OriginState, kind: ErrorKind, now_s: float = 0.0, *, probe: bool = False) -> None:
    state.failed(kind, "why", window=state.window, is_probe=probe, now_s=now_s, chance=0.0)


def answer(state: OriginState, status: int = 200, retry_after_s: float | None = None, now_s: float = 0.0) -> None:
    state.answered(status, retry_after_s, window=state.window, now_s=now_s)


def test_by_default_a_healthy_origin_is_never_waited_for() -> None:
    state = OriginState(PolitenessRules())
    for now_s in (0.0, 0.0, 1.0):
        assert state.is_unbound
        assert state.is_healthy
        assert state.wait_s(now_s) == 0
        state.begin(now_s)
        answer(state, now_s=now_s)
    assert state.limit == 8
    assert state.forgettable_s(1.0) == 1.0


def test_the_delay_lies_between_two_beginnings() -> None:
    state = OriginState(PolitenessRules(delay_s=2.0))
    assert state.wait_s(10.0) == 0
    state.begin(10.0)
    assert state.wait_s(10.5) == 1.5
    state.resumed(11.0)
    assert state.wait_s(11.0) == 2.0, "what got to run late counts from then"
    assert state.forgettable_s(11.0) == 13.0


@pytest.mark.parametrize(("asked_s", "delay_s"), [(0.5, 2.0), (7.0, 7.0), (86400.0, 30.0)])
def test_a_crawl_delay_raises_it_up_to_a_cap(asked_s: float, delay_s: float) -> None:
    state = OriginState(PolitenessRules(delay_s=2.0))
    state.begin(0.0)
    state.raise_delay(asked_s)
    assert state.wait_s(0.0) == delay_s
    shared = OriginState(PolitenessRules(delay_s=2.0, share=3))
    shared.raise_delay(asked_s)
    shared.begin(0.0)
    assert shared.wait_s(0.0) == 3 * delay_s


@pytest.mark.parametrize(("status", "holds"), [(429, True), (503, True), (413, True), (404, True), (202, False)])
def test_retry_after_is_an_embargo(status: int, holds: bool) -> None:
    state = OriginState(PolitenessRules(max_retry_after_s=60.0))
    answer(state, status, 5.0)
    assert state.wait_s(0.0) == (5.0 if holds else 0.0)
    answer(state, status, 2.0)
    assert state.wait_s(0.0) == (5.0 if holds else 0.0), "a shorter one does not end it"
    answer(state, status, 1e9)
    assert state.wait_s(0.0) == (60.0 if holds else 0.0)
    assert state.wait_s(60.0) == 0
    state.begin(60.0)
    assert state.is_unbound


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_which_failures_open_the_circuit(kind: ErrorKind) -> None:
    state = OriginState(PolitenessRules(breaker=BreakerRules(failures=2)))
    for _ in range(2):
        fail(state, kind)
    assert state.is_circuit_closed == (kind not in UNREACHABLE)
    for _ in range(6):
        fail(state, kind)
    assert state.is_circuit_closed == (kind not in UNREACHABLE | BROKEN)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_which_failures_are_a_sign_of_life(kind: ErrorKind) -> None:
    state = OriginState(PolitenessRules(breaker=BreakerRules(failures=2)))
    fail(state, K.TLS_FAILED)
    fail(state, kind)
    fail(state, K.TLS_FAILED)
    assert state.is_circuit_closed == (kind in ALIVE)


def test_a_server_error_is_an_answer() -> None:
    state = OriginState(PolitenessRules(breaker=BreakerRules(failures=2)))
    for _ in range(100):
        fail(state, K.CONNECT_FAILED)
        answer(state, 500)
    assert state.is_circuit_closed


@pytest.mark.parametrize("status", [200, 301, 404, 429, 500, 502, 503, 504])
def test_which_statuses_lower_the_concurrency(status: int) -> None:
    state = OriginState(PolitenessRules())
    answer(state, status)
    assert state.limit == (4 if status in OVERLOAD_STATUSES else 8)
    firm = OriginState(PolitenessRules(adapts=False))
    answer(firm, status)
    assert firm.limit == 8


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_which_failures_lower_the_concurrency(kind: ErrorKind) -> None:
    state = OriginState(PolitenessRules())
    fail(state, kind)
    assert state.limit == (4 if kind in {K.TIMEOUT, K.CONNECT_FAILED} else 8)


def test_trouble_is_remembered_for_a_while() -> None:
    state = OriginState(PolitenessRules())
    fail(state, K.CONNECTION_LOST, 10.0)
    assert state.forgettable_s(11.0) == 70.0
    answer(state, 200, now_s=12.0)
    assert state.forgettable_s(12.0) == 12.0, "an answer has set it right"
    answer(state, 429, 100.0, now_s=12.0)
    assert state.forgettable_s(12.0) == 112.0


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_what_is_lacking_here_counts_for_nothing(kind: ErrorKind) -> None:
    state = OriginState(PolitenessRules(breaker=BreakerRules(failures=1)))
    for _ in range(9):
        state.failed(kind, "why", window=0, is_probe=False, now_s=10.0, chance=0.0, is_local=True)
    assert state.is_unbound
    assert state.is_healthy
    assert (state.limit, state.last_failure, state.forgettable_s(11.0)) == (8, "", 11.0)
    fail(state, K.CONNECT_FAILED)
    assert state.begin(100.0)
    state.failed(kind, "why", window=state.window, is_probe=True, now_s=100.0, chance=0.0, is_local=True)
    assert not state.is_circuit_closed, "no sign of life either"
    assert state.wait_s(100.0) == 0, "but there is room for another probe"


def test_a_probe_that_says_nothing_makes_room() -> None:
    state = OriginState(PolitenessRules(breaker=BreakerRules(failures=1)))
    fail(state, K.CONNECT_FAILED)
    assert state.begin(100.0)
    assert state.wait_s(100.0) == math.inf
    fail(state, K.ADDRESS_DENIED, 100.0, probe=True)
    assert state.wait_s(100.0) == 0


rules = st.builds(
    PolitenessRules,
    per_origin=st.integers(1, 4),
    delay_s=st.sampled_from([0.0, 0.5, 3.0]),
    max_crawl_delay_s=st.just(10.0),
    max_retry_after_s=st.just(20.0),
    share=st.integers(1, 3),
    adapts=st.booleans(),
    breaker=st.builds(BreakerRules, st.integers(0, 3), st.sampled_from([0.1, 1.0])),
)
events = st.lists(
    st.tuples(
        st.sampled_from(
            ["begin", "crawl", 200, 404, 429, 503, *UNREACHABLE, *BROKEN, K.BAD_RESPONSE, K.ADDRESS_DENIED]
        ),
        st.floats(0, 5),
        st.none() | st.floats(0, 100),
    ),
    max_size=60,
)


@given(rules, events)
def test_whatever_happens_the_laws_hold(
    rules: PolitenessRules, events: list[tuple[object, float, float | None]]
) -> None:
    state = OriginState(rules)
    now_s, embargo_until_s, delay_s = 0.0, 0.0, rules.delay_s * rules.share
    began_s = -math.inf
    probes: list[bool] = []
    for what, pause_s, retry_after_s in events:
        now_s += pause_s
        if what == "begin":
            if state.wait_s(now_s) == 0:
                assert now_s - began_s >= delay_s - 1e-9
                assert now_s >= embargo_until_s - 1e-9
                began_s = now_s
                probes.append(state.begin(now_s))
                assert sum(probes) <= 1
        elif what == "crawl":
            delay_s = max(rules.delay_s, min(pause_s * 4, 10.0)) * rules.share
            state.raise_delay(pause_s * 4)
        elif probes:
            is_probe = probes.pop()
            if isinstance(what, int):
                if retry_after_s is not None and what >= 400:
                    embargo_until_s = max(embargo_until_s, now_s + min(retry_after_s, 20.0))
                state.answered(what, retry_after_s, window=state.window, now_s=now_s)
                probes = [False] * len(probes)
            else:
                assert isinstance(what, ErrorKind)
                fail(state, what, now_s, probe=is_probe)
                if what is K.BAD_RESPONSE:
                    probes = [False] * len(probes)
        assert 1 <= state.limit <= rules.per_origin
        if state.is_unbound:
            assert state.wait_s(now_s) == 0
    # Nothing starves: once all that was out has ended, there is a moment, not far, when the next may begin.
    for is_probe in probes:
        if is_probe:
            state.abandoned()
    wait_s = state.wait_s(now_s)
    assert wait_s <= 20.0 + 60.0 + 10.0 * 3
    assert state.wait_s(now_s + wait_s + 1e-6) == 0
    assert state.forgettable_s(now_s) <= now_s + 60.0 + 60.0 + 20.0 + 30.0, "and it is not remembered for ever"
