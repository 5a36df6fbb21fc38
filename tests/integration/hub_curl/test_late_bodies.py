"""libcurl on the hub: a body where none may be is not held against whoever has the connection next."""

from __future__ import annotations

import fcntl
import sys
import termios
import threading
from collections.abc import Callable, Iterator

import pytest
import requests

from app.errors import FetchError
from app.fetching import Session
from app.fetching.curl_transport import CurlTransport
from app.model.outcome import ErrorKind
from app.model.request import Request
from tests.support.curl_on_hub import curl_session, get, nothing_left
from tests.support.origin import Origin, body_of
from tests.support.processes import HANG_GUARD_S, wait_until
from tests.support.raw_origin import RawOrigin, Script

_INNOCENT = "/ok/10"

Way = Callable[[CurlTransport, str], bytes]

WAYS: dict[str, Way] = {
    "fetch": lambda _, url: Session().fetch(url).content,
    "prepared": lambda _, url: Session().fetch(Request(url=url, method="DELETE", body="gone")).content,
    "get": lambda _, url: Session().get(url).content,
    "put": lambda _, url: Session().put(url, data=b"twice").content,
    "adapter": lambda _, url: curl_session().get(url, timeout=HANG_GUARD_S).content,
    "stream": lambda _, url: curl_session().get(url, stream=True, timeout=HANG_GUARD_S).content,
    "transport": lambda transport, url: get(transport, url, timeout_s=HANG_GUARD_S),
}


def _reuses_a_spoilt_connection(origin: Origin, status: int = 304) -> str:
    """A URL to be asked for next; the answer to it on the connection that is kept begins with a late body."""
    Session().fetch(origin.url(f"/late-body/{status}"))
    assert origin.counts().connections == 1
    return origin.url(_INNOCENT)


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("way", WAYS)
def test_what_is_asked_for_next_is_asked_for_again(
    origin: Origin, transport: CurlTransport, way: str, status: int
) -> None:
    url = _reuses_a_spoilt_connection(origin, status)
    before = transport.statistics()
    assert WAYS[way](transport, url) == body_of(10)
    counts = origin.counts()
    assert (counts.requests[_INNOCENT], counts.connections) == (2, 2), "once on the old connection, once on a new one"
    after = transport.statistics()
    assert after.transfers.started == before.transfers.started + 2
    assert after.transfers.failed == before.transfers.failed + 1
    assert after.transfers.succeeded == before.transfers.succeeded + 1
    assert after.connections == before.connections + 1
    assert sum(after.protocols.values()) == sum(before.protocols.values()) + 1, "one answer"
    nothing_left(transport)


def test_the_new_connection_serves_again(origin: Origin, transport: CurlTransport) -> None:
    url = _reuses_a_spoilt_connection(origin)
    session = Session()
    assert [session.fetch(url).content for _ in range(3)] == [body_of(10)] * 3
    assert origin.counts().connections == 2


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("is_apart", [False, True])
def test_what_has_come_before_a_request_is_not_its_answer(
    raw: RawOrigin, transport: CurlTransport, monkeypatch: pytest.MonkeyPatch, is_apart: bool, is_stream: bool
) -> None:
    """Even if it looks like one: a connection on which something lies unread is not used again."""
    descriptors: list[int] = []
    opened = transport.hub_curl.opened
    monkeypatch.setattr(transport.hub_curl, "opened", lambda number: descriptors.append(number) or opened(number))
    head, body = b"HTTP/1.1 304 Not Modified\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse"
    is_answered = threading.Event()

    def apart() -> Iterator[bytes]:
        yield head
        is_answered.wait(HANG_GUARD_S)
        yield body

    url = raw.serve(Script(apart() if is_apart else (head + body,), "keep"))
    assert WAYS["stream" if is_stream else "transport"](transport, url) == b""
    is_answered.set()
    if is_apart:
        wait_until(lambda: _lies_unread(descriptors[0]) == len(body), "the body has come")
    assert get(transport, f"{raw.base}/ok") == b"ok"
    assert (raw.connections, raw.requests["ok"]) == (2, 1)
    nothing_left(transport)


def _lies_unread(descriptor: int) -> int:
    """Bytes."""
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.parametrize("has_body", [False, True])
def test_what_may_have_been_done_is_not_done_again(origin: Origin, transport: CurlTransport, has_body: bool) -> None:
    url = _reuses_a_spoilt_connection(origin)
    post = Request(url=url, method="POST", body="once" if has_body else None)
    if has_body:
        with pytest.raises(FetchError) as raised:
            Session().fetch(post)
        assert raised.value.kind is ErrorKind.BAD_RESPONSE
    else:
        assert Session().fetch(post).content == body_of(10), "without a body it has a connection of its own anyway"
    assert origin.counts().requests[_INNOCENT] == 1
    nothing_left(transport)


def test_a_body_that_is_made_while_it_is_sent_is_not_sent_again(origin: Origin, transport: CurlTransport) -> None:
    url = _reuses_a_spoilt_connection(origin)
    with pytest.raises(requests.ConnectionError):
        curl_session().put(url, data=iter([b"on", b"ce"]), timeout=HANG_GUARD_S)
    assert origin.counts().requests[_INNOCENT] == 1
    nothing_left(transport)


@pytest.mark.parametrize("path", ["/not-http", "/bad-status-line"])
def test_an_answer_that_is_no_http_itself_fails(origin: Origin, transport: CurlTransport, path: str) -> None:
    """Asked for once on a new connection, and at most once more on one that was reused."""
    session = Session()
    for connections in (1, 2):
        with pytest.raises(FetchError) as raised:
            session.fetch(origin.url(path))
        assert raised.value.kind is ErrorKind.BAD_RESPONSE
        assert origin.counts().requests[path] == connections
    session.fetch(origin.url(_INNOCENT))
    with pytest.raises(FetchError):
        session.fetch(origin.url(path))
    assert origin.counts().requests[path] == 2 + 2
    nothing_left(transport)
