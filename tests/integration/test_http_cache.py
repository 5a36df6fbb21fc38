"""The cache before a real origin, over both transports: what it answers itself, what it asks, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from gevent import get_hub
from msgspec import UNSET

from app.fetching.exchanges import exchanges_of
from app.fetching.session import Transport
from app.hub.per_hub import close_this_hub
from app.model.job import FetchOptions
from app.model.outcome import ErrorKind, Outcome
from app.model.request import Entry, Request
from app.policy.addresses import AddressPolicy
from tests.support.caches import HOUR, NEVER, TAG, CachedEngine, told
from tests.support.hubs import hub_until
from tests.support.origin import Origin, running_origin
from tests.support.ports import refused_port

Make = Callable[..., CachedEngine]


@pytest.fixture(params=get_args(Transport))
def transport(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def make(tmp_path: Path, transport: Any) -> Iterator[Make]:
    made: list[CachedEngine] = []

    def make_one(transport: Any = transport, **options: Any) -> CachedEngine:
        made.append(CachedEngine(tmp_path / "cache", transport, **options))
        return made[-1]

    yield make_one
    for each in made:
        each.close()
    close_this_hub()


@pytest.fixture
def engine(make: Make) -> CachedEngine:
    return make()


def said(*outcomes: Outcome) -> list[tuple[Any, Any]]:
    """Of each, what the cache had to do with it, and the number of the origin's answer."""
    return [(each.cache, int(str(each.body).split()[1])) for each in outcomes]


