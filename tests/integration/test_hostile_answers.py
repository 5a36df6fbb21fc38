"""What becomes of a hostile answer: the record's kind and requests' exception, over either transport.

The table is the contract. Where libcurl and http.client differ, the row says why; libcurl is the stricter of the two
nearly everywhere. Every answer comes from a raw socket, and is fetched by `Session.fetch` and by a stock requests
session over our adapter or its own, at once and as a stream.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from backports import zstd

from tests.support.fetch_child import Ask, How, Told, Transport, running_fetcher
from tests.support.raw_origin import Script, running_raw_origin

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


@dataclass(frozen=True, slots=True)
class Case:
    """An answer, after which the connection is closed.

    fetch, stock  what comes of it: an error kind or an exception's name ("!" for one that is none of requests' own),
                  or the status and the body
    plain         the same two over requests' own transport, where that differs, and `why`
    """

    answer: bytes
    fetch: str
    stock: str
    plain: tuple[str, str] | None = None
    why: str = ""


def cl(length: object, body: bytes) -> bytes:
    return OK + b"Content-Length: %b\r\n\r\n" % str(length).encode() + body


def ch(chunks: bytes) -> bytes:
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks


def gz(body: bytes, coding: bytes = b"gzip") -> bytes:
    return OK + b"Content-Encoding: " + coding + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def headers(count: int, size: int = 1) -> bytes:
    return b"".join(b"X-%d: %b\r\n" % (number, b"a" * size) for number in range(count))


CASES: dict[str, Case] = {
    # the status line
    "empty": Case(b"", "connection_lost", "ConnectionError"),
    "only-crlf": Case(b"\r\n\r\n", "bad_response", "ConnectionError"),
    "lf-before": Case(b"\r\n" + cl(2, b"ok"), "bad_response", "ConnectionError"),
    "garbage-before": Case(b"garbage\r\n" + cl(2, b"ok"), "bad_response", "ConnectionError"),
    "http09": Case(b"<html>hello</html>", "bad_response", "ConnectionError"),
    "http10": Case(b"HTTP/1.0 200 OK\r\n\r\nhello", "200 b'hello'", "200 b'hello'"),
    "http10-cl": Case(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 b'hello'", "200 b'hello'"),
    "http10-chunked": Case(
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "200 b'hello'", "200 b'hello'"
    ),
    "http12": Case(
        b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "bad_response",
        "ConnectionError",
        ("200 b'ok'", "200 b'ok'"),
        "http.client takes any minor version",
    ),
    "http2-line": Case(b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok", "bad_response", "ConnectionError"),
    "http3-line": Case(
        b"HTTP/3 200\r\nContent-Length: 2\r\n\r\nok",
        "200 b'ok'",
        "200 b'ok'",
        ("bad_response", "ConnectionError"),
        "libcurl takes the version as the server says it",
    ),
    "http99": Case(b"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\nok", "bad_response", "ConnectionError"),
    "icy": Case(b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok", "bad_response", "ConnectionError"),
    "lower-http": Case(
        b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "200 b'ok'",
        "200 b'ok'",
        ("bad_response", "ConnectionError"),
        "libcurl reads the scheme in any case",
    ),
    "no-reason": Case(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "200 b'ok'", "200 b'ok'"),
    "status-word": Case(b"HTTP/1.1 fine OK\r\nContent-Length: 0\r\n\r\n", "bad_response", "ConnectionError"),
    "status-4digits": Case(
        b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
        "200 b'ok'",
        "200 b'ok'",
        ("bad_response", "ConnectionError"),
        "libcurl reads three digits and takes the fourth for the reason",
    ),
    "status-2digits": Case(b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok", "bad_response", "ConnectionError"),
    "status-0": Case(b"HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok", "bad_response", "ConnectionError"),
    "status-99": Case(b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok", "bad_response", "ConnectionError"),
    "status-999": Case(b"HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\nok", "999 b'ok'", "999 b'ok'"),
    "status-neg": Case(b"HTTP/1.1 -20 OK\r\nContent-Length: 2\r\n\r\nok", "bad_response", "ConnectionError"),
    "status-nul": Case(
        b"HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nok",
        "bad_response",
        "ConnectionError",
        ("200 b'ok'", "200 b'ok'"),
        NUL,
    ),
    "status-latin": Case(b"HTTP/1.1 200 \xff\xfe\r\nContent-Length: 2\r\n\r\nok", "200 b'ok'", "200 b'ok'"),
    "two-spaces": Case(
        b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
        "bad_response",
        "ConnectionError",
        ("200 b'ok'", "200 b'ok'"),
        "libcurl wants one space",
    ),
    "tab": Case(b"HTTP/1.1\t200 OK\r\nContent-Length: 2\r\n\r\nok", "200 b'ok'", "200 b'ok'"),
    "bare-lf": Case(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "200 b'ok'", "200 b'ok'"),
    "bare-cr": Case(
        b"HTTP/1.1 200 OK\rContent-Length: 2\r\rok",
        "connection_lost",
        "ConnectionError",
        ("200 b''", "200 b''"),
        "http.client takes the whole for a status line, and CR for white space",
    ),
    # header lines
    "fold": Case(OK + b"X-A: one\r\n two\r\nContent-Length: 2\r\n\r\nok", "200 b'ok'", "200 b'ok'"),
    "fold-first": Case(OK + b" X-A: one\r\nContent-Length: 2\r\n\r\nok", "200 b'ok'", "200 b'ok'"),
    "fold-length": Case(OK + b"Content-Length:\r\n 2\r\n\r\nok", "200 b'ok'", "200 b'ok'"),
    "no-colon": Case(
        OK + b"no header\r\nContent-Length: 2\r\n\r\nok",
        "bad_response",
        "ConnectionError",
        ("200 b'ok'", "200 b'ok'"),
        "http.client passes such a line over",
    ),
    "empty-name": Case(OK + b": value\r\nContent-Length: 2\r\n\r\nok", "200 b'ok'", "200 b'ok'"),
    "space-colon": Case(OK + b"Content-Length : 2\r\n\r\nok", "200 b'ok'", "200 b'ok'"),
    "space-colon-enc": Case(
        OK + b"Content-Encoding : gzip\r\nContent-Length: %d\r\n\r\n" % len(G) + G, "200 34 bytes", "200 34 bytes"
    ),
    "nul-header": Case(
        OK + b"X-N: a\0b\r\nContent-Length: 2\r\n\r\nok",
        "bad_response",
        "ConnectionError",
        ("200 b'ok'", "200 b'ok'"),
        NUL,
    ),
    "nul-name": Case(
        OK + b"X-\0N: ab\r\nContent-Length: 2\r\n\r\nok",
        "bad_response",
        "ConnectionError",
        ("200 b'ok'", "200 b'ok'"),
        NUL,
    ),
    "cr-in-value": Case(
        OK + b"X-N: a\rb\r\nContent-Length: 2\r\n\r\nok",
        "bad_response",
        "ConnectionError",
        ("200 b'ok'", "200 b'ok'"),
        "libcurl refuses a bare CR (RFC 9112 section 2.2)",
    ),
    "latin1-header": Case(OK + b"X-N: \xe9\xff\r\nContent-Length: 2\r\n\r\nok", "200 b'ok'", "200 b'ok'"),
    "no-headers": Case(OK + b"\r\nhello", "200 b'hello'", "200 b'hello'"),
    "head-only-no-end": Case(
        OK + b"Content-Length: 2\r\n",
        "connection_lost",
        "ChunkedEncodingError",
    ),
    # Content-Length and Transfer-Encoding
    "cl-short": Case(cl(10, b"hello"), "connection_lost", "ChunkedEncodingError"),
    "cl-long": Case(cl(3, b"hello"), "200 b'hel'", "200 b'hel'"),
    "cl-neg": Case(cl(-5, b"hello"), "bad_response", "InvalidHeader", ("200 b'hello'", "200 b'hello'"), LENGTH),
    "cl-plus": Case(cl("+5", b"hello"), "bad_response", "InvalidHeader", ("200 b'hello'", "200 b'hello'"), LENGTH),
    "cl-word": Case(cl("five", b"hello"), "bad_response", "InvalidHeader", ("200 b'hello'", "200 b'hello'"), LENGTH),
    "cl-empty": Case(cl("", b"hello"), "bad_response", "InvalidHeader", ("200 b'hello'", "200 b'hello'"), LENGTH),
    "cl-hex": Case(cl("0x5", b"hello"), "bad_response", "InvalidHeader", ("200 b'hello'", "200 b'hello'"), LENGTH),
    "cl-trail": Case(cl("5 x", b"hello"), "bad_response", "InvalidHeader", ("200 b'hello'", "200 b'hello'"), LENGTH),
    "cl-comma": Case(cl("5, 5", b"hello"), "200 b'hello'", "200 b'hello'"),
    "cl-comma-diff": Case(cl("5, 6", b"hello"), "bad_response", "InvalidHeader"),
    "cl-huge": Case(
        cl(10**18, b"hello"),
        "body_too_large",
        "ChunkedEncodingError",
        ("connection_lost", "ChunkedEncodingError"),
        "libcurl holds the announced size against the limit at once",
    ),
    "cl-overflow": Case(
        cl(10**30, b"hello"),
        "body_too_large",
        "200 b'hello'",
        ("connection_lost", "ChunkedEncodingError"),
        "libcurl reads up to the end of the connection when the number is beyond its range",
    ),
    "cl-dup": Case(OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "200 b'hello'", "200 b'hello'"),
    "cl-conflict": Case(
        OK + b"Content-Length: 5\r\nContent-Length: 3\r\n\r\nhello",
        "bad_response",
        "InvalidHeader",
    ),
    "cl-te": Case(
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "200 b'hello'",
        "200 b'hello'",
    ),
    "te-cl": Case(
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "200 b'hello'",
        "200 b'hello'",
    ),
    "te-unknown": Case(
        OK + b"Transfer-Encoding: funny\r\n\r\nhello",
        "bad_response",
        "ConnectionError",
        ("200 b'hello'", "200 b'hello'"),
        CODINGS,
    ),
    "te-identity": Case(
        OK + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", "200 b'hello'", "200 b'hello'"
    ),
    "te-double": Case(
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "200 b'hello'",
        "200 b'hello'",
    ),
    "te-chunked-gzip": Case(
        OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "bad_response",
        "ConnectionError",
        ("200 b'hello'", "200 b'hello'"),
        CODINGS,
    ),
    "te-gzip": Case(
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n%x\r\n" % len(G) + G + b"\r\n0\r\n\r\n",
        "bad_response",
        "ConnectionError",
        ("200 34 bytes", "200 34 bytes"),
        CODINGS,
    ),
    # chunks
    "ch-ok": Case(ch(b"5\r\nhello\r\n0\r\n\r\n"), "200 b'hello'", "200 b'hello'"),
    "ch-ext": Case(ch(b'5;a=b;c="d"\r\nhello\r\n0;z\r\n\r\n'), "200 b'hello'", "200 b'hello'"),
    "ch-ext-long": Case(
        ch(b"5;" + b"a" * 100000 + b"\r\nhello\r\n0\r\n\r\n"),
        "200 b'hello'",
        "200 b'hello'",
        ("connection_lost", "ChunkedEncodingError"),
        "http.client's lines end at 64 KiB",
    ),
    "ch-upper": Case(ch(b"A\r\nhellohello\r\n0\r\n\r\n"), "200 b'hellohello'", "200 b'hellohello'"),
    "ch-zeros": Case(ch(b"0000005\r\nhello\r\n000\r\n\r\n"), "200 b'hello'", "200 b'hello'"),
    "ch-zeros-many": Case(
        ch(b"0" * 100 + b"5\r\nhello\r\n0\r\n\r\n"),
        "bad_response",
        "ChunkedEncodingError",
        ("200 b'hello'", "200 b'hello'"),
        "libcurl takes 16 digits",
    ),
    "ch-trailer": Case(ch(b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"), "200 b'hello'", "200 b'hello'"),
    "ch-trailer-http": Case(
        ch(b"5\r\nhello\r\n0\r\nHTTP/1.1 302 x: y\r\nLocation: http://127.0.0.1:1/\r\n\r\n"),
        "200 b'hello'",
        "200 b'hello'",
    ),
    "ch-trailer-http-bad": Case(ch(b"5\r\nhello\r\n0\r\nHTTP/bad: y\r\n\r\n"), "200 b'hello'", "200 b'hello'"),
    "ch-trailer-nocolon": Case(
        ch(b"5\r\nhello\r\n0\r\nnothing\r\n\r\n"),
        "bad_response",
        "ChunkedEncodingError",
        ("200 b'hello'", "200 b'hello'"),
        "http.client does not look at trailers",
    ),
    "ch-trailer-flood": Case(
        ch(b"5\r\nhello\r\n0\r\n" + headers(10_000, 90) + b"\r\n"),
        "bad_response",
        "ChunkedEncodingError",
        ("200 b'hello'", "200 b'hello'"),
        "http.client does not look at trailers",
    ),
    "ch-word": Case(ch(b"some\r\nhello\r\n0\r\n\r\n"), "bad_response", "ChunkedEncodingError"),
    "ch-neg": Case(
        ch(b"-5\r\nhello\r\n0\r\n\r\n"),
        "bad_response",
        "ChunkedEncodingError",
        ("bad_response", "!ValueError"),
        "urllib3 parses with int(), and takes it for a number of bytes to read",
    ),
    "ch-plus": Case(
        ch(b"+5\r\nhello\r\n0\r\n\r\n"), "bad_response", "ChunkedEncodingError", ("200 b'hello'", "200 b'hello'"), INT
    ),
    "ch-0x": Case(
        ch(b"0x5\r\nhello\r\n0\r\n\r\n"), "bad_response", "ChunkedEncodingError", ("200 b'hello'", "200 b'hello'"), INT
    ),
    "ch-space": Case(ch(b"5 \r\nhello\r\n0\r\n\r\n"), "200 b'hello'", "200 b'hello'"),
    "ch-space-before": Case(
        ch(b" 5\r\nhello\r\n0\r\n\r\n"), "bad_response", "ChunkedEncodingError", ("200 b'hello'", "200 b'hello'"), INT
    ),
    "ch-under": Case(
        ch(b"1_0\r\nhellohellohelloh\r\n0\r\n\r\n"),
        "bad_response",
        "ChunkedEncodingError",
        ("200 b'hellohellohelloh'", "200 b'hellohellohelloh'"),
        INT,
    ),
    "ch-empty": Case(ch(b"\r\nhello\r\n0\r\n\r\n"), "bad_response", "ChunkedEncodingError"),
    "ch-huge": Case(ch(b"7fffffffffffffff\r\nhello\r\n0\r\n\r\n"), "connection_lost", "ChunkedEncodingError"),
    "ch-huge2": Case(
        ch(b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        "bad_response",
        "ChunkedEncodingError",
        ("connection_lost", "ChunkedEncodingError"),
        "libcurl knows that a size can't be meant",
    ),
    "ch-huge3": Case(
        ch(b"f" * 30 + b"\r\nhello\r\n0\r\n\r\n"),
        "bad_response",
        "ChunkedEncodingError",
        ("connection_lost", "ChunkedEncodingError"),
        "libcurl knows that a size can't be meant",
    ),
    "ch-short": Case(ch(b"3\r\nhello\r\n0\r\n\r\n"), "bad_response", "ChunkedEncodingError"),
    "ch-long": Case(ch(b"8\r\nhello\r\n0\r\n\r\n"), "bad_response", "ChunkedEncodingError"),
    "ch-lf": Case(
        ch(b"5\nhello\n0\n\n"),
        "200 b'hello'",
        "200 b'hello'",
        ("bad_response", "ChunkedEncodingError"),
        "libcurl takes LF for a line end",
    ),
    "ch-nolast": Case(ch(b"5\r\nhello\r\n"), "connection_lost", "ChunkedEncodingError"),
    "ch-nolastcrlf": Case(
        ch(b"5\r\nhello\r\n0\r\n"),
        "connection_lost",
        "ChunkedEncodingError",
        ("200 b'hello'", "200 b'hello'"),
        "urllib3 does not wait for the end of the trailers",
    ),
    "ch-surplus": Case(ch(b"5\r\nhello\r\n0\r\n\r\nsurplus"), "200 b'hello'", "200 b'hello'"),
    # content codings
    "gz-ok": Case(gz(G), "200 220 bytes", "200 220 bytes"),
    "gz-upper": Case(gz(G, b"GZIP"), "200 220 bytes", "200 220 bytes"),
    "gz-x": Case(gz(G, b"x-gzip"), "200 220 bytes", "200 220 bytes"),
    "gz-cut": Case(gz(G[:-12]), "200 b'hello world'", "200 b'hello world'"),
    "gz-cut-trailer": Case(gz(G[:-4]), "200 220 bytes", "200 220 bytes"),
    "gz-badcrc": Case(gz(G[:-8] + b"\0" * 8), "bad_response", "ContentDecodingError"),
    "gz-noise": Case(gz(G[:10] + b"\xff" * 50), "bad_response", "ContentDecodingError"),
    "gz-plain": Case(gz(b"hello"), "bad_response", "ContentDecodingError"),
    "gz-empty": Case(gz(b""), "200 b''", "200 b''"),
    "gz-surplus": Case(gz(G + b"surplus"), "200 220 bytes", "200 220 bytes"),
    "gz-members": Case(gz(G + G), "200 440 bytes", "200 440 bytes"),
    "gz-twice": Case(gz(gzip.compress(G, mtime=0), b"gzip, gzip"), "200 220 bytes", "200 220 bytes"),
    "gz-six": Case(gz(G, b", ".join([b"gzip"] * 6)), "bad_response", "ContentDecodingError"),
    "gz-many": Case(gz(G, b", ".join([b"gzip"] * 50)), "bad_response", "ContentDecodingError"),
    "unknown-enc": Case(gz(b"hello", b"funny"), "200 b'hello'", "200 b'hello'"),
    "unknown+gzip": Case(gz(G, b"funny, gzip"), "bad_response", "ContentDecodingError"),
    "deflate-raw": Case(gz(zlib.compress(b"hello")[2:-4], b"deflate"), "200 b'hello'", "200 b'hello'"),
    "deflate": Case(gz(zlib.compress(b"hello"), b"deflate"), "200 b'hello'", "200 b'hello'"),
    "br-bad": Case(gz(b"hello", b"br"), "200 b''", "200 b''"),
    "br-noise": Case(gz(b"\0" * 50, b"br"), "bad_response", "ContentDecodingError"),
    "zstd": Case(gz(zstd.compress(b"hello"), b"zstd"), "200 b'hello'", "200 b'hello'"),
    "zstd-bad": Case(gz(b"hello", b"zstd"), "bad_response", "ContentDecodingError"),
    "zstd-bomb": Case(gz(zstd.compress(b"\0" * 3_000_000), b"zstd"), "body_too_large", "200 3000000 bytes"),
    "bomb": Case(gz(BOMB), "body_too_large", "200 3000000 bytes"),
    "bomb-nested": Case(
        gz(gzip.compress(gzip.compress(b"\0" * 30_000_000, mtime=0), mtime=0), b"gzip, gzip"),
        "body_too_large",
        "200 30000000 bytes",
    ),
    "big-body": Case(cl(2_000_000, b"x" * 2_000_000), "body_too_large", "200 2000000 bytes"),
    # interim answers, and answers without a body
    "1xx": Case(b"HTTP/1.1 100 Continue\r\n\r\n" + cl(2, b"ok"), "200 b'ok'", "200 b'ok'"),
    "102": Case(
        b"HTTP/1.1 102 Processing\r\n\r\n" + cl(2, b"ok"), "200 b'ok'", "200 b'ok'", ("102 b''", "102 b''"), INTERIM
    ),
    "103": Case(
        b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + cl(2, b"ok"),
        "200 b'ok'",
        "200 b'ok'",
        ("103 b''", "103 b''"),
        INTERIM,
    ),
    "101": Case(
        b"HTTP/1.1 101 Switching\r\n\r\nhello",
        "101 b'hello'",
        "101 b'hello'",
        ("101 b''", "101 b''"),
        "http.client reads no body after 101",
    ),
    "1xx-storm": Case(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000 + cl(2, b"ok"), "200 b'ok'", "200 b'ok'"),
    "103-storm": Case(
        b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 5000 + cl(2, b"ok"),
        "bad_response",
        "ConnectionError",
        ("103 b''", "103 b''"),
        INTERIM,
    ),
    "1xx-only": Case(b"HTTP/1.1 100 Continue\r\n\r\n", "connection_lost", "ConnectionError"),
    "103-only": Case(
        b"HTTP/1.1 103 Early\r\n\r\n", "connection_lost", "ConnectionError", ("103 b''", "103 b''"), INTERIM
    ),
    "1xx-body": Case(
        b"HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\nabc" + cl(2, b"ok"), "bad_response", "ConnectionError"
    ),
    "204-body": Case(b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", "204 b''", "204 b''"),
    "304-body": Case(b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\nhello", "304 b''", "304 b''"),
    "204-chunked": Case(
        b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "204 b''",
        "204 b''",
        ("204 b'hello'", "204 b'hello'"),
        "urllib3 reads the chunks of an answer that has no body",
    ),
    "205": Case(b"HTTP/1.1 205 R\r\nContent-Length: 5\r\n\r\nhello", "205 b'hello'", "205 b'hello'"),
    # sizes of heads
    "one-huge-header": Case(
        OK + b"X-H: " + b"a" * 60000 + b"\r\nContent-Length: 2\r\n\r\nok", "200 b'ok'", "200 b'ok'"
    ),
    "one-66k-header": Case(
        OK + b"X-H: " + b"a" * 66000 + b"\r\nContent-Length: 2\r\n\r\nok",
        "200 b'ok'",
        "200 b'ok'",
        ("bad_response", "ConnectionError"),
        "http.client's lines end at 64 KiB",
    ),
    "one-400k-header": Case(
        OK + b"X-H: " + b"a" * 400000 + b"\r\nContent-Length: 2\r\n\r\nok", "bad_response", "ConnectionError"
    ),
    "99-headers": Case(OK + headers(98) + b"Content-Length: 2\r\n\r\nok", "200 b'ok'", "200 b'ok'"),
    "200-headers": Case(
        OK + headers(200) + b"Content-Length: 2\r\n\r\nok",
        "200 b'ok'",
        "200 b'ok'",
        ("bad_response", "ConnectionError"),
        "http.client takes 100 headers",
    ),
    "6000-headers": Case(OK + headers(6000) + b"Content-Length: 2\r\n\r\nok", "bad_response", "ConnectionError"),
    "flood": Case(OK + headers(10_000, 90) + b"Content-Length: 2\r\n\r\nok", "bad_response", "ConnectionError"),
    "endless-line": Case(OK + b"X-E: " + b"a" * 3_000_000, "bad_response", "ConnectionError"),
    "endless-status": Case(b"HTTP/1.1 200 " + b"a" * 3_000_000, "bad_response", "ConnectionError"),
    "endless-garbage": Case(b"a" * 3_000_000, "bad_response", "ConnectionError"),
    "set-cookie-bad": Case(
        OK + b"Set-Cookie: \r\nSet-Cookie: =;\r\nSet-Cookie: a=b; Expires=no; Max-Age=x\r\nContent-Length: 2\r\n\r\nok",
        "200 b'ok'",
        "200 b'ok'",
    ),
    "ctype-bad": Case(
        OK + b"Content-Type: text/html; charset=nonsense\r\nContent-Length: 2\r\n\r\nok", "200 b'ok'", "200 b'ok'"
    ),
    "conn-close": Case(OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", "200 b'ok'", "200 b'ok'"),
    # redirects
    "redir-none": Case(MOVED + b"Content-Length: 2\r\n\r\nok", "302 b'ok'", "302 b'ok'"),
    "redir-empty": Case(MOVED + b"Location: \r\nContent-Length: 2\r\n\r\nok", "302 b'ok'", "302 b'ok'"),
    "redir-mailto": Case(
        MOVED + b"Location: mailto:a@b\r\nContent-Length: 2\r\n\r\nok",
        "unsupported_scheme",
        "InvalidSchema",
    ),
    "redir-js": Case(
        MOVED + b"Location: javascript:alert(1)\r\nContent-Length: 2\r\n\r\nok",
        "unsupported_scheme",
        "InvalidSchema",
    ),
    "redir-file": Case(
        MOVED + b"Location: file:///etc/passwd\r\nContent-Length: 2\r\n\r\nok",
        "unsupported_scheme",
        "InvalidSchema",
    ),
    "redir-port": Case(
        MOVED + b"Location: http://127.0.0.1:99999/\r\nContent-Length: 2\r\n\r\nok",
        "bad_response",
        "InvalidURL",
    ),
    "redir-port0": Case(
        MOVED + b"Location: http://127.0.0.1:0/\r\nContent-Length: 2\r\n\r\nok",
        "connect_failed",
        "ConnectionError",
    ),
    "redir-space": Case(
        MOVED + b"Location: http://127.0.0.1 :80/\r\nContent-Length: 2\r\n\r\nok",
        "bad_response",
        "InvalidURL",
        ("bad_response", "ConnectionError"),
        NAMES,
    ),
    "redir-bracket": Case(
        MOVED + b"Location: http://[::1\r\nContent-Length: 2\r\n\r\nok", "bad_response", "!ValueError"
    ),
    "redir-latin": Case(
        MOVED + b"Location: http://\xff\xfe/\r\nContent-Length: 2\r\n\r\nok",
        "bad_response",
        "!UnicodeDecodeError",
    ),
    "redir-nul": Case(
        MOVED + b"Location: http://127.0.0.1:1/a\0b\r\nContent-Length: 2\r\n\r\nok",
        "bad_response",
        "ConnectionError",
        ("connect_failed", "ConnectionError"),
        NUL,
    ),
    "redir-refused": Case(
        MOVED + b"Location: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\nok",
        "connect_failed",
        "ConnectionError",
    ),
    "redir-two": Case(
        MOVED + b"Location: http://127.0.0.1:1/\r\nLocation: /2\r\nContent-Length: 2\r\n\r\nok",
        "bad_response",
        "ConnectionError",
        ("connect_failed", "ConnectionError"),
        "libcurl refuses two places to go to",
    ),
    "redir-body-cut": Case(
        MOVED + b"Location: /good\r\nContent-Length: 20\r\n\r\nok", "connection_lost", "200 b'good'"
    ),
    "redir-body-chunk": Case(
        MOVED + b"Location: /good\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok",
        "bad_response",
        "200 b'good'",
    ),
    "redir-body-gzip": Case(
        MOVED + b"Location: /good\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
        "bad_response",
        "200 b'good'",
    ),
    "redir-body-big": Case(
        MOVED + b"Location: /good\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2000000,
        "body_too_large",
        "200 b'good'",
    ),
    "redir-body-bomb": Case(
        MOVED + b"Location: /good\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
        "body_too_large",
        "200 b'good'",
    ),
}


@pytest.fixture(scope="module", params=["curl", "requests"])
def came(request: pytest.FixtureRequest) -> Iterator[tuple[Transport, dict[tuple[str, How], Told]]]:
    """All of the table fetched every way, some at a time; the results of each transport."""
    transport: Transport = request.param
    ways: list[How] = ["fetch", "whole", "stream"]
    wanted = [(name, how) for name in CASES for how in ways]
    told: dict[tuple[str, How], Told] = {}
    with ExitStack() as stack:
        origin = stack.enter_context(running_raw_origin())
        fetcher = stack.enter_context(running_fetcher(transport))
        origin.serve(Script.of(cl(4, b"good")), "good")
        urls = {name: origin.serve(Script.of(case.answer), name) for name, case in CASES.items()}
        for begin in range(0, len(wanted), 60):
            part = wanted[begin : begin + 60]
            asks = [Ask(urls[name], how, max_body_bytes=1 << 20) for name, how in part]
            told.update(zip(part, fetcher.fetch(asks), strict=True))
        assert fetcher.process.stderr == "", "nothing is said of what a server does"
        yield transport, told


@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_it(came: tuple[Transport, dict[tuple[str, How], Told]], name: str) -> None:
    transport, told = came
    case = CASES[name]
    fetch, stock = case.plain if case.plain and transport == "requests" else (case.fetch, case.stock)
    assert bool(case.plain) == bool(case.why)
    assert told[name, "fetch"].word == fetch, told[name, "fetch"].said
    assert told[name, "whole"].word == stock, told[name, "whole"].said
    assert told[name, "stream"].word == stock, told[name, "stream"].said
    assert "\n" not in told[name, "fetch"].said


def test_the_limits_of_a_head_are_those_that_the_documents_name(
    came: tuple[Transport, dict[tuple[str, How], Told]],
) -> None:
    transport, told = came
    if transport == "curl":
        assert "5000 is max" in told["6000-headers", "fetch"].said
        assert "> 307200" in told["flood", "fetch"].said
        assert "too long" in told["one-400k-header", "fetch"].said
