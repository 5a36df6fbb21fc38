"""The cache before a real origin, over both transports: what it answers itself, what it asks, and what it keeps."""

from __future__ import annotations

from itertools import pairwise

from gevent import get_hub
from msgspec import UNSET

from app.fetching.exchanges import exchanges_of
from app.model.job import FetchOptions
from app.model.outcome import ErrorKind
from app.model.request import Entry, Request
from tests.support.caches import HOUR, NEVER, CachedEngine, Make, said, told
from tests.support.origin import Origin, running_origin


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


def test_a_long_answer(engine: CachedEngine, origin: Origin) -> None:
    """Written and read in a thread."""
    url = origin.url(told("a", HOUR, length=1_000_000))
    first, second = engine.fetch(url), engine.fetch(url)
    assert [first.cache, second.cache] == ["miss", "hit"]
    assert first.body == second.body
    assert second.bytes == 1_000_000
