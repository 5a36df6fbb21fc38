"""Caches that others have built on requests, over our transport: requests-cache on the session, CacheControl on the
adapter. What they take from a response's insides is there.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_cache
from cachecontrol import CacheControlAdapter

from app.fetching import CurlAdapter, Session
from app.hub.per_hub import close_this_hub
from tests.support.origin import Origin, body_of


@pytest.fixture(autouse=True)
def hub_left_empty(nothing_around: None) -> Iterator[None]:
    yield
    close_this_hub()


class OurCachedSession(requests_cache.CacheMixin, Session):
    """requests-cache's mix-in on our Session."""


def theirs(**options: Any) -> requests_cache.CachedSession:
    made = requests_cache.CachedSession(**options)
    made.mount("http://", CurlAdapter())
    return made


# The first is nobody's but theirs: what is asked for here is what everybody gets.
MAKERS = [requests_cache.CachedSession, theirs, OurCachedSession]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("backend", ["memory", "sqlite"])
def test_requests_cache(make: Any, backend: str, origin: Origin, tmp_path: Path) -> None:
    with make(cache_name=str(tmp_path / "cache"), backend=backend) as session:
        for path in ("/ok/5000", "/gzip/5000", "/br/5000", "/big-chunked/5000"):
            for stream in (False, True):
                first, second = (session.get(origin.url(f"{path}?{stream}"), stream=stream) for _ in range(2))
                assert [first.from_cache, second.from_cache] == [False, True]
                assert first.content == second.content == body_of(5000)
                assert dict(second.headers) == dict(first.headers)
            assert origin.counts().requests[path] == 2


@pytest.mark.parametrize("make", MAKERS)
def test_requests_cache_asks_whether_it_changed(make: Any, origin: Origin) -> None:
    with make(backend="memory", cache_control=True) as session:
        first, second = (session.get(origin.url("/etag/v1")) for _ in range(2))
        assert first.content == second.content
        assert (second.from_cache, second.revalidated) == (True, True)
        assert [dict(hit.headers).get("if-none-match") for hit in origin.hits()] == [None, '"v1"']


@pytest.mark.parametrize("make", MAKERS)
def test_requests_cache_keeps_redirects(make: Any, origin: Origin) -> None:
    with make(backend="memory") as session:
        first, second = (session.get(origin.url("/redirect/2")) for _ in range(2))
        assert [page.status_code for page in second.history] == [302, 302]
        assert (second.from_cache, second.url) == (True, first.url)


class CachedCurl(CacheControlAdapter, CurlAdapter):
    """CacheControl's adapter, whose transport is ours."""


@pytest.fixture(params=["requests", "adapter", "session"])
def cached(request: pytest.FixtureRequest) -> Iterator[requests.Session]:
    with Session() if request.param == "session" else requests.Session() as session:
        session.mount("http://", CacheControlAdapter() if request.param == "requests" else CachedCurl())
        yield session


@pytest.mark.parametrize("query", ["", "?chunked=1"])
@pytest.mark.parametrize("stream", [False, True])
def test_cachecontrol(cached: requests.Session, origin: Origin, query: str, stream: bool) -> None:
    url = origin.url(f"/fresh/1000/70000{query}")
    first = cached.get(url, stream=stream)
    assert first.content == body_of(70_000)
    second = cached.get(url, stream=stream)
    assert second.content == body_of(70_000)
    assert second.from_cache  # type: ignore[attr-defined]
    # How it was framed is not kept.
    kept = {name: value for name, value in first.headers.items() if name.lower() != "transfer-encoding"}
    assert dict(second.headers) == kept
    assert origin.counts().total == 1


def test_cachecontrol_asks_whether_it_changed(cached: requests.Session, origin: Origin) -> None:
    pages = [cached.get(origin.url("/etag/v1")) for _ in range(2)]
    assert [page.status_code for page in pages] == [200, 200]
    assert pages[0].content == pages[1].content
    assert [dict(hit.headers).get("if-none-match") for hit in origin.hits()] == [None, '"v1"']


def test_what_breaks_off_is_not_kept(cached: requests.Session, origin: Origin) -> None:
    for _ in range(2):
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            cached.get(origin.url("/truncate"))
    assert origin.counts().total == 2


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_responses_can_be_pickled(curl_session: requests.Session, origin: Origin, protocol: int) -> None:
    page = curl_session.get(origin.url("/redirect/1"))
    again = pickle.loads(pickle.dumps(page, protocol))
    assert (again.content, again.status_code, again.url) == (page.content, page.status_code, page.url)
    assert (again.headers, again.reason, again.encoding) == (page.headers, page.reason, page.encoding)
    assert [past.status_code for past in again.history] == [302]
    assert again.request.url == page.request.url
