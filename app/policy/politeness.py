"""When the next fetch of an origin may begin. Pure: time and chance are handed in, nobody waits here.

The laws, for one origin in one process:

- **Delay**: two fetches begin no closer to each other than the delay, repeated attempts included. A Crawl-delay of the
  origin's robots.txt raises it, up to a cap, and never lowers it.
- **Embargo**: a Retry-After (RFC 9110 section 10.2.3) in an answer of 400 or above keeps all fetches from the whole
  origin until then, up to a cap. Below 400 it is about one resource (a 202 says when to ask again) or one redirect.
- **Circuit**: `app.policy.breaker`. Only failures of the connection count. Every answer is a sign of life, a 5xx too:
  it has a record of its own with a status, and `app.policy.retry` decides about it.
- **Ours**: what failed for want of a descriptor or memory here counts for nothing.
- **Concurrency**: `app.policy.concurrency`. Signs of overload are 429, 503, 504, a timeout, and a connection that is
  not accepted. A lost connection is none: servers close idle ones at just the wrong moment, healthy ones too.

Where a redirect leads to another origin, that is another hop, by leave of that origin.
"""

from __future__ import annotations

import math

import msgspec

from app.model.outcome import ErrorKind
from app.policy.breaker import BROKEN, UNREACHABLE, Breaker, BreakerRules
from app.policy.concurrency import ConcurrencyLimit

OVERLOAD_STATUSES = frozenset({429, 503, 504})

_OVERLOAD_KINDS = frozenset({ErrorKind.TIMEOUT, ErrorKind.CONNECT_FAILED})

_WEIGHTS = {
    ErrorKind.NAME_NOT_RESOLVED: UNREACHABLE,
    ErrorKind.CONNECT_FAILED: UNREACHABLE,
    ErrorKind.TLS_FAILED: UNREACHABLE,
    ErrorKind.TIMEOUT: BROKEN,
    ErrorKind.CONNECTION_LOST: BROKEN,
}

# Something came, however broken, or led us nowhere. All other kinds say nothing of the origin: we never asked it.
_SIGNS_OF_LIFE = frozenset(
    {
        ErrorKind.BAD_RESPONSE,
        ErrorKind.UNSUPPORTED_SCHEME,
        ErrorKind.TOO_MANY_REDIRECTS,
        ErrorKind.BODY_TOO_LARGE,
        ErrorKind.HTTP_STATUS,
    }
)

# How long it is remembered that an origin which has no fetches any more was in trouble.
_TROUBLE_MEMORY_S = 60.0


