"""Answers that go on and on, as those of events or of a log that is followed: each piece is here when the server has
sent it, however large a piece was asked for. The same on every transport.

The server sends a piece and then holds the connection: who waits for more never gets it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.adapter.conftest import Certificate
from tests.support.nginx import LISTEN, running_nginx
from tests.support.processes import HANG_GUARD_S
from tests.support.raw_origin import RawOrigin, Script, running_raw_origin

PIECE = b"data: one\n\ndata: two\n\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"

Read = Callable[[requests.Response], Iterator[Any]]
WAYS: dict[str, Read] = {
    "large pieces": lambda answer: answer.iter_content(1 << 20),
    "any pieces": lambda answer: answer.iter_content(None),
    "raw": lambda answer: answer.raw.stream(1 << 20),
    "raw chunks": lambda answer: answer.raw.read_chunked(),
}


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


@pytest.fixture
def raw() -> Iterator[RawOrigin]:
    with running_raw_origin() as running:
        yield running


@pytest.mark.parametrize("way", WAYS)
def test_a_chunk_is_here_when_it_was_sent(session: requests.Session, raw: RawOrigin, way: str) -> None:
    url = raw.serve(Script.of(HEAD + b"\r\n" + chunk(PIECE), "hold"))
    with session.get(url, stream=True, timeout=HANG_GUARD_S) as answer:
        assert next(WAYS[way](answer)) == PIECE


def test_lines_are_here_when_they_were_sent(session: requests.Session, raw: RawOrigin) -> None:
    url = raw.serve(Script.of(HEAD + b"\r\n" + chunk(PIECE), "hold"))
    with session.get(url, stream=True, timeout=HANG_GUARD_S) as answer:
        lines = answer.iter_lines(delimiter=b"\n\n")
        assert next(lines) == b"data: one"


def test_what_is_packed_is_unpacked_as_it_comes(session: requests.Session, raw: RawOrigin) -> None:
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(PIECE) + packer.flush(zlib.Z_SYNC_FLUSH)
    url = raw.serve(Script.of(HEAD + b"Content-Encoding: gzip\r\n\r\n" + chunk(packed), "hold"))
    with session.get(url, stream=True, timeout=HANG_GUARD_S) as answer:
        assert next(answer.iter_content(1 << 20)) == PIECE


@pytest.mark.parametrize("size", [1, 7, 4096, None])
def test_all_of_them_are_the_whole(session: requests.Session, raw: RawOrigin, size: int | None) -> None:
    pieces = [PIECE * times for times in range(1, 60)]
    packed = zlib.compressobj(wbits=31)
    zipped = [packed.compress(piece) + packed.flush(zlib.Z_SYNC_FLUSH) for piece in pieces] + [packed.flush()]
    for head, sent in ((HEAD, pieces), (HEAD + b"Content-Encoding: gzip\r\n", zipped)):
        url = raw.serve(Script((head + b"\r\n", *map(chunk, sent), b"0\r\n\r\n"), "keep"))
        for _ in range(2):
            with session.get(url, stream=True, timeout=HANG_GUARD_S) as answer:
                got = list(answer.iter_content(size))
            assert b"".join(got) == b"".join(pieces)
            assert all(0 < len(piece) <= (size or len(piece)) for piece in got)
    assert raw.connections <= 2, "a body that was read leaves its connection to the next"


def test_a_stream_without_length_comes_as_it_is_sent_over_http_2_too(
    curl_session: requests.Session, raw: RawOrigin, certificates: dict[str, Certificate], tmp_path: Path
) -> None:
    raw.serve(Script.of(HEAD + b"\r\n" + chunk(PIECE), "hold"), "events")
    server = (
        f"server {{ listen {LISTEN} ssl http2; ssl_certificate {certificates['server'].cert};"
        f" ssl_certificate_key {certificates['server'].key};"
        f" location / {{ proxy_pass {raw.base}; proxy_http_version 1.1; proxy_buffering off; }} }}"
    )
    with running_nginx(server, tmp_path / "nginx") as nginx:
        curl_session.verify = str(certificates["server"].cert)
        url = nginx.url("/events").replace("http:", "https:")
        with curl_session.get(url, stream=True, timeout=HANG_GUARD_S) as answer:
            assert answer.raw.version == 20
            assert next(answer.iter_content(1 << 20)) == PIECE
