"""Hostile framing: lengths, transfer codings, chunks, content codings."""

from __future__ import annotations

import gzip
import zlib

from backports import zstd

from tests.support.hostile.case import (
    BOMB,
    CODINGS,
    INT,
    LENGTH,
    OK,
    Case,
    G,
    ch,
    cl,
    gz,
    headers,
)

FRAMING: dict[str, Case] = {
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
}
