"""Whether a failed attempt is repeated, and after how long. Pure: chance and time are handed in.

The law: repeat only what is safe to repeat (idempotent methods, or a failure before anything was sent), only
what may go better next time, at most `retries` times, and never over the deadline. Each hop is asked about by itself:
where a redirect led, only that request is repeated, and what was sent before it does not count. The pause is drawn with
full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015): uniformly from
0 to min(cap, base * 2**n), so that requests that failed together do not come back together. A server that
says Retry-After (RFC 9110 section 10.2.3) is obeyed, plus a little jitter for the same reason.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

from app.model.outcome import ErrorKind

# RFC 9110 section 9.2.2, and PATCH and POST are not among them.
IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

# Timeout, too early, too many requests, and the 5xx that a moment's patience may cure.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

# Nothing of the request can have reached the application behind the origin.
_BEFORE_SENDING = frozenset({ErrorKind.NAME_NOT_RESOLVED, ErrorKind.CONNECT_FAILED})

_BASE_S = 0.5
_CAP_S = 30.0


class Attempt(msgspec.Struct, frozen=True):
    """How one numbered try ended, badly.

    number         1 for the first try
    kind           HTTP_STATUS when a response came
    status         of that response
    retry_after_s  what its Retry-After asks for, None when absent
    """

    number: int
    method: str
    kind: ErrorKind
    status: int | None = None
    retry_after_s: float | None = None


def pause_s(attempt: Attempt, *, retries: int, remaining_s: float, chance: float) -> float | None:
    """Seconds to wait before the next try, or None: this failure stands.

    retries      tries allowed after the first
    remaining_s  until the deadline
    chance       uniform in [0, 1)
    """
    if attempt.number > retries or not _may_repeat(attempt):
        return None
    spread_s = min(_CAP_S, _BASE_S * 2 ** min(attempt.number - 1, 16))
    if attempt.retry_after_s is None:
        wait_s = chance * spread_s
    else:
        wait_s = attempt.retry_after_s + chance * _BASE_S
    return wait_s if wait_s < remaining_s else None


def _may_repeat(attempt: Attempt) -> bool:
    if attempt.kind in _BEFORE_SENDING:
        return True
    if attempt.method.upper() not in IDEMPOTENT_METHODS:
        return False
    if attempt.kind is ErrorKind.HTTP_STATUS:
        return attempt.status in TRANSIENT_STATUSES
    return attempt.kind is ErrorKind.CONNECTION_LOST


def parse_retry_after_s(value: str | None, now_s: float) -> float | None:
    """Seconds that a Retry-After header asks for: a number or an HTTP date; None when it can't be read.

    now_s  wall clock, seconds since the epoch
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, moment.timestamp() - now_s)
    except (ValueError, OverflowError, TypeError):
        return None
