"""What goes on between the answers of one fetch, and between fetches: deadlines, redirects, cookies, limits."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.support.fetch_child import Ask, Fetcher, How, running_fetcher
from tests.support.origin import Origin
from tests.support.raw_origin import RawOrigin, Script, running_raw_origin

HOWS: list[How] = ["fetch", "whole", "stream"]
LIMIT = 10_000


@pytest.fixture(scope="module", params=["curl", "requests"])
def fetcher(request: pytest.FixtureRequest) -> Iterator[Fetcher]:
    with running_fetcher(request.param) as running:
        yield running


@pytest.fixture
def raw() -> Iterator[RawOrigin]:
    with running_raw_origin() as running:
        yield running


def word(fetcher: Fetcher, ask: Ask) -> str:
    return fetcher.fetch([ask])[0].word


# --- the deadline ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/drip/0.01", "/slow-headers/0.01", "/gate/never", "/stage/never", "/delay/100"])
def test_the_deadline_ends_what_drips_and_what_is_silent(fetcher: Fetcher, origin: Origin, path: str) -> None:
    """However steadily something comes."""
    assert word(fetcher, Ask(origin.url(path), timeout_s=0.4)) == "timeout"


def test_the_deadline_is_one_for_all_hops(fetcher: Fetcher, raw: RawOrigin) -> None:
    """Each hop is quick enough; all of them together are not."""
    base = raw.base
    moved = b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n"
    raw.serve(Script.bytewise(moved % b"/b", "keep"), "a")
    raw.serve(Script((b"HTTP/1.1 302 Found\r\nLocation: /a\r\n", b"X: y\r\n\r\n"), "hold"), "b")
    assert word(fetcher, Ask(f"{base}/a", timeout_s=0.4)) == "timeout"
    assert raw.requests["a"] == 1


@pytest.mark.parametrize("path", ["/gate/never", "/stage/never"])
def test_a_read_timeout_is_what_requests_says(fetcher: Fetcher, origin: Origin, path: str) -> None:
    told = fetcher.fetch([Ask(origin.url(path), how, timeout_s=1.0) for how in ("whole", "stream")])
    # requests calls one in the middle of a body a ConnectionError.
    assert [one.word for one in told] == ["ReadTimeout" if "gate" in path else "ConnectionError"] * 2


def test_a_read_timeout_is_no_limit_of_the_whole(fetcher: Fetcher, origin: Origin) -> None:
    """Each byte comes in time, and all together don't."""
    told = fetcher.fetch([Ask(origin.url("/drip/0.25/9"), how, timeout_s=2.0) for how in HOWS])
    assert [one.word for one in told] == ["timeout", "200 b'.........'", "200 b'.........'"], "fetch's is of the whole"


# --- redirects ---------------------------------------------------------------------------------------------------


def test_redirects_are_followed_up_to_the_limit(fetcher: Fetcher, origin: Origin) -> None:
    told = fetcher.fetch([Ask(origin.url("/redirect/5"), how, max_redirects=5) for how in HOWS])
    assert [one.status for one in told] == [200, 200, 200]
    told = fetcher.fetch([Ask(origin.url("/redirect/6"), how, max_redirects=5) for how in HOWS])
    assert [one.word for one in told] == ["too_many_redirects", "TooManyRedirects", "TooManyRedirects"]


def test_no_redirect_is_followed_if_none_may_be(fetcher: Fetcher, origin: Origin) -> None:
    origin.reset()
    assert word(fetcher, Ask(origin.url("/redirect/1"), max_redirects=0)) == "too_many_redirects"
    assert origin.counts().total == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_post_that_is_moved_is_sent_as_requests_would(fetcher: Fetcher, origin: Origin, status: int) -> None:
    url = origin.url(f"/redirect-to?url={quote('/echo', safe='')}&status={status}")
    fetch, whole = fetcher.fetch([Ask(url, how, method="POST", body="tide") for how in ("fetch", "whole")])
    assert fetch.body == whole.body.replace(b"python-requests", b"percore") or _echoed(fetch.body) == _echoed(
        whole.body
    )


def _echoed(body: bytes) -> tuple[object, object]:
    said = json.loads(body)
    return said["method"], said["body"]


