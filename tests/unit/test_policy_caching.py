"""The rules of caching, held against a table. Names and cases with a hyphenated name are those of the public test suite
for HTTP caches (http-tests/cache-tests), as far as they apply to a private cache; the others are ours.
"""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.caching import (
    Terms,
    Use,
    concerns_cache,
    conditions,
    invalidated_by,
    may_stand_in,
    may_store,
    terms_of,
    use_of,
    vary_of,
)
from app.policy.caching_directives import NO_WISHES, Wishes, wishes_of
from app.policy.retry import TRANSIENT_STATUSES

NOW_S = 1_800_000_000.0
DAY_S = 86_400

CACHED = "cached"
NOT_CACHED = "not_cached"
ETAG = "etag_validated"
LAST_MODIFIED = "lm_validated"


class Case(msgspec.Struct, frozen=True):
    """An answer, and what becomes of a request for the same `after_s` later. A header that is a number is a date, so
    many seconds from when the answer came; several Cache-Control are joined as they would be.
    """

    id: str
    expected: str
    answer: dict[str, str | int]
    request: dict[str, str] = {}
    status: int = 200
    after_s: float = 3.0


def dated(headers: dict[str, str | int]) -> dict[str, str]:
    return {
        name: formatdate(NOW_S + value, usegmt=True) if isinstance(value, int) else value
        for name, value in headers.items()
    }


def what_becomes_of(case: Case) -> str:
    answer, wishes = dated(case.answer), wishes_of(case.request)
    terms = terms_of(case.status, answer, requested_s=NOW_S, received_s=NOW_S)
    if not may_store(NO_WISHES, case.status, answer, terms) or wishes.no_store:
        return NOT_CACHED
    if use_of(terms, wishes, NOW_S + case.after_s) is not Use.VALIDATE:
        return CACHED
    asking = conditions(answer, NOW_S)
    return ETAG if "If-None-Match" in asking else LAST_MODIFIED if asking else NOT_CACHED


def control(value: str, **more: str | int) -> dict[str, str | int]:
    return {"cache-control": value} | {name.replace("_", "-"): text for name, text in more.items()}


FRESHNESS = [
    Case("freshness-none", NOT_CACHED, {}),
    Case("freshness-max-age", CACHED, control("max-age=3600")),
    Case("freshness-max-age-stale", NOT_CACHED, control("max-age=2")),
    Case("freshness-max-age-0", NOT_CACHED, control("max-age=0")),
    Case("freshness-max-age-max-minus-1", CACHED, control("max-age=2147483647")),
    Case("freshness-max-age-max", CACHED, control("max-age=2147483648")),
    Case("freshness-max-age-max-plus-1", CACHED, control("max-age=2147483649")),
    Case("freshness-max-age-max-plus", CACHED, control("max-age=99999999999")),
    Case("freshness-max-age-age", NOT_CACHED, control("max-age=3600", date=0, age="7200")),
    Case("freshness-max-age-date", NOT_CACHED, control("max-age=3600", date=-7200)),
    Case("freshness-max-age-expires", CACHED, control("max-age=3600", expires=-7200, date=0)),
    Case("freshness-max-age-expires-invalid", CACHED, control("max-age=3600", expires="0", date=0)),
    Case("freshness-max-age-0-expires", NOT_CACHED, control("max-age=0", expires=3600, date=0)),
    Case("freshness-max-age-extension", CACHED, control("foobar, max-age=3600")),
    Case("freshness-max-age-case-insenstive", CACHED, control("MaX-aGe=3600")),
    Case("freshness-max-age-negative", NOT_CACHED, control("max-age=-3600")),
    Case("freshness-max-age-s-maxage-private", NOT_CACHED, control("s-maxage=3600, max-age=1")),
    Case("a shared cache's directive alone", NOT_CACHED, control("s-maxage=3600")),
    Case("the boundary: as old as it may become", NOT_CACHED, control("max-age=3", date=0)),
    Case("the boundary: a moment younger", CACHED, control("max-age=3", date=0), after_s=2.9),
]