def test_a_fresh_answer_is_used_again_and_nobody_is_asked(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", HOUR, "X-Own: Á", gzip=1))
    first = engine.fetch(url)
    engine.clock.advance(100)
    second = engine.fetch(url, timing=True)
    assert said(first, second) == [("miss", 1), ("hit", 1)]
    assert second.timing is UNSET, "there was no transfer"
    assert (first.attempts, second.attempts) == (1, 0)
    assert second.elapsed_s == 0
    age = second.headers.pop("age")
    assert 100 <= int(age) <= 110
    assert second.headers == first.headers
    assert (second.status, second.final_url, second.bytes) == (200, url, first.bytes)
    assert origin.counts().total == 1
    counts = engine.counts
    assert (counts.hits, counts.revalidated, counts.stale, counts.misses, counts.stored) == (1, 0, 0, 1, 1)


def test_another_process_has_it_too(make: Make, origin: Origin) -> None:
    url = origin.url(told("a", HOUR))
    assert said(make().fetch(url), make().fetch(url)) == [("miss", 1), ("hit", 1)]


def test_what_one_transport_stored_the_other_uses(make: Make, origin: Origin) -> None:
    for number, (stores, uses) in enumerate([("curl", "requests"), ("requests", "curl")]):
        url = origin.url(told(f"{number}", HOUR, gzip=1))
        first, second = make(stores).fetch(url), make(uses).fetch(url)
        assert said(first, second) == [("miss", 1), ("hit", 1)]
        assert second.body == first.body
        assert second.headers == first.headers | {"age": second.headers["age"]}


def test_the_archive_gets_what_came_then(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", HOUR, gzip=1))
    engine.fetch(url)
    (first,) = exchanges_of(engine.pages[0])
    engine.clock.advance(10)
    assert engine.fetch(url).cache == "hit"
    (second,) = exchanges_of(engine.pages[0])
    assert (second.url, second.request, second.head, second.body) == (first.url, first.request, first.head, first.body)
    assert (second.began_s, second.protocol, second.is_coded) == (first.began_s, first.protocol, first.is_coded)


def test_a_stale_answer_is_asked_about(engine: CachedEngine, origin: Origin) -> None:
    stale = "Cache-Control: max-age=5"
    url = origin.url(told("a", stale, TAG, "X-Old: 1", "X-Both: 1", news=(HOUR, TAG, "X-Both: 2")))
    first = engine.fetch(url)
    engine.clock.advance(10)
    second = engine.fetch(url)
    engine.clock.advance(10)
    third = engine.fetch(url)
    assert said(first, second, third) == [("miss", 1), ("revalidated", 1), ("hit", 1)]
    assert [each.attempts for each in (first, second, third)] == [1, 1, 0]
    for each in (second, third):
        assert each.status == 200
        assert (each.headers["x-old"], each.headers["x-both"]) == ("1", "2")
        assert each.headers["cache-control"] == "max-age=3600"
        assert each.headers["content-length"] == first.headers["content-length"]
    assert "age" not in second.headers
    assert [dict(hit.headers).get("if-none-match") for hit in origin.hits()] == [None, '"v1"']
    assert engine.counts.revalidated == 1


def test_what_is_confirmed_is_not_written_anew(engine: CachedEngine, origin: Origin, tmp_path: Path) -> None:
    """Where only the headers' values differ: the file stays, and its beginning is another."""

    def stored() -> tuple[int, bytes]:
        (path,) = [each for each in tmp_path.glob("cache/v1/??/*") if each.is_file()]
        return path.stat().st_ino, path.read_bytes()

    url = origin.url(told("a", NEVER, TAG, "X-Own: 1", news=("X-Own: 2",)))
    engine.fetch(url)
    before = stored()
    assert engine.fetch(url).headers["x-own"] == "2"
    after = stored()
    assert before[0] == after[0]
    assert before[1] != after[1]
    longer = origin.url(told("a", NEVER, TAG, "X-Own: 1", news=("X-Own: 22",)))
    for _ in range(2):
        engine.fetch(longer)
    assert engine.fetch(longer).headers["x-own"] == "22"


def test_what_a_304_does_not_say_counts_from_then_on(engine: CachedEngine, origin: Origin) -> None:
    """Its age and its date are not those of the answer that is stored."""
    old = formatdate(engine.clock.now_s - 1000, usegmt=True)
    url = origin.url(told("a", "Cache-Control: max-age=2000", TAG, "Age: 5000", f"Date: {old}"))
    assert said(engine.fetch(url)) == [("miss", 1)]
    second = engine.fetch(url)
    assert said(second) == [("revalidated", 1)]
    assert "age" not in second.headers
    third = engine.fetch(url)
    assert said(third) == [("hit", 1)]
    assert int(third.headers["age"]) < 100


def test_an_answer_that_may_not_be_kept_ends_what_was(engine: CachedEngine, origin: Origin, tmp_path: Path) -> None:
    def kept() -> list[Path]:
        return [path for path in tmp_path.glob("cache/v1/??/*") if path.is_file()]

    url = origin.url(told("a", HOUR, later=404))
    engine.fetch(url)
    assert len(kept()) == 1
    again = engine.fetch(url, headers={"Cache-Control": "no-cache"})
    assert (again.cache, again.status) == ("miss", 404)
    assert not kept()


def test_a_date_is_asked_by(engine: CachedEngine, origin: Origin) -> None:
    modified = formatdate(1_000_000_000, usegmt=True)
    url = origin.url(told("a", NEVER, f"Last-Modified: {modified}"))
    assert said(engine.fetch(url), engine.fetch(url)) == [("miss", 1), ("revalidated", 1)]
    assert dict(origin.hits()[1].headers)["if-modified-since"] == modified


def test_what_has_no_tag_is_fetched_anew(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", "Cache-Control: max-age=5"))
    first = engine.fetch(url)
    engine.clock.advance(10)
    second, third = engine.fetch(url), engine.fetch(url)
    assert said(first, second, third) == [("miss", 1), ("miss", 2), ("hit", 2)]


def test_a_304_about_another_answer(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", NEVER, TAG, news=('ETag: "v2"',)))
    assert said(engine.fetch(url), engine.fetch(url)) == [("miss", 1), ("miss", 2)]
    assert [dict(hit.headers).get("if-none-match") for hit in origin.hits()] == [None, '"v1"', None]


def test_vary(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", HOUR, "Vary: X-Own, accept-encoding"))

    def ask(own: str | None, **more: str) -> Outcome:
        return engine.fetch(url, headers=({} if own is None else {"X-Own": own}) | more)

    assert said(ask("1"), ask("2"), ask(None)) == [("miss", 1), ("miss", 2), ("miss", 3)]
    assert said(ask("1"), ask("2"), ask(None)) == [("hit", 1), ("hit", 2), ("hit", 3)]
    assert said(ask("1", Other="x"), ask("3"), ask("1", **{"Accept-Encoding": "br"})) == [
        ("hit", 1),
        ("miss", 4),
        ("miss", 5),
    ]


def test_variants_are_confirmed_each_by_itself(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", "Cache-Control: max-age=5", TAG, "Vary: X-Own", news=(HOUR,)))
    for own in "12":
        engine.fetch(url, headers={"X-Own": own})
    engine.clock.advance(10)
    outcomes = [engine.fetch(url, headers={"X-Own": own}) for own in "1212"]
    assert said(*outcomes) == [("revalidated", 1), ("revalidated", 2), ("hit", 1), ("hit", 2)]


@pytest.mark.parametrize("name", ["Authorization", "Cookie"])
def test_who_asks_makes_a_difference(engine: CachedEngine, origin: Origin, name: str, tmp_path: Path) -> None:
    url = origin.url(told("a", HOUR))
    first, other, nobody = (engine.fetch(url, headers=h) for h in ({name: "secret-1"}, {name: "secret-2"}, {}))
    again = [engine.fetch(url, headers=h) for h in ({name: "secret-1"}, {name: "secret-2"}, {})]
    assert said(first, other, nobody) == [("miss", 1), ("miss", 2), ("miss", 3)]
    assert said(*again) == [("hit", 1), ("hit", 2), ("hit", 3)]
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"answer 3" in stored
    assert b"secret" not in stored


def test_a_users_password_in_the_url_is_who_asks(engine: CachedEngine, origin: Origin) -> None:
    path = told("a", HOUR)
    mine, yours = (origin.url(path).replace("//", f"//{who}:x@") for who in ("me", "you"))
    assert said(engine.fetch(mine), engine.fetch(yours), engine.fetch(mine)) == [("miss", 1), ("miss", 2), ("hit", 1)]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "FOO"])
def test_what_changes_things_is_followed_by_a_look(engine: CachedEngine, origin: Origin, method: str) -> None:
    url = origin.url(told("a", HOUR, "Vary: X-Own"))
    for own in "12":
        engine.fetch(url, headers={"X-Own": own})
    changed = engine.fetch(url, method=method)
    assert changed.cache is UNSET
    assert said(*(engine.fetch(url, headers={"X-Own": own}) for own in "21")) == [("miss", 4), ("miss", 5)]


def test_what_failed_has_changed_nothing(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", HOUR))
    engine.fetch(url)
    origin.reset()
    failing = origin.url(told("a", HOUR, status=400))
    assert engine.fetch(failing, method="POST").status == 400
    assert said(engine.fetch(url)) == [("hit", 1)]


@pytest.mark.parametrize("name", ["Location", "Content-Location"])
def test_what_an_answer_to_post_names_is_looked_at_again(engine: CachedEngine, origin: Origin, name: str) -> None:
    path = told("a", HOUR)
    url = origin.url(path)
    engine.fetch(url)
    engine.fetch(origin.url(told("b", f"{name}: http://elsewhere.example{path}", status=201)), method="POST")
    assert said(engine.fetch(url)) == [("hit", 1)], "of another origin it is nobody's business"
    engine.fetch(origin.url(told("b", f"{name}: {path}", status=201)), method="POST")
    assert said(engine.fetch(url)) == [("miss", 2)]


def test_head_is_answered_by_what_get_got(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", HOUR, length=500))
    got = engine.fetch(url)
    head = engine.fetch(url, method="HEAD")
    assert (head.cache, head.bytes, head.status) == ("hit", 0, 200)
    assert head.headers["content-length"] == got.headers["content-length"] == "500"
    assert origin.counts().total == 1


def test_get_is_not_answered_by_what_head_got(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", HOUR))
    outcomes = [engine.fetch(url, method=method) for method in ("HEAD", "HEAD", "GET", "GET")]
    assert [each.cache for each in outcomes] == ["miss", "hit", "miss", "hit"]
    assert [hit.method for hit in origin.hits()] == ["HEAD", "GET"]


@pytest.mark.parametrize(("tag", "expected"), [(TAG, ("hit", 1)), ('ETag: "v2"', ("miss", 3))])
def test_head_tells_of_what_get_got(engine: CachedEngine, origin: Origin, tag: str, expected: Any) -> None:
    """RFC 9111 section 4.3.5."""
    url = origin.url(told("a", "Cache-Control: max-age=5", TAG, length=100, head=f"{HOUR}\n{tag}"))
    engine.fetch(url)
    engine.clock.advance(10)
    assert engine.fetch(url, method="HEAD").cache == "miss"
    assert said(engine.fetch(url)) == [expected]


def test_only_if_cached(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", HOUR))
    wish = {"Cache-Control": "only-if-cached"}
    missing = engine.fetch(url, headers=wish)
    assert (missing.status, missing.error and missing.error.kind, missing.attempts) == (
        504,
        ErrorKind.HTTP_STATUS,
        0,
    )
    engine.fetch(url)
    assert said(engine.fetch(url, headers=wish)) == [("hit", 1)]
    assert origin.counts().total == 1


@pytest.mark.parametrize(
    "header",
    [
        {"Cache-Control": "no-store"},
        {"Range": "bytes=0-4"},
        {"If-None-Match": '"x"'},
        {"If-Modified-Since": formatdate(1e9, usegmt=True)},
    ],
)
def test_requests_that_are_not_the_caches(engine: CachedEngine, origin: Origin, header: dict[str, str]) -> None:
    url = origin.url(told("a", HOUR))
    first = engine.fetch(url, headers=header)
    assert first.cache is UNSET
    assert said(engine.fetch(url)) == [("miss", 2)], "its answer was not stored"
    engine.fetch(url, headers=header)
    assert origin.counts().total == 3, "nor is a stored one used"
    asked = [dict(hit.headers) for hit in origin.hits()]
    assert all(asked[n].get(name.lower()) == value for n in (0, 2) for name, value in header.items())


def test_no_cache_asks_and_what_it_gets_is_stored(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", HOUR))
    engine.fetch(url)
    again = engine.fetch(url, headers={"Cache-Control": "no-cache"})
    assert said(again, engine.fetch(url)) == [("miss", 2), ("hit", 2)]


def test_redirects_hop_by_hop(engine: CachedEngine, origin: Origin) -> None:
    target = told("b", HOUR)
    for status, asked in [(301, 0), (308, 0), (302, 1), (307, 1)]:
        url = origin.url(told(f"{status}", f"Location: {target}", "Set-Cookie: a=b", status=status))
        first = engine.fetch(url)
        before = origin.counts().total
        second = engine.fetch(url)
        assert (second.status, second.final_url, second.body) == (200, origin.url(target), first.body)
        assert origin.counts().total - before == asked
        assert second.cache == "hit"
        assert second.attempts == asked
        assert [hop.status_code for hop in engine.pages[0].history] == [status]


def test_cookies_of_a_stored_redirect_go_along(engine: CachedEngine, origin: Origin) -> None:
    target = told("b", NEVER)
    url = origin.url(told("a", HOUR, f"Location: {target}", "Set-Cookie: a=b; Path=/", status=302))
    for _ in range(2):
        assert engine.fetch(url).status == 200
    assert [dict(hit.headers).get("cookie") for hit in origin.hits()] == [None, "a=b", "a=b"]
    # From a hop in the midst of others, too.
    middle = told("m", HOUR, f"Location: {target}", "Set-Cookie: c=d; Path=/", status=302)
    outer = origin.url(told("c", HOUR, f"Location: {middle}", status=302))
    assert [engine.fetch(outer).attempts for _ in range(2)] == [1, 1]
    assert [dict(hit.headers).get("cookie") for hit in origin.hits("/told/b")][2:] == ["c=d", "c=d"]


@pytest.mark.parametrize("later", ["503", "500", "drop"])
def test_stale_if_error(engine: CachedEngine, origin: Origin, later: str) -> None:
    url = origin.url(told("a", "Cache-Control: max-age=5, stale-if-error=60", later=later))
    engine.fetch(url)
    engine.clock.advance(10)
    second = engine.fetch(url)
    assert said(second) == [("stale", 1)]
    assert second.ok
    assert int(second.headers["age"]) >= 10
    assert engine.counts.stale == 1
    engine.clock.advance(60)
    third = engine.fetch(url)
    assert not third.ok
    assert third.cache != "stale"


def test_what_tls_or_the_policy_refuses_is_no_error_to_stand_in_for(make: Make, origin: Origin) -> None:
    url = origin.url(told("a", "Cache-Control: max-age=5, stale-if-error=60"))
    make().fetch(url)
    engine = make(session={"policy": AddressPolicy.public_only(allow=(), ports=None)})
    engine.clock.advance(10)
    refused = engine.fetch(url)
    assert refused.error is not None
    assert refused.error.kind is ErrorKind.ADDRESS_DENIED


def test_an_error_is_an_error_where_nobody_said_otherwise(engine: CachedEngine, origin: Origin) -> None:
    for later, kind in [("503", ErrorKind.HTTP_STATUS), ("drop", ErrorKind.CONNECTION_LOST)]:
        url = origin.url(told(later, "Cache-Control: max-age=5", TAG, later=later))
        engine.fetch(url)
        engine.clock.advance(10)
        failed = engine.fetch(url)
        assert failed.error is not None
        assert failed.error.kind is kind


def test_what_may_be_better_in_a_moment_is_not_stored(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", HOUR, status=503))
    assert [engine.fetch(url).cache for _ in range(2)] == ["miss", "miss"]
    url = origin.url(told("b", HOUR, status=404))
    outcomes = [engine.fetch(url) for _ in range(2)]
    assert [(each.cache, each.status, each.ok) for each in outcomes] == [("miss", 404, False), ("hit", 404, False)]


def test_errors_that_are_to_be_asked_for_again(make: Make, origin: Origin) -> None:
    gone, here = origin.url(told("a", HOUR, status=404)), origin.url(told("b", HOUR))
    for url in (gone, here):
        make().fetch(url)
    engine = make(reuses_errors=False)
    assert [engine.fetch(url).cache for url in (gone, here)] == ["miss", "hit"]


def test_what_is_not_whole_is_not_stored(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", HOUR, cut=1))
    for _ in range(2):
        failed = engine.fetch(url)
        assert failed.error is not None
        assert failed.error.kind is ErrorKind.CONNECTION_LOST
    assert origin.counts().total >= 2


def test_the_limit_of_a_body_holds_for_what_is_stored(make: Make, origin: Origin) -> None:
    url = origin.url(told("a", HOUR, gzip=1, length=5000))
    small = {"max_body_bytes": 4999}
    assert [make(session=small).fetch(url).error is not None for _ in range(2)] == [True, True]
    assert origin.counts().total == 2, "what is too large is not stored"
    make(session={"max_body_bytes": 5000}).fetch(url)
    late = make(session=small).fetch(url)
    assert late.error is not None
    assert (late.error.kind, late.attempts) == (ErrorKind.BODY_TOO_LARGE, 0)
    assert origin.counts().total == 3


def test_what_another_policy_let_in_is_not_used(make: Make, origin: Origin) -> None:
    url = origin.url(told("a", HOUR))
    outcomes = [make(scope=scope).fetch(url) for scope in ("", "public", "", "public")]
    assert said(*outcomes) == [("miss", 1), ("miss", 2), ("hit", 1), ("hit", 2)]


def test_a_hit_waits_for_nobody(make: Make, origin: Origin) -> None:
    """Neither for the delay between two fetches, nor for a place, nor for a circuit that is open."""
    url = origin.url(told("a", HOUR))
    make().fetch(url)
    engine = make(rules={"per_origin": 1, "delay_s": 3600.0})
    # Nobody moves the clock on: whoever waited would wait for ever.
    assert said(*(engine.fetch(url) for _ in range(3))) == [("hit", 1)] * 3
    assert engine.clock.timers == 0
    assert engine.slots.statistics().remembered == 0, "its origin was told nothing"


def test_hits_let_the_hub_turn(make: Make, origin: Origin) -> None:
    """Greenlets that find all at once go on no longer than two lots of 32 before sockets are looked at."""
    url = origin.url(told("a", HOUR))
    engine = make(concurrency=200)
    engine.fetch(url)
    seen: list[int] = []
    before_each_poll = get_hub().loop.prepare()
    before_each_poll.start(lambda: seen.append(engine.counts.hits))
    entries = [Entry(number, Request(url=url), url) for number in range(600)]
    assert len(list(engine.engine.run(entries, stages=(), options=FetchOptions()))) == 600
    before_each_poll.stop()
    before_each_poll.close()
    assert max(later - earlier for earlier, later in pairwise([0, *seen, 600])) <= 64


def test_a_hit_is_no_answer_to_the_circuit(make: Make) -> None:
    with running_origin() as gone:
        url = gone.url(told("a", HOUR))
        engine = make()
        engine.fetch(url)
    assert engine.fetch(gone.url("/ok")).error is not None
    before = engine.slots.statistics()
    assert said(engine.fetch(url)) == [("hit", 1)]
    assert engine.slots.statistics() == before


def test_leave_is_asked_for_all_the_same(make: Make, origin: Origin) -> None:
    url = origin.url(told("a", HOUR))
    engine = make()
    engine.fetch(url)
    origin.set_robots("User-agent: *\nDisallow: /")
    denied = engine.fetch(url, robots="obey")
    assert denied.error is not None
    assert denied.error.kind is ErrorKind.ROBOTS_DENIED


@pytest.mark.parametrize("harm", [b"", b"PcC1", b"x" * 500, None])
def test_a_file_that_is_none_is_a_miss(
    engine: CachedEngine, origin: Origin, tmp_path: Path, harm: bytes | None
) -> None:
    url = origin.url(told("a", HOUR, length=300))
    engine.fetch(url)
    (path,) = [each for each in tmp_path.glob("cache/v1/??/*") if each.is_file()]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"!" if harm is None else harm)
    assert said(engine.fetch(url), engine.fetch(url)) == [("miss", 2), ("hit", 2)]


def test_a_long_answer(engine: CachedEngine, origin: Origin) -> None:
    """Written and read in a thread."""
    url = origin.url(told("a", HOUR, length=1_000_000))
    first, second = engine.fetch(url), engine.fetch(url)
    assert [first.cache, second.cache] == ["miss", "hit"]
    assert first.body == second.body
    assert second.bytes == 1_000_000


def test_a_full_disk(engine: CachedEngine, origin: Origin, tmp_path: Path) -> None:
    kept = origin.url(told("a", HOUR))
    engine.fetch(kept)
    hub_until(lambda: not engine.store.is_evicting, "the end of a look at the folder")
    unfinished = tmp_path / "cache/v1/unfinished"
    unfinished.rmdir()
    unfinished.write_bytes(b"no folder, so no file can be made there")
    outcomes = [engine.fetch(origin.url(told("b", HOUR))) for _ in range(2)]
    assert said(*outcomes) == [("miss", 1), ("miss", 2)]
    assert len(engine.warnings) == 1
    assert "can't be written: Not a directory; going on without it" in engine.warnings[0]
    assert said(engine.fetch(kept)) == [("hit", 1)], "what is there is used on"


def test_nothing_is_left_of_a_refused_connection(make: Make) -> None:
    with refused_port() as port:
        failed = make().fetch(f"http://127.0.0.1:{port}/")
    assert failed.error is not None
    assert failed.error.kind is ErrorKind.CONNECT_FAILED
