"""Answers that wait, and those that differ at the second time of asking."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.support.origin import Origin, body_of
from tests.support.processes import HANG_GUARD_S, wait_until
from tests.support.raw_http import connect, header, request, talk, until_end


def test_delay_answers_in_the_end(origin: Origin) -> None:
    assert talk(origin, "/delay/0.01")[1] == body_of(2_000)


def test_a_gate_holds_requests_until_it_is_opened(origin: Origin) -> None:
    with closing(connect(origin)) as first, closing(connect(origin)) as second:
        first.sendall(request("/gate/north"))
        second.sendall(request("/gate/north"))
        origin.wait_waiting("north", 2)
        assert origin.counts().in_flight == 2
        first.setblocking(False)
        with pytest.raises(BlockingIOError):
            first.recv(1)
        first.settimeout(HANG_GUARD_S)
        origin.open("north")
        for connection in (first, second):
            assert until_end(connection).endswith(body_of(2_000))
    assert talk(origin, "/gate/north")[1] == body_of(2_000), "a gate stays open"


def test_a_client_that_leaves_waits_no_more(origin: Origin) -> None:
    with closing(connect(origin)) as connection:
        connection.sendall(request("/gate/left"))
        origin.wait_waiting("left")
    wait_until(lambda: origin.counts().in_flight == 0, "the origin noticed that its client had left")
    wait_until(lambda: origin.counts().connections_open == 0, "the origin closed the connection")


def test_waiting_for_a_gate_has_a_bound(origin: Origin) -> None:
    with pytest.raises(AssertionError, match="1 requests at the gate nobody"):
        origin.wait_waiting("nobody", timeout_s=0.05)


def test_a_stage_sends_its_first_byte_before_the_gate_opens(origin: Origin) -> None:
    body = body_of(2_000)
    with closing(connect(origin)) as connection:
        connection.sendall(request("/stage/east"))
        origin.wait_waiting("east")
        received = b""
        while not received.endswith(b"\r\n\r\n" + body[:1]):
            received += connection.recv(1)
        assert header(received, "Content-Length") == str(len(body))
        origin.open("east")
        assert until_end(connection) == body[1:]


def test_reset_lets_go_what_waits(origin: Origin) -> None:
    with closing(connect(origin)) as connection:
        connection.sendall(request("/gate/south"))
        origin.wait_waiting("south")
        origin.reset()
        assert until_end(connection).endswith(body_of(2_000))


def test_reset_forgets_what_is_still_in_flight(origin: Origin) -> None:
    with closing(connect(origin)) as connection:
        connection.sendall(request("/delay/1000"))
        wait_until(lambda: origin.counts().in_flight == 1, "the request has come")
        origin.reset()
        assert (origin.counts().in_flight, origin.counts().most_in_flight) == (0, 0)
        talk(origin, "/ok")
        assert origin.counts().most_in_flight_by_path == {"/ok": 1}


def test_drip_drips(origin: Origin) -> None:
    with closing(connect(origin)) as connection:
        connection.sendall(request("/drip/0.001"))
        received = b""
        while not received.endswith(b"\r\n\r\n" + b"." * 5):
            data = connection.recv(1)
            assert data
            received += data
    wait_until(lambda: origin.counts().in_flight == 0, "dripping ends when the client leaves")


def test_slow_headers_never_end_their_head(origin: Origin) -> None:
    with closing(connect(origin)) as connection:
        connection.sendall(request("/slow-headers/0.001"))
        received = b""
        while not received.endswith(b"X-Slow: ....."):
            data = connection.recv(1)
            assert data
            received += data


def test_flaky_drops_the_first_requests_of_a_key(origin: Origin) -> None:
    answers = [talk(origin, "/flaky/key/2?n=1") for _ in range(4)]
    assert [head[:12] for head, _ in answers] == [b"", b"", b"HTTP/1.1 200", b"HTTP/1.1 200"]
    assert talk(origin, "/flaky/other/1")[0] == b"", "keys don't share their count"


def test_flaky_status_refuses_the_first_requests_of_a_key(origin: Origin) -> None:
    answers = [talk(origin, "/flaky-status/key/2/503") for _ in range(3)]
    assert [head[9:12] for head, _ in answers] == [b"503", b"503", b"200"]


def test_retry_after_refuses_once(origin: Origin) -> None:
    head, _ = talk(origin, "/retry-after/key/7")
    assert head.startswith(b"HTTP/1.1 429 ")
    assert header(head, "Retry-After") == "7"
    assert talk(origin, "/retry-after/key/7")[0].startswith(b"HTTP/1.1 200 ")
    head, _ = talk(origin, "/retry-after-date/key/7")
    assert (header(head, "Retry-After") or "").endswith(" GMT")
    assert talk(origin, "/retry-after-date/key/7")[0].startswith(b"HTTP/1.1 200 ")