PARSING = [
    Case("freshness-max-age-two-fresh-stale-sameline", CACHED, control("max-age=1800, max-age=1")),
    Case("freshness-max-age-two-stale-fresh-sameline", NOT_CACHED, control("max-age=1, max-age=1800")),
    Case("freshness-max-age-quoted", CACHED, control('max-age="3600"')),
    Case("freshness-max-age-ignore-quoted", NOT_CACHED, control('extension="max-age=3600", max-age=1')),
    Case("freshness-max-age-ignore-quoted-rev", NOT_CACHED, control('max-age=1, extension="max-age=3600"')),
    Case("freshness-max-age-space-before-equals", NOT_CACHED, control("max-age =3600")),
    Case("freshness-max-age-space-after-equals", NOT_CACHED, control("max-age= 3600")),
    Case("freshness-max-age-leading-zero", CACHED, control("max-age=003600")),
    Case("freshness-max-age-single-quoted", NOT_CACHED, control("max-age='3600'")),
    Case("freshness-max-age-decimal-five", NOT_CACHED, control("max-age=3600.5")),
    Case("freshness-max-age-a100", NOT_CACHED, control("max-age=a3600")),
    Case("freshness-max-age-100a", NOT_CACHED, control("max-age=3600a")),
    Case("what can't be read is stale, whatever else is said", ETAG, control("max-age=x", expires=900, etag='"a"')),
    Case("a quote that never ends", NOT_CACHED, control('a="b, max-age=3600')),
    Case("other digits", NOT_CACHED, control("max-age=３６００")),
    Case("age-parse-nonnumeric", CACHED, control("max-age=3600", date=0, age="abc")),
    Case("age-parse-negative", CACHED, control("max-age=3600", date=0, age="-7200")),
    Case("age-parse-float", CACHED, control("max-age=3600", date=0, age="7200.0")),
    Case("age-parse-large-minus-one", NOT_CACHED, control("max-age=3600", date=0, age="2147483647")),
    Case("age-parse-larger", NOT_CACHED, control("max-age=3600", date=0, age="2147483649")),
    Case("age-parse-suffix", NOT_CACHED, control("max-age=3600", date=0, age="7200, 0")),
    Case("age-parse-prefix", CACHED, control("max-age=3600", date=0, age="0, 7200")),
]

EXPIRES = [
    Case("freshness-expires-future", CACHED, {"expires": 3600, "date": 0}),
    Case("freshness-expires-past", NOT_CACHED, {"expires": -3600, "date": 0}),
    Case("freshness-expires-present", NOT_CACHED, {"expires": 0, "date": 0}),
    Case("freshness-expires-old-date", CACHED, {"expires": 1800, "date": -7200}),
    Case("freshness-expires-invalid", NOT_CACHED, {"expires": "0", "date": 0}),
    Case("freshness-expires-age-slow-date", NOT_CACHED, {"expires": 3600, "date": 0, "age": "7200"}),
    Case("without a date it counts from when it came", CACHED, {"expires": 3600}),
    Case("freshness-expires-32bit", CACHED, {"expires": "Tue, 19 Jan 2038 14:14:08 GMT", "date": 0}),
    Case("freshness-expires-far-future", CACHED, {"expires": "Sun, 21 Nov 2286 04:46:39 GMT", "date": 0}),
    Case("freshness-expires-rfc850", CACHED, {"expires": "Thursday, 18-Aug-50 02:01:18 GMT", "date": 0}),
    Case("freshness-expires-ansi-c", CACHED, {"expires": "Thu Aug  8 02:01:18 2050", "date": 0}),
    Case("freshness-expires-wrong-case-weekday", CACHED, {"expires": "THU, 18 Aug 2050 02:01:18 GMT", "date": 0}),
    Case("freshness-expires-wrong-case-month", CACHED, {"expires": "Thu, 18 AUG 2050 02:01:18 GMT", "date": 0}),
    Case("freshness-expires-wrong-case-tz", CACHED, {"expires": "Thu, 18 Aug 2050 02:01:18 gMT", "date": 0}),
    Case("freshness-expires-invalid-utc", NOT_CACHED, {"expires": "Thu, 18 Aug 2050 02:01:18 UTC", "date": 0}),
    Case("freshness-expires-invalid-aest", NOT_CACHED, {"expires": "Thu, 18 Aug 2050 02:01:18 AEST", "date": 0}),
    Case("freshness-expires-invalid-2-digit-year", NOT_CACHED, {"expires": "Thu, 18 Aug 50 02:01:18 GMT", "date": 0}),
    Case("freshness-expires-invalid-no-comma", NOT_CACHED, {"expires": "Thu 18 Aug 2050 02:01:18 GMT", "date": 0}),
    Case("freshness-expires-invalid-multiple-spaces", NOT_CACHED, {"expires": "Thu, 18  Aug  2050 02:01:18 GMT"}),
    Case("freshness-expires-invalid-date-dashes", NOT_CACHED, {"expires": "Thu, 18-Aug-2050 02:01:18 GMT"}),
    Case("freshness-expires-invalid-time-periods", NOT_CACHED, {"expires": "Thu, 18 Aug 2050 02.01.18 GMT"}),
    Case("freshness-expires-invalid-1-digit-hour", NOT_CACHED, {"expires": "Thu, 18 Aug 2050 2:01:18 GMT"}),
    Case("two of them", NOT_CACHED, {"expires": "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:19 GMT"}),
]

