"""What comes back: headers, cookies, bodies that are streamed, redirects, methods. The same on every transport."""

from __future__ import annotations

import gzip
from datetime import timedelta

import pytest
import requests

from tests.support.origin import Origin, body_of
from tests.support.processes import wait_until


def test_repeated_headers_come_one_by_one(session: requests.Session, origin: Origin) -> None:
    answer = session.get(origin.url("/set-cookie?a=1&b=2"))
    assert answer.raw.headers.getlist("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]
    assert answer.headers["set-cookie"] == "a=1; Path=/, b=2; Path=/"


def test_cookies_go_through_the_jar(session: requests.Session, origin: Origin) -> None:
    answer = session.get(origin.url("/set-cookie?flavour=ginger&to=/need-cookie/flavour"))
    assert [page.status_code for page in [*answer.history, answer]] == [302, 200]
    assert session.cookies.get_dict() == {"flavour": "ginger"}
    assert session.get(origin.url("/need-cookie/flavour")).status_code == 200
    echoed = session.get(origin.url("/echo"), cookies={"size": "small"}).json()
    assert set(dict(echoed["headers"])["cookie"].split("; ")) == {"flavour=ginger", "size=small"}
    assert session.cookies.get_dict() == {"flavour": "ginger"}


def test_a_body_is_streamed_by_pieces_of_a_size(session: requests.Session, origin: Origin) -> None:
    with session.get(origin.url("/big/100000"), stream=True) as answer:
        pieces = list(answer.iter_content(4096))
    assert b"".join(pieces) == body_of(100_000)
    assert {len(piece) for piece in pieces[:-1]} == {4096}


def test_a_body_is_streamed_as_it_comes(session: requests.Session, origin: Origin) -> None:
    with session.get(origin.url("/stage/rest"), stream=True) as answer:
        # The rest does not leave the server before the first byte is here.
        first = answer.raw.read(1)
        origin.open("rest")
        rest = answer.raw.read()
    assert first + rest == body_of(int(answer.headers["content-length"]))


def test_raw_is_read_like_a_file(session: requests.Session, origin: Origin) -> None:
    with session.get(origin.url("/big-chunked/50000"), stream=True) as answer:
        read = [answer.raw.read(7), answer.raw.read(40_000), answer.raw.read()]
        assert answer.raw.read() == b""
    assert [len(piece) for piece in read] == [7, 40_000, 9_993]
    assert b"".join(read) == body_of(50_000)


def test_raw_is_decoded_on_demand(session: requests.Session, origin: Origin) -> None:
    with session.get(origin.url("/gzip/5000"), stream=True) as answer:
        assert gzip.decompress(answer.raw.read()) == body_of(5000)
    with session.get(origin.url("/gzip/5000"), stream=True) as answer:
        assert answer.raw.read(decode_content=True) == body_of(5000)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_bodies_are_decoded(session: requests.Session, origin: Origin, coding: str) -> None:
    for stream in (False, True):
        answer = session.get(origin.url(f"/{coding}/70000"), stream=stream)
        assert answer.headers["content-encoding"] == coding
        assert answer.content == body_of(70_000)
    (hit, _) = origin.hits(f"/{coding}/70000")
    assert coding in dict(hit.headers)["accept-encoding"].split(", ")


def test_lines(session: requests.Session, origin: Origin) -> None:
    with session.get(origin.url("/html/seven"), stream=True) as answer:
        lines = list(answer.iter_lines(chunk_size=10, decode_unicode=True))
    assert lines == session.get(origin.url("/html/seven")).text.splitlines()


def test_closed_early_nothing_is_left_behind(session: requests.Session, origin: Origin) -> None:
    answer = session.get(origin.url("/stage/never"), stream=True)
    answer.close()
    wait_until(lambda: origin.counts().in_flight == 0, "the server saw the end")
    assert session.get(origin.url("/ok")).status_code == 200


def test_a_body_that_was_read_leaves_its_connection_to_the_next(session: requests.Session, origin: Origin) -> None:
    for _ in range(3):
        with session.get(origin.url("/ok"), stream=True) as answer:
            assert answer.content
        session.get(origin.url("/ok"))
    assert origin.counts().connections == 1


def test_head_has_headers_and_no_body(session: requests.Session, origin: Origin) -> None:
    for _ in range(2):
        answer = session.head(origin.url("/ok/500"))
        assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "500", b"")
    assert origin.counts().connections == 1


