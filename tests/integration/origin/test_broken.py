"""Redirects and broken answers do on the wire what each docstring says. Raw sockets: no client may mend anything."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from tests.support.origin import Origin, body_of
from tests.support.raw_http import connect, dechunk, header, read_answer, request, talk


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/redirect/2?n=5", "/redirect/1?n=5"),
        ("/redirect-loop?n=5", "/redirect-loop?n=5"),
        ("/redirect-ever", "/redirect-ever/1"),
        ("/redirect-ever/41?n=5", "/redirect-ever/42?n=5"),
        ("/redirect-to?url=http%3A%2F%2F127.0.0.1%3A1%2Fx%3Fy%3D1&n=5", "http://127.0.0.1:1/x?y=1"),
        ("/redirect-bad", "http://[not-an-address/"),
        ("/redirect-scheme", "ftp://127.0.0.1/file"),
        ("/redirect-nowhere", None),
    ],
)
def test_redirects(origin: Origin, path: str, location: str | None) -> None:
    head, _ = talk(origin, path)
    assert head.startswith(b"HTTP/1.1 302 ")
    assert header(head, "Location") == location


def test_redirects_end_and_take_another_status(origin: Origin) -> None:
    assert talk(origin, "/redirect/0")[1] == body_of(2_000)
    assert talk(origin, "/redirect-to?url=/ok&status=308")[0].startswith(b"HTTP/1.1 308 ")


def test_drop_closes_without_a_byte(origin: Origin) -> None:
    assert talk(origin, "/drop", headers="") == (b"", b"")


def test_drop_after_headers(origin: Origin) -> None:
    head, body = talk(origin, "/drop-after-headers", headers="")
    assert header(head, "Content-Length") == "2000"
    assert body == b""


def test_reset_is_a_reset(origin: Origin) -> None:
    with pytest.raises(ConnectionResetError):
        talk(origin, "/reset")


def test_reset_mid_body_is_a_reset_after_half_the_body(origin: Origin) -> None:
    with closing(connect(origin)) as connection:
        connection.sendall(request("/reset-mid-body"))
        received = b""
        while not received.endswith(b"\r\n\r\n" + body_of(2_000)[:1_000]):
            received += connection.recv(1)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_truncate_ends_early(origin: Origin) -> None:
    head, body = talk(origin, "/truncate", headers="")
    assert header(head, "Content-Length") == "2000"
    assert body == body_of(2_000)[:1_000]


def test_truncate_chunked_ends_within_a_chunk(origin: Origin) -> None:
    head, body = talk(origin, "/truncate-chunked", headers="")
    assert header(head, "Transfer-Encoding") == "chunked"
    content = body_of(2_000)
    assert body == b"3e8\r\n" + content[:1_000] + b"\r\n3e8\r\n" + content[1_000:1_500]


def test_bad_chunk_has_a_size_that_is_no_number(origin: Origin) -> None:
    _, body = talk(origin, "/bad-chunk")
    with pytest.raises(ValueError, match="some"):
        dechunk(body)


def test_overlong_sends_more_than_it_says_and_stays_open(origin: Origin) -> None:
    with closing(connect(origin)) as connection:
        connection.sendall(request("/overlong", headers=""))
        received = b""
        while len(received.partition(b"\r\n\r\n")[2]) < 2_000:
            received += connection.recv(65_536)
        head, _, body = received.partition(b"\r\n\r\n")
        assert header(head, "Content-Length") == "1000"
        assert body == body_of(2_000)
        connection.sendall(request("/ok/10", headers=""))
        assert read_answer(connection)[1] == body_of(10)


def test_late_body_comes_before_the_next_answer(origin: Origin) -> None:
    with closing(connect(origin)) as connection:
        connection.sendall(request("/late-body/204", headers=""))
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            received += connection.recv(1)
        assert received.startswith(b"HTTP/1.1 204 ")
        connection.sendall(request("/ok/10", headers=""))
        assert connection.recv(6, socket.MSG_WAITALL) == b"stray\n"
        assert read_answer(connection)[1] == body_of(10)


@pytest.mark.parametrize(
    ("path", "bytes_in_it"),
    [
        ("/bad-status-line", b"HTTP/1.1 fine OK\r\n"),
        ("/not-http", b"220 harbour.invalid ESMTP ready\r\n"),
        ("/bad-header", b"\r\nthis line is no header\r\n"),
        ("/nul-header", b"\r\nX-Nul: before\0after\r\n"),
    ],
)
def test_broken_heads(origin: Origin, path: str, bytes_in_it: bytes) -> None:
    head, rest = talk(origin, path)
    assert bytes_in_it in head + rest


def test_header_flood_is_a_big_head_with_an_end(origin: Origin) -> None:
    head, body = talk(origin, "/header-flood/200000")
    assert 200_000 <= len(head) < 230_000
    assert max(map(len, head.split(b"\r\n"))) <= 100
    assert body == body_of(2_000)


def test_many_interim_answers_come_before_the_final_one(origin: Origin) -> None:
    head, rest = talk(origin, "/many-1xx/20")
    assert (head + rest).count(b"HTTP/1.1 103 Early Hints\r\n") == 20
    assert (head + rest).endswith(body_of(2_000))