HEURISTIC: list[Case] = [
    *(
        Case(f"heuristic-{code}", CACHED, {"last-modified": -DAY_S, "date": 0}, status=code)
        for code in (200, 203, 204, 404, 405, 410, 414)
    ),
    *(
        Case(f"heuristic-{code}", NOT_CACHED, {"last-modified": -DAY_S, "date": 0}, status=code)
        for code in (201, 202, 403, 502, 503, 504, 599)
    ),
    Case("heuristic-599 public", CACHED, control("public", last_modified=-DAY_S, date=0), status=599),
    Case("heuristic-delta-10", LAST_MODIFIED, {"last-modified": -10, "date": 0}),
    Case("heuristic-delta-60", CACHED, {"last-modified": -60, "date": 0}),
    Case("a tenth of the time", CACHED, {"last-modified": -DAY_S, "date": 0}, after_s=8639),
    Case("and no more", LAST_MODIFIED, {"last-modified": -DAY_S, "date": 0}, after_s=8640),
    Case("a week at most", LAST_MODIFIED, {"last-modified": -900 * DAY_S, "date": 0}, after_s=7 * DAY_S),
    Case("modified after it was sent", LAST_MODIFIED, {"last-modified": 60, "date": 0}),
    Case("what is said is no guess", LAST_MODIFIED, control("max-age=1", last_modified=-DAY_S, date=0)),
    Case("a permanent redirect", CACHED, {"location": "/x"}, status=301, after_s=DAY_S - 1),
    Case("no longer than a day", NOT_CACHED, {"location": "/x"}, status=308, after_s=DAY_S),
    Case("a redirect for now", NOT_CACHED, {"location": "/x"}, status=302),
    Case("for now, for so long", CACHED, control("max-age=60", location="/x"), status=302),
]

DIRECTIVES = [
    Case("cc-resp-private-private", CACHED, control("private, max-age=3600")),
    Case("cc-resp-no-store", NOT_CACHED, control("no-store")),
    Case("cc-resp-no-store-case-insensitive", NOT_CACHED, control("No-StOrE")),
    Case("cc-resp-no-store-fresh", NOT_CACHED, control("max-age=10000, no-store", expires=10000, date=0)),
    Case("cc-resp-no-cache", NOT_CACHED, control("max-age=10000, no-cache", expires=10000, date=0)),
    Case("cc-resp-no-cache-case-insensitive", NOT_CACHED, control("max-age=10000, No-CaChE")),
    Case("cc-resp-no-cache-revalidate", ETAG, control("no-cache", etag='"abcd"')),
    Case("cc-resp-no-cache-revalidate-fresh", ETAG, control("max-age=10000, no-cache", etag='"abcd"')),
    Case("qualified counts as unqualified", ETAG, control('max-age=10000, no-cache="a, b"', etag='"abcd"')),
    Case("cc-resp-must-revalidate-fresh", CACHED, control("max-age=10000, must-revalidate", etag='"abcd"')),
    Case("cc-resp-must-revalidate-stale", ETAG, control("max-age=2, must-revalidate", etag='"abcd"')),
    Case("cc-resp-immutable-fresh", CACHED, control("max-age=9, immutable", etag='"a"'), control("max-age=0")),
    Case("cc-resp-immutable-stale", ETAG, control("max-age=2, immutable", etag='"a"'), control("max-age=0")),
    Case("not against a forced reload", ETAG, control("max-age=9, immutable", etag='"a"'), control("no-cache")),
    Case("pragma-response-no-cache", CACHED, control("max-age=3600", pragma="no-cache")),
    Case("status-599-must-understand", NOT_CACHED, control("max-age=9, no-store, must-understand"), status=599),
    Case("status-200-must-understand", CACHED, control("max-age=9, no-store, must-understand")),
    Case("must-understand alone", NOT_CACHED, control("max-age=9, must-understand"), status=599),
    Case("other-set-cookie", CACHED, control("max-age=3600", set_cookie="a=b")),
    Case("vary-syntax-star", NOT_CACHED, control("max-age=3600", vary="*")),
    Case("vary-syntax-star-foo", NOT_CACHED, control("max-age=3600", vary="*, foo")),
    Case("vary-syntax-foo-star", NOT_CACHED, control("max-age=3600", vary="foo, *")),
    Case("no tag and no date to ask by", NOT_CACHED, control("max-age=2", last_modified="yesterday")),
]