def test_credentials_do_not_go_along_to_another_origin(fetcher: Fetcher, raw: RawOrigin) -> None:
    with running_raw_origin() as other:
        other.serve(Script.of(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "in")
        raw.serve(
            Script.of(b"HTTP/1.1 302 Found\r\nLocation: %b/in\r\nContent-Length: 0\r\n\r\n" % other.base.encode()),
            "out",
        )
        asks = [Ask(f"{raw.base}/out", how, headers={"Authorization": "Basic c2VjcmV0"}) for how in HOWS]
        assert [told.status for told in fetcher.fetch(asks)] == [200, 200, 200]
        assert b"c2VjcmV0" in raw.heads["out"]
        assert b"c2VjcmV0" not in other.heads["in"]


# --- cookies -----------------------------------------------------------------------------------------------------


def test_cookies_live_for_one_fetch(fetcher: Fetcher, origin: Origin) -> None:
    """Along its redirects, and not in the next fetch, not even at the same time on the same connection."""
    moved = origin.url(f"/set-cookie?tide=high&to={quote('/need-cookie/tide', safe='')}")
    bare = origin.url("/need-cookie/tide")
    told = fetcher.fetch([Ask(moved), Ask(bare), Ask(moved), Ask(bare)])
    assert [one.status for one in told] == [200, 403, 200, 403]
    assert [one.status for one in fetcher.fetch([Ask(bare), Ask(bare)])] == [403, 403]


def test_a_cookie_for_another_host_is_not_kept(fetcher: Fetcher, raw: RawOrigin) -> None:
    raw.serve(Script.of(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "keep"), "b")
    moved = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nSet-Cookie: a=1; Domain=example.com\r\nSet-Cookie: b=2\r\n"
    raw.serve(Script.of(moved + b"Content-Length: 0\r\n\r\n", "keep"), "a")
    assert word(fetcher, Ask(f"{raw.base}/a")) == "200 b''"
    assert b"b=2" in raw.heads["b"]
    assert b"a=1" not in raw.heads["b"]


# --- limits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["length", "chunked", "closed", "gzip", "gzip twice"])
def test_the_limit_is_of_decoded_bytes_and_exact(fetcher: Fetcher, raw: RawOrigin, framing: str) -> None:
    urls = [raw.serve(Script.of(_framed(b"x" * size, framing))) for size in (LIMIT, LIMIT + 1)]
    whole, larger = fetcher.fetch([Ask(url, max_body_bytes=LIMIT) for url in urls])
    assert (whole.word, larger.word) == (f"200 {LIMIT} bytes", "body_too_large")


@pytest.mark.parametrize("framing", ["length", "chunked", "gzip"])
def test_the_limit_holds_on_every_hop(fetcher: Fetcher, raw: RawOrigin, framing: str) -> None:
    raw.serve(Script.of(_framed(b"ok", "length")), "end")
    answer = _framed(b"x" * (LIMIT + 1), framing).replace(b"200 OK\r\n", b"302 Found\r\nLocation: /end\r\n")
    assert word(fetcher, Ask(raw.serve(Script.of(answer)), max_body_bytes=LIMIT)) == "body_too_large"
    assert raw.requests["end"] == 0


def test_what_passes_the_limit_is_not_read(fetcher: Fetcher, raw: RawOrigin) -> None:
    """A body without end, announced or not: the connection is closed, and the server stops sending."""
    head = b"HTTP/1.1 200 OK\r\n%b\r\n"
    piece = b"x" * 1_000_000
    for framing in (b"", b"Content-Length: 4000000000\r\n"):
        url = raw.serve(Script((head % framing, *[piece] * 100), "hold"), "endless")
        assert word(fetcher, Ask(url, max_body_bytes=LIMIT)) == "body_too_large"
        # What the kernel's buffers on both sides hold, and no more.
        assert raw.bytes_sent["endless"] < 50_000_000


def test_an_answer_to_head_has_no_body_whatever_it_announces(fetcher: Fetcher, raw: RawOrigin) -> None:
    url = raw.serve(Script.of(b"HTTP/1.1 200 OK\r\nContent-Length: 4000000000\r\n\r\n", "hold"))
    told = fetcher.fetch([Ask(url, how, method="HEAD", max_body_bytes=LIMIT) for how in HOWS])
    assert [one.word for one in told] == ["200 b''"] * 3


def _framed(body: bytes, framing: str) -> bytes:
    start = b"HTTP/1.1 200 OK\r\n"
    if framing == "closed":
        return start + b"\r\n" + body
    if framing == "chunked":
        return start + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    times = framing.count("gzip") + framing.count("twice")
    for _ in range(times):
        body = gzip.compress(body, mtime=0)
    coding = b"Content-Encoding: " + b", ".join([b"gzip"] * times) + b"\r\n" if times else b""
    return start + coding + b"Content-Length: %d\r\n\r\n" % len(body) + body
