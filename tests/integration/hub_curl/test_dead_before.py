"""A connection that its server had ended before a request: what must not be sent twice is not sent on it at all.

libcurl looks for such connections once a second. Meanwhile it takes them, and finds that a POST on it has failed, of
which nobody can tell any more whether the server has read it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from app.fetching import Session
from app.fetching.curl_transport import CurlTransport
from app.hub.per_hub import close_this_hub
from app.model.request import Request
from tests.support.curl_on_hub import OK, curl_session, get, nothing_left
from tests.support.processes import HANG_GUARD_S
from tests.support.raw_origin import RawOrigin, Script

Send = Callable[[str], object]


class _Closing:
    """A server that answers one request on each of two connections, and ends the first when `close` says so."""

    def __init__(self, listener: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        self.heads: list[bytes] = []
        self._listener = listener
        self._told, self._closed = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._serve)

    def close(self) -> None:
        """Back when the client's end has been told: within one machine that is when it was said."""
        self._told.set()
        assert self._closed.wait(HANG_GUARD_S)

    def _serve(self) -> None:
        with self._answered():
            self._told.wait(HANG_GUARD_S)
        self._closed.set()
        with self._answered() as second:
            second.recv(1)  # until the client is done with it

    @contextmanager
    def _answered(self) -> Iterator[socket.socket]:
        with self._listener.accept()[0] as connection:
            connection.settimeout(HANG_GUARD_S)
            told = b""
            while b"\r\n\r\n" not in told or (told.startswith(b"P") and b"once" not in told and b"ce\r\n0" not in told):
                told += connection.recv(1_000)
            self.heads.append(told)
            connection.sendall(OK)
            yield connection


@pytest.fixture
def closing() -> Iterator[_Closing]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(HANG_GUARD_S)
        server = _Closing(listener)
        server.thread.start()
        yield server
        close_this_hub()
        server.thread.join(HANG_GUARD_S)


@pytest.mark.parametrize(
    "send",
    [
        lambda url: curl_session().post(url, data=b"once").content,
        lambda url: curl_session().post(url, data=b"once", stream=True).content,
        lambda url: curl_session().post(url, data=iter([b"on", b"ce"])).content,
        lambda url: curl_session().put(url, data=iter([b"on", b"ce"])).content,
        lambda url: Session().post(url, json={"once": 1}).content,
        lambda url: Session().fetch(Request(url=url, method="POST", body="once")).body,
    ],
    ids=["bytes", "answer streamed", "generator", "put", "json", "fetch"],
)
def test_it_is_sent_on_a_new_one(closing: _Closing, transport: CurlTransport, send: Send) -> None:
    assert get(transport, closing.url) == b"ok"
    closing.close()
    assert send(closing.url) == b"ok"
    assert [head[:4] for head in closing.heads] in ([b"GET ", b"POST"], [b"GET ", b"PUT "])
    nothing_left(transport)


def test_a_connection_that_lives_is_used_again(raw: RawOrigin, transport: CurlTransport) -> None:
    raw.serve(Script.of(OK, "keep"), "once")
    for _ in range(3):
        assert curl_session().post(f"{raw.base}/once", data=b"once").content == b"ok"
        assert not transport.hub_curl.may_be_dead()
    assert raw.connections == 1