REQUESTS = [
    Case("ccreq-ma0", NOT_CACHED, control("max-age=3600"), control("max-age=0")),
    Case("ccreq-ma1", NOT_CACHED, control("max-age=3600"), control("max-age=1")),
    Case("ccreq-magreaterage", NOT_CACHED, control("max-age=3600", age="1800"), control("max-age=600")),
    Case("young enough", CACHED, control("max-age=3600", age="1800"), control("max-age=1900")),
    Case("an age that can't be read", NOT_CACHED, control("max-age=3600"), control("max-age=x")),
    Case("ccreq-max-stale", CACHED, control("max-age=2"), control("max-stale=1000")),
    Case("ccreq-max-stale-age", CACHED, control("max-age=1500", age="2000", etag='"a"'), control("max-stale=1000")),
    Case("any age will do", CACHED, control("max-age=2"), control("max-stale"), after_s=1e6),
    Case("too stale", NOT_CACHED, control("max-age=2"), control("max-stale=1"), after_s=4),
    Case("stale-must-revalidate", NOT_CACHED, control("max-age=2, must-revalidate"), control("max-stale=9")),
    Case("stale-no-cache", NOT_CACHED, control("max-age=2, no-cache"), control("max-stale=9")),
    Case("ccreq-min-fresh", NOT_CACHED, control("max-age=1500"), control("min-fresh=2000")),
    Case("ccreq-min-fresh-age", NOT_CACHED, control("max-age=1500", age="1000"), control("min-fresh=1000")),
    Case("fresh for long enough", CACHED, control("max-age=1500"), control("min-fresh=1000")),
    Case("ccreq-no-cache", NOT_CACHED, control("max-age=3600"), control("no-cache")),
    Case("ccreq-no-cache-lm", LAST_MODIFIED, control("max-age=9", last_modified=-9, date=0), control("no-cache")),
    Case("ccreq-no-cache-etag", ETAG, control("max-age=3600", etag='"abc"'), control("no-cache")),
    Case("ccreq-no-store", NOT_CACHED, control("max-age=3600"), control("no-store")),
    Case("pragma-request-no-cache", NOT_CACHED, control("max-age=3600"), {"pragma": "no-cache"}),
    Case("pragma-request-extension", CACHED, control("max-age=3600"), {"pragma": "foo"}),
    Case("pragma beside cache-control", CACHED, control("max-age=9"), {"pragma": "no-cache", "cache-control": "foo"}),
]


def named(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.id)


@named([*FRESHNESS, *PARSING, *EXPIRES, *HEURISTIC, *DIRECTIVES, *REQUESTS])
def test_what_becomes_of_an_answer(case: Case) -> None:
    assert what_becomes_of(case) == case.expected


@pytest.mark.parametrize("status", range(100, 600))
def test_statuses_with_explicit_freshness(status: int) -> None:
    kept = status >= 200 and status not in {206, 304, *TRANSIENT_STATUSES}
    assert what_becomes_of(Case("", "", control("max-age=3600"), status=status)) == (CACHED if kept else NOT_CACHED)


def test_what_a_request_keeps_from_being_stored() -> None:
    answer = dated(control("max-age=3600"))
    terms = terms_of(200, answer, requested_s=NOW_S, received_s=NOW_S)
    assert may_store(NO_WISHES, 200, answer, terms)
    assert not may_store(Wishes(no_store=True), 200, answer, terms)