class PolitenessRules(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every origin.

    per_origin         fetches at once
    delay_s            between the beginnings of two fetches
    max_crawl_delay_s  what a robots.txt may raise it to
    max_retry_after_s  for how long one Retry-After may keep all fetches from its origin
    share              processes that the origin has to bear with: delays are this many times as long in each
    adapts             whether signs of overload lower the concurrency
    """

    per_origin: int = 8
    delay_s: float = 0.0
    max_crawl_delay_s: float = 30.0
    max_retry_after_s: float = 120.0
    share: int = 1
    adapts: bool = True
    breaker: BreakerRules = BreakerRules()


class OriginState:
    """What is known of one origin. Mutable; times are seconds on the caller's monotonic clock.

    is_unbound  no delay, no embargo, circuit closed: `wait_s` is 0 whatever the time
    is_healthy  no failure to forget: an answer without any sign of overload changes nothing
    limit       fetches that may be in flight at once, 1 or more
    window      to be noted when a fetch begins, and given back with its result
    """

    __slots__ = (
        "_breaker",
        "_concurrency",
        "_delay_s",
        "_embargo_until_s",
        "_remembered_until_s",
        "_rules",
        "_started_s",
        "is_healthy",
        "is_unbound",
        "last_failure",
        "limit",
        "window",
    )

    def __init__(self, rules: PolitenessRules) -> None:
        self._rules = rules
        self._delay_s = rules.delay_s * rules.share
        self._started_s = -math.inf
        self._embargo_until_s = -math.inf
        self._remembered_until_s = -math.inf
        self._breaker = Breaker(rules.breaker)
        self._concurrency = ConcurrencyLimit(rules.per_origin)
        self.last_failure = ""
        self._settle()

    @property
    def is_circuit_closed(self) -> bool:
        """False while the origin is thought to be dead."""
        return self._breaker.is_closed

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next fetch may begin: 0 for now, infinite until something is told."""
        if self.is_unbound:
            return 0.0
        begins_s = max(self._started_s + self._delay_s, self._embargo_until_s)
        return max(begins_s - now_s, self._breaker.wait_s(now_s), 0.0)

    def refuses(self, now_s: float) -> bool:
        """Whether a fetch that can't begin now fails instead of waiting."""
        return self._breaker.refuses(now_s)

    def begin(self, now_s: float) -> bool:
        """A fetch, or a repeated attempt, begins, `wait_s` having been 0; whether it is the circuit's probe."""
        self._started_s = now_s
        if self.is_unbound:
            return False
        if self._embargo_until_s > -math.inf:
            self._embargo_until_s = -math.inf  # it is over, or this would not begin
            self._settle()
        return self._breaker.begin()

    def resumed(self, now_s: float) -> None:
        """What began a moment ago gets to run only now: the delay counts from here."""
        self._started_s = max(self._started_s, now_s)

    def raise_delay(self, crawl_delay_s: float) -> None:
        """The origin's robots.txt asks for that delay."""
        rules = self._rules
        self._delay_s = max(rules.delay_s, min(crawl_delay_s, rules.max_crawl_delay_s)) * rules.share
        self._settle()

    def answered(self, status: int, retry_after_s: float | None, *, window: int, now_s: float) -> None:
        """A response came, of whatever status. retry_after_s: what it asks for, if it does."""
        self._breaker.answered()
        if status in OVERLOAD_STATUSES:
            self._overloaded(window, now_s)
        else:
            self._concurrency.answered(window)
        if retry_after_s is not None and status >= 400:
            embargo_s = min(retry_after_s, self._rules.max_retry_after_s)
            self._embargo_until_s = max(self._embargo_until_s, now_s + embargo_s)
        self._settle()

    def failed(
        self,
        kind: ErrorKind,
        message: str,
        *,
        window: int,
        is_probe: bool,
        now_s: float,
        chance: float,
        is_local: bool = False,
    ) -> None:
        """A fetch ended without a page. is_local: for want of something here, of which the origin knows nothing."""
        if is_local:
            if is_probe:
                self._breaker.abandoned()
            return
        weight = _WEIGHTS.get(kind)
        if weight is not None:
            self._breaker.failed(weight, is_probe=is_probe, now_s=now_s, chance=chance)
            self._remembered_until_s = now_s + _TROUBLE_MEMORY_S
            self.last_failure = f"{kind}: {message}"
        elif kind in _SIGNS_OF_LIFE:
            self._breaker.answered()
        elif is_probe:
            self._breaker.abandoned()
        if kind in _OVERLOAD_KINDS:
            self._overloaded(window, now_s)
        self._settle()

    def abandoned(self) -> None:
        """The probe ended without any result."""
        self._breaker.abandoned()

    def forgettable_s(self, now_s: float) -> float:
        """The moment from which a new state would do as well, if nothing is in flight; `now_s` or earlier for now.

        That is when delay and embargo are over, and a minute after the last trouble or an open circuit's cool-down.
        """
        if self.is_unbound and self.is_healthy:
            return now_s
        cool_s = 0.0 if self._breaker.is_closed else self._breaker.wait_s(now_s) + _TROUBLE_MEMORY_S
        return max(self._started_s + self._delay_s, self._embargo_until_s, self._remembered_until_s, now_s + cool_s)

    def _overloaded(self, window: int, now_s: float) -> None:
        if self._rules.adapts:
            self._concurrency.overloaded(window)
            self._remembered_until_s = now_s + _TROUBLE_MEMORY_S

    def _settle(self) -> None:
        self.is_unbound = not self._delay_s and self._embargo_until_s == -math.inf and self._breaker.is_closed
        self.is_healthy = self._breaker.is_clean and self._concurrency.is_at_ceiling
        self.limit = self._concurrency.limit
        self.window = self._concurrency.window
