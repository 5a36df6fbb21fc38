from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model.outcome import ErrorKind
from app.policy.deadline import Deadline
from app.policy.retry import TRANSIENT_STATUSES, Attempt, parse_retry_after_s, pause_s

LOTS_S = 1e6


def decide(attempt: Attempt, *, retries: int = 5, remaining_s: float = LOTS_S, chance: float = 0.5) -> float | None:
    return pause_s(attempt, retries=retries, remaining_s=remaining_s, chance=chance)


@pytest.mark.parametrize("kind", list(ErrorKind))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_which_failures_are_repeated(kind: ErrorKind, method: str) -> None:
    attempt = Attempt(1, method, kind, 503 if kind is ErrorKind.HTTP_STATUS else None)
    before_sending = kind in {ErrorKind.NAME_NOT_RESOLVED, ErrorKind.CONNECT_FAILED}
    after_sending = kind in {ErrorKind.CONNECTION_LOST, ErrorKind.HTTP_STATUS}
    expected = before_sending or (after_sending and method == "GET")
    assert (decide(attempt) is not None) == expected


@pytest.mark.parametrize("status", [*range(400, 600)])
def test_which_statuses_are_repeated(status: int) -> None:
    assert (decide(Attempt(1, "GET", ErrorKind.HTTP_STATUS, status)) is not None) == (status in TRANSIENT_STATUSES)


attempts = st.builds(
    Attempt,
    st.integers(1, 200),
    st.sampled_from(["GET", "post", "PUT", "PATCH", "X-OWN"]),
    st.sampled_from(list(ErrorKind)),
    st.none() | st.integers(100, 599),
    st.none() | st.floats(0, 1e9),
)


@given(attempts, st.integers(0, 100), st.floats(0, 1e6), st.floats(0, 1, exclude_max=True))
def test_no_pause_passes_the_deadline_or_is_short_of_what_the_server_asks(
    attempt: Attempt, retries: int, remaining_s: float, chance: float
) -> None:
    wait_s = decide(attempt, retries=retries, remaining_s=remaining_s, chance=chance)
    if wait_s is not None:
        assert (attempt.retry_after_s or 0) <= wait_s < remaining_s
        assert attempt.number <= retries


@given(attempts)
def test_only_idempotent_methods_are_repeated_once_something_was_sent(attempt: Attempt) -> None:
    unsent = attempt.kind in {ErrorKind.NAME_NOT_RESOLVED, ErrorKind.CONNECT_FAILED}
    if decide(attempt, retries=1000, remaining_s=1e10) is not None and not unsent:
        assert attempt.method in {"GET", "PUT"}


def test_methods_are_compared_without_case() -> None:
    assert decide(Attempt(1, "get", ErrorKind.CONNECTION_LOST)) is not None


def test_no_more_than_the_retries() -> None:
    assert decide(Attempt(2, "GET", ErrorKind.CONNECT_FAILED), retries=2) is not None
    assert decide(Attempt(3, "GET", ErrorKind.CONNECT_FAILED), retries=2) is None
    assert decide(Attempt(1, "GET", ErrorKind.CONNECT_FAILED), retries=0) is None


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_full_jitter_is_spread_from_zero_to_the_doubling_cap(number: int, chance: float) -> None:
    wait_s = decide(Attempt(number, "GET", ErrorKind.CONNECT_FAILED), retries=1000, chance=chance)
    assert wait_s is not None
    assert wait_s == pytest.approx(chance * min(30.0, 0.5 * 2 ** (number - 1)))


def test_never_over_the_deadline() -> None:
    attempt = Attempt(4, "GET", ErrorKind.CONNECT_FAILED)
    assert decide(attempt, remaining_s=2.0, chance=0.5) is None
    assert decide(attempt, remaining_s=2.1, chance=0.5) == 2.0


def test_retry_after_is_obeyed() -> None:
    attempt = Attempt(1, "GET", ErrorKind.HTTP_STATUS, 429, retry_after_s=7.0)
    assert decide(attempt, chance=0.0) == 7.0
    assert decide(attempt, chance=0.5) == 7.25
    assert decide(attempt, remaining_s=6.0) is None


NOW_S = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 400, 999_999_999.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("١٢", None),
        (format_datetime(datetime(2026, 1, 2, 3, 4, 35, tzinfo=UTC), usegmt=True), 30.0),
        (format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True), 0.0),
        ("Fri, 02 Jan 2026 03:04:15 -0000", 10.0),
        ("Fri, 99 Foo 2026 03:04:15 GMT", None),
    ],
)
def test_retry_after_in_both_forms(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after_s(value, NOW_S) == seconds


@given(st.text())
def test_retry_after_never_raises(value: str) -> None:
    seconds = parse_retry_after_s(value, NOW_S)
    assert seconds is None or seconds >= 0


def test_deadline() -> None:
    deadline = Deadline(started_s=100.0, limit_s=5.0)
    assert deadline.remaining_s(100.0) == 5.0
    assert deadline.remaining_s(104.0) == 1.0
    assert deadline.remaining_s(106.0) == 0.0