def test_the_time_on_the_way_counts() -> None:
    answer = dated(control("max-age=10", date=0))
    assert terms_of(200, answer, requested_s=NOW_S - 4, received_s=NOW_S).age_s(NOW_S + 1) == 5
    later = terms_of(200, answer | {"age": "3"}, requested_s=NOW_S - 4, received_s=NOW_S)
    assert later.age_s(NOW_S + 1) == 8
    # A clock that goes back makes nothing younger than it was.
    assert later.age_s(NOW_S - 1000) == 7


@pytest.mark.parametrize(
    "name", ["range", "if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range"]
)
def test_a_request_with_conditions_of_its_own_is_not_the_caches(name: str) -> None:
    assert concerns_cache("GET", {"accept": "*/*"}, has_body=False)
    assert concerns_cache("HEAD", {}, has_body=False)
    assert not concerns_cache("GET", {name: "x"}, has_body=False)
    assert not concerns_cache("GET", {}, has_body=True)
    assert not concerns_cache("POST", {}, has_body=False)


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        ("POST", 200, True),
        ("PUT", 204, True),
        ("DELETE", 303, True),
        ("FOO", 200, True),
        ("POST", 400, False),
        ("POST", 500, False),
        ("GET", 200, False),
        ("HEAD", 200, False),
        ("OPTIONS", 200, False),
    ],
)
def test_what_invalidates(method: str, status: int, expected: bool) -> None:
    assert invalidated_by(method, status) == expected


@pytest.mark.parametrize(
    ("answer", "request_", "after_s", "expected"),
    [
        ("max-age=2, stale-if-error=60", "", 62, True),
        ("max-age=2, stale-if-error=60", "", 63, False),
        ("max-age=2", "", 3, False),
        ("max-age=2", "stale-if-error=60", 62, True),
        ("max-age=2, must-revalidate, stale-if-error=60", "", 3, False),
        ("no-cache, stale-if-error=60", "", 3, False),
        ("max-age=2, stale-if-error=60", "no-cache", 3, False),
        ("max-age=2, stale-if-error=x", "", 3, False),
    ],
)
def test_what_may_stand_in_for_an_error(answer: str, request_: str, after_s: float, expected: bool) -> None:
    terms = terms_of(200, dated(control(answer, date=0)), requested_s=NOW_S, received_s=NOW_S)
    wishes = wishes_of({"cache-control": request_} if request_ else {})
    assert may_stand_in(terms, wishes, NOW_S + after_s) == expected


def test_conditions() -> None:
    modified = formatdate(NOW_S, usegmt=True)
    assert conditions({"etag": ' W/"a" ', "last-modified": modified}, NOW_S) == {
        "If-None-Match": 'W/"a"',
        "If-Modified-Since": modified,
    }
    assert conditions({"etag": " "}, NOW_S) == {}


def test_vary() -> None:
    assert vary_of({"vary": " Foo,bar ,, foo"}) == ("bar", "foo")
    assert vary_of({}) == ()


SECONDS = st.none() | st.integers(0, 10_000)
TERMS = st.builds(
    Terms,
    st.just(NOW_S),
    st.floats(0, 10_000),
    st.floats(0, 10_000),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 10_000),
    st.just(()),
)
WISHES = st.builds(Wishes, st.just(False), st.booleans(), st.booleans(), SECONDS, SECONDS, SECONDS, SECONDS)


@given(TERMS, WISHES, st.floats(0, 20_000))
def test_nothing_is_used_against_anybodys_word(terms: Terms, wishes: Wishes, after_s: float) -> None:
    use = use_of(terms, wishes, NOW_S + after_s)
    age_s = terms.age_s(NOW_S + after_s)
    is_fresh = age_s < terms.lifetime_s
    if use is not Use.VALIDATE:
        assert not terms.must_validate
        assert not wishes.no_cache
        assert (use is Use.FRESH) == is_fresh
        if use is Use.STALE:
            assert not terms.must_revalidate
            assert wishes.max_stale_s is not None
        if wishes.max_age_s is not None and not (terms.is_immutable and is_fresh):
            assert age_s <= wishes.max_age_s
    elif is_fresh and wishes == NO_WISHES:
        assert terms.must_validate


@given(TERMS, st.floats(0, 20_000), st.floats(0, 20_000))
def test_what_is_out_of_date_stays_so(terms: Terms, first_s: float, later_s: float) -> None:
    earlier, later = sorted((first_s, later_s))
    if use_of(terms, NO_WISHES, NOW_S + later) is Use.FRESH:
        assert use_of(terms, NO_WISHES, NOW_S + earlier) is Use.FRESH
