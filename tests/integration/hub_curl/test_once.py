"""libcurl on the hub: what may have been done is not done again, and bodies that are made while they are sent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import gevent
import pycurl
import pytest
import requests

from app.errors import FetchError
from app.fetching import CurlAdapter, Session
from app.fetching.curl_errors import TransferError
from app.fetching.curl_transport import CurlTransport
from app.policy.addresses import AddressPolicy
from tests.support.curl_on_hub import (
    OK,
    PROFILE,
    curl_session,
    get,
    made_piece_by_piece,
    nothing_left,
    stream,
    use_names,
)
from tests.support.processes import HANG_GUARD_S
from tests.support.raw_origin import RawOrigin, Script


@pytest.fixture
def dying(raw: RawOrigin) -> RawOrigin:
    """/die on a connection that has served before: the request is read, and the connection closed without a byte."""
    raw.serve(Script.of(b"", "close"), "die")
    return raw


Post = Callable[[RawOrigin], object]


@pytest.mark.parametrize(
    "post",
    [
        lambda o: curl_session().post(f"{o.base}/die", data=b"once"),
        lambda o: curl_session().post(f"{o.base}/die"),
        lambda o: curl_session().post(f"{o.base}/die", stream=True),
        lambda o: curl_session().post(f"{o.base}/die", data=b"once", stream=True),
        lambda o: curl_session().post(f"{o.base}/die", data=iter([b"on", b"ce"])),
        lambda o: curl_session().post(f"{o.base}/die", data=iter([])),
        lambda o: curl_session().patch(f"{o.base}/die", data=b"once" * 100_000),
        lambda o: curl_session().request("PURGE", f"{o.base}/die"),
        lambda o: Session().post(f"{o.base}/die", json={"once": 1}),
        lambda o: CurlAdapter().transport().exchange(
            PROFILE, "POST", f"{o.base}/die", "127.0.0.1", o.port, (), body=None
        ),
    ],
)  # fmt: skip
def test_what_may_have_been_done_is_not_done_again(dying: RawOrigin, transport: CurlTransport, post: Post) -> None:
    get(transport, f"{dying.base}/ok")  # a connection to be reused
    with pytest.raises((requests.ConnectionError, TransferError)):
        post(dying)
    assert dying.requests["die"] == 1
    nothing_left(transport)


def test_a_session_sends_a_post_once(dying: RawOrigin, transport: CurlTransport) -> None:
    from app.model.request import Request

    session = Session()
    session.fetch(f"{dying.base}/ok")
    with pytest.raises(FetchError):
        session.fetch(Request(url=f"{dying.base}/die", method="POST", body="once"))
    with pytest.raises(FetchError):
        session.fetch(Request(url=f"{dying.base}/die", method="POST"))
    assert dying.requests["die"] == 2


def test_a_get_on_a_connection_that_was_dead_is_sent_again(dying: RawOrigin, transport: CurlTransport) -> None:
    get(transport, f"{dying.base}/ok")
    with pytest.raises(TransferError):
        get(transport, f"{dying.base}/die")
    assert dying.requests["die"] == 2, "once on the old connection, once on a new one"


@pytest.mark.parametrize("how", ["whole", "stream"])
def test_any_number_of_dead_connections_is_no_failure(raw: RawOrigin, transport: CurlTransport, how: str) -> None:
    """A server that was started anew has closed them all. libcurl tries five of them and gives up."""
    gates = [gevent.spawn(get, transport, f"{raw.base}/ok?{number}") for number in range(8)]
    gevent.joinall(gates, raise_error=True)
    # Each of the eight connections is closed when the next request has come on it; a new one is not.
    raw.scripts["ok"] = Script.of(b"", "close")
    raw.first["ok"] = Script.of(OK, "keep")
    if how == "whole":
        assert get(transport, f"{raw.base}/ok") == b"ok"
    else:
        assert stream(raw, "ok").content == b"ok"
    assert raw.requests["ok"] == 8 + 6 + 1
    nothing_left(transport)


class _Answering:
    """A server for one request: answers after the head, then does `then` with the connection."""

    def __init__(self, answer: bytes, then: Callable[[socket.socket, bytearray], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self.body = bytearray()
        self._answer, self._then = answer, then
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener, self._listener.accept()[0] as connection:
            connection.settimeout(HANG_GUARD_S)
            while b"\r\n\r\n" not in self.body:
                self.body += connection.recv(1_000)
            connection.sendall(self._answer)
            self._then(connection, self.body)

    def end(self) -> bytes:
        self._thread.join(HANG_GUARD_S)
        assert not self._thread.is_alive()
        return bytes(self.body)


def test_a_body_is_sent_to_its_end_though_the_answer_has_begun(transport: CurlTransport) -> None:
    def read_on(connection: socket.socket, body: bytearray) -> None:
        while not body.endswith(b"\r\n0\r\n\r\n"):
            body += connection.recv(1 << 20)
        connection.sendall(b"done")

    server = _Answering(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", read_on)
    assert curl_session().post(server.url, data=made_piece_by_piece(60), timeout=HANG_GUARD_S).content == b"done"
    assert server.end().count(b"x") == 60 * 50_000
    nothing_left(transport)


@pytest.mark.parametrize("connection", [b"", b"Connection: close\r\n"])
@pytest.mark.parametrize("status", [b"413 Too Large", b"307 Moved\r\nX: y"])
def test_a_body_that_is_refused_is_sent_no_further(transport: CurlTransport, status: bytes, connection: bytes) -> None:
    def leave_it(connection: socket.socket, body: bytearray) -> None:
        while connection.recv(1 << 20):
            pass

    answer = b"HTTP/1.1 %b\r\n%bContent-Length: 4\r\n\r\nfull" % (status, connection)
    server = _Answering(answer, leave_it)
    made: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            gevent.sleep(0)
            made.append(1)
            yield b"x" * 50_000

    response = curl_session().post(server.url, data=endless(), timeout=HANG_GUARD_S, allow_redirects=False)
    assert response.content == b"full"
    assert response.status_code == int(status[:3])
    server.end()
    nothing_left(transport)


def test_what_a_body_raises_is_raised(raw: RawOrigin, transport: CurlTransport) -> None:
    def broken() -> Iterator[bytes]:
        yield b"some"
        gevent.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        curl_session().post(f"{raw.base}/silent", data=broken())
    nothing_left(transport)


def test_a_policy_that_is_limited_refuses_a_socket_that_was_not_vetted(raw: RawOrigin) -> None:
    """The second judgement, when the socket is opened: here of an address that a tampered table let pass."""
    transport = CurlTransport(AddressPolicy.public_only(ports=None))
    try:
        transport._dialer._literals.add("127.0.0.1")
        with pytest.raises(TransferError) as raised:
            get(transport, f"{raw.base}/ok")
        assert raised.value.code == pycurl.E_COULDNT_CONNECT
        assert raw.requests["ok"] == 0
    finally:
        transport.close()


def test_libcurl_never_looks_a_name_up(raw: RawOrigin, transport: CurlTransport) -> None:
    use_names(transport, lambda name: ["127.0.0.1"])
    transfer = transport._handles.take(PROFILE)
    transfer.prepare("GET", f"http://localhost:{raw.port}/ok", ())
    transfer.run()
    assert transfer.code, "our answer to its question is no"
    assert raw.requests["ok"] == 0
