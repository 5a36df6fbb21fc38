"""Caching: whether an answer may be stored, and whether what is stored may be used again (RFC 9111). Pure.

The law: we are a **private** cache (RFC 9111 section 1): what is stored belongs to whoever runs the command.
`private` may be stored then, `s-maxage` and `proxy-revalidate` are not for us. A stored answer's **terms** are
worked out once, when it comes; headers are given by lower-case name, repeated ones joined by ", ".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from app.policy.caching_directives import Wishes, delta_s, parse_directives
from app.policy.http_dates import parse_http_date_s
from app.policy.retry import TRANSIENT_STATUSES

Headers = Mapping[str, str]

# RFC 9110 section 9.2.1. A method that nobody knows counts as unsafe (RFC 9111 section 4.4).
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

_STORED_METHODS = frozenset({"GET", "HEAD"})

# RFC 9110 section 15.1. Not 206: parts are not put together here.
_HEURISTIC_STATUSES = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})

# Whose caching needs nothing that we don't do; what `must-understand` asks (RFC 9111 section 5.2.2.3).
_UNDERSTOOD_STATUSES = _HEURISTIC_STATUSES | {302, 303, 307, 400, 401, 403, 451}

# 304 is about another answer, 206 a part of one.
_NEVER_STORED = frozenset({206, 304})

# RFC 5861 section 4.
_ERRORS = frozenset({500, 502, 503, 504})

# "A typical setting of this fraction might be 10%" (RFC 9111 section 4.2.2); browsers stop at a week.
_HEURISTIC_SHARE = 0.1
_HEURISTIC_MOST_S = 7 * 86_400.0

# A permanent redirect says itself that it is to stay (RFC 9110 sections 15.4.2 and 15.4.9), but not for how long.
_PERMANENT = frozenset({301, 308})
_PERMANENT_S = 86_400.0

# A request with one of these wants part of an answer, or has its own idea of what it has already.
_ITS_OWN = ("range", "if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range")


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """On which a stored answer may be used again.

    received_s        seconds since the epoch at which it came
    initial_age_s     how old it was then (RFC 9111 section 4.2.3)
    lifetime_s        up to which age it is fresh
    must_validate     not without asking the origin (no-cache)
    must_revalidate   never stale
    is_immutable      RFC 8246
    stale_if_error_s  for how long after its lifetime it may stand in for an error
    vary              names of the request headers that have to be the same, in order
    """

    received_s: float
    initial_age_s: float
    lifetime_s: float
    must_validate: bool
    must_revalidate: bool
    is_immutable: bool
    stale_if_error_s: int
    vary: tuple[str, ...]

    def age_s(self, now_s: float) -> float:
        """At that wall clock (section 4.2.3)."""
        return self.initial_age_s + max(0.0, now_s - self.received_s)


class Use(Enum):
    """What may be done with a stored answer."""

    FRESH = "fresh"
    STALE = "stale"
    """It is stale, and the request said that this will do."""
    VALIDATE = "validate"
    """The origin has to be asked."""


def is_unsafe(method: str) -> bool:
    """Whether it may change what is stored at its target."""
    return method not in _SAFE_METHODS


def concerns_cache(method: str, headers: Headers, *, has_body: bool) -> bool:
    """Whether a cache has anything to do with a request: whether it may be answered from it, or its answer stored."""
    return method in _STORED_METHODS and not has_body and not any(name in headers for name in _ITS_OWN)


def terms_of(status: int, headers: Headers, *, requested_s: float, received_s: float) -> Terms:
    """The terms of an answer. Times are wall clock, when its request was sent and when it had come."""
    told = parse_directives(headers.get("cache-control", ""))
    date_s = parse_http_date_s(headers.get("date", ""), received_s)
    apparent_s = 0.0 if date_s is None else max(0.0, received_s - date_s)
    age_s = delta_s(headers.get("age", "0").partition(",")[0].strip(" \t")) or 0
    return Terms(
        received_s=received_s,
        initial_age_s=max(apparent_s, age_s + max(0.0, received_s - requested_s)),
        lifetime_s=_lifetime_s(status, headers, received_s if date_s is None else date_s, received_s),
        # Qualified by names, too: to withhold just these headers is what hardly any cache does (section 5.2.2.4).
        must_validate="no-cache" in told,
        must_revalidate="must-revalidate" in told,
        is_immutable="immutable" in told,
        stale_if_error_s=delta_s(told.get("stale-if-error", "")) or 0,
        vary=vary_of(headers),
    )


def _lifetime_s(status: int, headers: Headers, date_s: float, now_s: float) -> float:
    """RFC 9111 section 4.2.1: what is said counts, and stale what can't be read; else 4.2.2: a guess."""
    told = parse_directives(headers.get("cache-control", ""))
    max_age = told.get("max-age")
    if max_age is not None:
        return float(delta_s(max_age) or 0)
    expires = headers.get("expires")
    if expires is not None:
        expires_s = parse_http_date_s(expires, now_s)
        return 0.0 if expires_s is None else max(0.0, expires_s - date_s)
    if status not in _HEURISTIC_STATUSES and "public" not in told:
        return 0.0
    modified_s = parse_http_date_s(headers.get("last-modified", ""), now_s)
    if modified_s is not None:
        return min(_HEURISTIC_MOST_S, _HEURISTIC_SHARE * max(0.0, date_s - modified_s))
    return _PERMANENT_S if status in _PERMANENT else 0.0