@pytest.mark.parametrize("method", ["OPTIONS", "DELETE", "PATCH", "PURGE", "M-SEARCH", "propfind"])
def test_other_methods(session: requests.Session, origin: Origin, method: str) -> None:
    assert session.request(method, origin.url("/echo")).json()["method"] == method.upper()
    echoed = session.request(method, origin.url("/echo"), data="text").json()
    assert (echoed["method"], echoed["body"]) == (method.upper(), "text")


@pytest.mark.parametrize("method", ["GET / HTTP/1.1\r\nX-Smuggled: 1", "TWO WORDS", "GET\n"])
def test_a_method_that_is_no_token_is_not_sent(session: requests.Session, origin: Origin, method: str) -> None:
    for stream in (False, True):
        with pytest.raises(ValueError, match="non-token"):
            session.request(method, origin.url("/echo"), stream=stream)
    assert origin.counts().total == 0


def test_a_get_may_have_a_body(session: requests.Session, origin: Origin) -> None:
    echoed = session.get(origin.url("/echo"), data=b"question").json()
    assert (echoed["method"], echoed["body"]) == ("GET", "question")


def test_headers_of_requests_can_be_taken_out(session: requests.Session, origin: Origin) -> None:
    headers = session.get(origin.url("/echo"), headers={"Accept": None, "Accept-Encoding": None}).json()["headers"]
    assert "accept" not in dict(headers)
    assert dict(headers)["accept-encoding"] == "identity"


def test_libcurl_does_not_name_itself(session: requests.Session, origin: Origin) -> None:
    headers = session.get(origin.url("/echo"), headers={"User-Agent": None}).json()["headers"]
    assert dict(headers)["user-agent"].startswith("python-urllib3/")


def test_redirects_are_followed_and_remembered(session: requests.Session, origin: Origin) -> None:
    answer = session.get(origin.url("/redirect/3"))
    assert [page.status_code for page in answer.history] == [302, 302, 302]
    assert (answer.status_code, answer.url) == (200, origin.url("/redirect/0"))
    assert answer.history[1].url == origin.url("/redirect/2")


def test_redirects_are_not_followed_if_so_told(session: requests.Session, origin: Origin) -> None:
    answer = session.get(origin.url("/redirect/3"), allow_redirects=False)
    assert (answer.status_code, answer.history, answer.is_redirect) == (302, [], True)
    assert answer.next is not None
    assert answer.next.url == origin.url("/redirect/2")
    assert session.head(origin.url("/redirect/3")).status_code == 302


def test_too_many_redirects(session: requests.Session, origin: Origin) -> None:
    session.max_redirects = 4
    with pytest.raises(requests.TooManyRedirects):
        session.get(origin.url("/redirect-ever"))
    assert origin.counts().total == 5


def test_it_took_some_time(session: requests.Session, origin: Origin) -> None:
    for answer in (session.get(origin.url("/ok")), session.get(origin.url("/ok"), stream=True)):
        assert timedelta(0) < answer.elapsed
        answer.close()


def test_hooks_and_request_are_there(session: requests.Session, origin: Origin) -> None:
    seen = []
    answer = session.post(
        origin.url("/echo"), json={"a": 1}, hooks={"response": lambda page, **_: seen.append(page.url)}
    )
    assert seen == [origin.url("/echo")]
    assert (answer.request.method, answer.request.body) == ("POST", b'{"a": 1}')
    assert answer.request.headers["content-type"] == "application/json"


BROKEN = {
    "/drop": requests.ConnectionError,
    "/reset": requests.ConnectionError,
    "/truncate": requests.exceptions.ChunkedEncodingError,
    "/truncate-chunked": requests.exceptions.ChunkedEncodingError,
    "/bad-chunk": requests.exceptions.ChunkedEncodingError,
    "/drop-after-headers": requests.exceptions.ChunkedEncodingError,
    "/bad-gzip": requests.exceptions.ContentDecodingError,
    "/bad-status-line": requests.ConnectionError,
    "/not-http": requests.ConnectionError,
}


@pytest.mark.parametrize("path", BROKEN)
@pytest.mark.parametrize("stream", [False, True])
def test_broken_answers_raise_what_requests_raises(
    session: requests.Session, origin: Origin, path: str, stream: bool
) -> None:
    with pytest.raises(requests.RequestException) as raised:
        session.get(origin.url(path), stream=stream).content  # noqa: B018
    assert type(raised.value) is BROKEN[path]
