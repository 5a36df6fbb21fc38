"""Case: a hostile answer, and what becomes of it over either transport; and how answers are written down."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

OK = b"HTTP/1.1 200 OK\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nConnection: close\r\n"
G = gzip.compress(b"hello world" * 20, mtime=0)
BOMB = gzip.compress(bytes(3_000_000), mtime=0)

NUL = "libcurl refuses NUL in a head (RFC 9110 section 5.5)"
INT = "urllib3 parses a size with int()"
INTERIM = "http.client knows no interim answer but 100"
CODINGS = "libcurl refuses transfer codings that it did not ask for"
NAMES = "the same verdict by another name"
LENGTH = "libcurl refuses what is no length; urllib3 then reads to the connection's end"


# What comes of an answer by `Session.fetch` and by a stock session: an error kind and an exception's name ("!" for one
# that is none of requests' own), or the status and the body.
Verdict = tuple[str, str]


def gives(read: str) -> Verdict:
    """Both read the same."""
    return read, read


GIVES_OK = gives("200 b'ok'")
GIVES_HELLO = gives("200 b'hello'")
REFUSED = ("bad_response", "ConnectionError")
BAD_LENGTH = ("bad_response", "InvalidHeader")
BAD_CHUNKS = ("bad_response", "ChunkedEncodingError")
BAD_CODING = ("bad_response", "ContentDecodingError")
LOST = ("connection_lost", "ConnectionError")
CUT = ("connection_lost", "ChunkedEncodingError")
UNREACHABLE = ("connect_failed", "ConnectionError")
NO_SCHEME = ("unsupported_scheme", "InvalidSchema")


@dataclass(frozen=True, slots=True)
class Case:
    """An answer, after which the connection is closed, and what comes of it.

    plain  the same over requests' own transport, where that differs, and `why`
    """

    answer: bytes
    verdict: Verdict
    plain: Verdict | None = None
    why: str = ""


def with_ok(lines: bytes) -> bytes:
    """An answer of these lines and the body `ok`."""
    return lines + b"Content-Length: 2\r\n\r\nok"


def cl(length: object, body: bytes) -> bytes:
    return OK + b"Content-Length: %b\r\n\r\n" % str(length).encode() + body


def ch(chunks: bytes) -> bytes:
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks


def gz(body: bytes, coding: bytes = b"gzip") -> bytes:
    return OK + b"Content-Encoding: " + coding + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def headers(count: int, size: int = 1) -> bytes:
    return b"".join(b"X-%d: %b\r\n" % (number, b"a" * size) for number in range(count))