def vary_of(headers: Headers) -> tuple[str, ...]:
    """The names in Vary, in lower case and in order; "*" among them if nothing can ever be the same."""
    value = headers.get("vary")
    if value is None:
        return ()
    return tuple(sorted({name for part in value.split(",") if (name := part.strip(" \t").lower())}))


def may_store(wishes: Wishes, status: int, headers: Headers, terms: Terms) -> bool:
    """Whether the whole answer to a request that `concerns_cache` may be stored (RFC 9111 section 3), and would be of
    any use.

    What may be better in a moment is not stored, whatever it says of itself: it is asked for again, and at once
    (app.policy.retry).
    """
    told = parse_directives(headers.get("cache-control", ""))
    if status < 200 or status in _NEVER_STORED or status in TRANSIENT_STATUSES or wishes.no_store:
        return False
    if "must-understand" in told:
        if status not in _UNDERSTOOD_STATUSES:
            return False
    elif "no-store" in told:
        return False
    is_allowed = (
        status in _HEURISTIC_STATUSES
        or not told.keys().isdisjoint(("public", "private", "max-age"))
        or "expires" in headers
    )
    is_useful = terms.lifetime_s > terms.initial_age_s or bool(conditions(headers, terms.received_s))
    return is_allowed and is_useful and "*" not in terms.vary


def use_of(terms: Terms, wishes: Wishes, now_s: float) -> Use:
    """What may be done with a stored answer that fits (section 4). now_s is wall clock."""
    age_s = terms.age_s(now_s)
    left_s = terms.lifetime_s - age_s
    if terms.must_validate or wishes.no_cache:
        return Use.VALIDATE
    is_reload = wishes.max_age_s is not None and age_s > wishes.max_age_s
    if is_reload and not (terms.is_immutable and left_s > 0):
        return Use.VALIDATE
    if wishes.min_fresh_s is not None and left_s < wishes.min_fresh_s:
        return Use.VALIDATE
    if left_s > 0:
        return Use.FRESH
    if wishes.max_stale_s is not None and not terms.must_revalidate and -left_s <= wishes.max_stale_s:
        return Use.STALE
    return Use.VALIDATE


def may_stand_in(terms: Terms, wishes: Wishes, now_s: float) -> bool:
    """Whether a stored answer may be used in place of an error (RFC 5861 section 4): only if somebody said so."""
    if terms.must_revalidate or terms.must_validate or wishes.no_cache:
        return False
    allowed_s = max(terms.stale_if_error_s, wishes.stale_if_error_s or 0)
    return allowed_s > 0 and terms.age_s(now_s) - terms.lifetime_s <= allowed_s


def is_error(status: int) -> bool:
    """Whether an answer of that status is what `may_stand_in` is about."""
    return status in _ERRORS


def conditions(headers: Headers, now_s: float) -> dict[str, str]:
    """Headers that ask the origin whether a stored answer is still right (section 4.3.1); empty if it has nothing that
    it could be known by.
    """
    asking: dict[str, str] = {}
    if tag := headers.get("etag", "").strip(" \t"):
        asking["If-None-Match"] = tag
    modified = headers.get("last-modified", "").strip(" \t")
    if modified and parse_http_date_s(modified, now_s) is not None:
        asking["If-Modified-Since"] = modified
    return asking


def invalidated_by(method: str, status: int) -> bool:
    """Whether an answer makes what is stored at its target untrue (section 4.4)."""
    return is_unsafe(method) and 200 <= status < 400
