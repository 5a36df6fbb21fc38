"""Hostile framing: lengths, transfer codings, chunks, content codings."""

from __future__ import annotations

import gzip
import zlib

from backports import zstd

from tests.support.hostile.case import (
    BAD_CHUNKS,
    BAD_CODING,
    BAD_LENGTH,
    BOMB,
    CODINGS,
    CUT,
    GIVES_HELLO,
    INT,
    LENGTH,
    OK,
    REFUSED,
    Case,
    G,
    ch,
    cl,
    gives,
    gz,
    headers,
)

FRAMING: dict[str, Case] = {
    # Content-Length and Transfer-Encoding
    "cl-short": Case(cl(10, b"hello"), CUT),
    "cl-long": Case(cl(3, b"hello"), gives("200 b'hel'")),
    "cl-neg": Case(cl(-5, b"hello"), BAD_LENGTH, GIVES_HELLO, LENGTH),
    "cl-plus": Case(cl("+5", b"hello"), BAD_LENGTH, GIVES_HELLO, LENGTH),
    "cl-word": Case(cl("five", b"hello"), BAD_LENGTH, GIVES_HELLO, LENGTH),
    "cl-empty": Case(cl("", b"hello"), BAD_LENGTH, GIVES_HELLO, LENGTH),
    "cl-hex": Case(cl("0x5", b"hello"), BAD_LENGTH, GIVES_HELLO, LENGTH),
    "cl-trail": Case(cl("5 x", b"hello"), BAD_LENGTH, GIVES_HELLO, LENGTH),
    "cl-comma": Case(cl("5, 5", b"hello"), GIVES_HELLO),
    "cl-comma-diff": Case(cl("5, 6", b"hello"), BAD_LENGTH),
    "cl-huge": Case(
        cl(10**18, b"hello"),
        ("body_too_large", "ChunkedEncodingError"),
        CUT,
        "libcurl holds the announced size against the limit at once",
    ),
    "cl-overflow": Case(
        cl(10**30, b"hello"),
        ("body_too_large", "200 b'hello'"),
        CUT,
        "libcurl reads up to the end of the connection when the number is beyond its range",
    ),
    "cl-dup": Case(OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", GIVES_HELLO),
    "cl-conflict": Case(OK + b"Content-Length: 5\r\nContent-Length: 3\r\n\r\nhello", BAD_LENGTH),
    "cl-te": Case(OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", GIVES_HELLO),
    "te-cl": Case(OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n", GIVES_HELLO),
    "te-unknown": Case(OK + b"Transfer-Encoding: funny\r\n\r\nhello", REFUSED, GIVES_HELLO, CODINGS),
    "te-identity": Case(OK + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", GIVES_HELLO),
    "te-double": Case(
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", GIVES_HELLO
    ),
    "te-chunked-gzip": Case(
        OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n", REFUSED, GIVES_HELLO, CODINGS
    ),
    "te-gzip": Case(
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n%x\r\n" % len(G) + G + b"\r\n0\r\n\r\n",
        REFUSED,
        gives("200 34 bytes"),
        CODINGS,
    ),
    # chunks
    "ch-ok": Case(ch(b"5\r\nhello\r\n0\r\n\r\n"), GIVES_HELLO),
    "ch-ext": Case(ch(b'5;a=b;c="d"\r\nhello\r\n0;z\r\n\r\n'), GIVES_HELLO),
    "ch-ext-long": Case(
        ch(b"5;" + b"a" * 100000 + b"\r\nhello\r\n0\r\n\r\n"), GIVES_HELLO, CUT, "http.client's lines end at 64 KiB"
    ),
    "ch-upper": Case(ch(b"A\r\nhellohello\r\n0\r\n\r\n"), gives("200 b'hellohello'")),
    "ch-zeros": Case(ch(b"0000005\r\nhello\r\n000\r\n\r\n"), GIVES_HELLO),
    "ch-zeros-many": Case(
        ch(b"0" * 100 + b"5\r\nhello\r\n0\r\n\r\n"), BAD_CHUNKS, GIVES_HELLO, "libcurl takes 16 digits"
    ),
    "ch-trailer": Case(ch(b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"), GIVES_HELLO),
    "ch-trailer-http": Case(
        ch(b"5\r\nhello\r\n0\r\nHTTP/1.1 302 x: y\r\nLocation: http://127.0.0.1:1/\r\n\r\n"), GIVES_HELLO
    ),
    "ch-trailer-http-bad": Case(ch(b"5\r\nhello\r\n0\r\nHTTP/bad: y\r\n\r\n"), GIVES_HELLO),
    "ch-trailer-nocolon": Case(
        ch(b"5\r\nhello\r\n0\r\nnothing\r\n\r\n"), BAD_CHUNKS, GIVES_HELLO, "http.client does not look at trailers"
    ),
    "ch-trailer-flood": Case(
        ch(b"5\r\nhello\r\n0\r\n" + headers(10_000, 90) + b"\r\n"),
        BAD_CHUNKS,
        GIVES_HELLO,
        "http.client does not look at trailers",
    ),
    "ch-word": Case(ch(b"some\r\nhello\r\n0\r\n\r\n"), BAD_CHUNKS),
    "ch-neg": Case(
        ch(b"-5\r\nhello\r\n0\r\n\r\n"),
        BAD_CHUNKS,
        ("bad_response", "!ValueError"),
        "urllib3 parses with int(), and takes it for a number of bytes to read",
    ),
    "ch-plus": Case(ch(b"+5\r\nhello\r\n0\r\n\r\n"), BAD_CHUNKS, GIVES_HELLO, INT),
    "ch-0x": Case(ch(b"0x5\r\nhello\r\n0\r\n\r\n"), BAD_CHUNKS, GIVES_HELLO, INT),
    "ch-space": Case(ch(b"5 \r\nhello\r\n0\r\n\r\n"), GIVES_HELLO),
    "ch-space-before": Case(ch(b" 5\r\nhello\r\n0\r\n\r\n"), BAD_CHUNKS, GIVES_HELLO, INT),
    "ch-under": Case(ch(b"1_0\r\nhellohellohelloh\r\n0\r\n\r\n"), BAD_CHUNKS, gives("200 b'hellohellohelloh'"), INT),
    "ch-empty": Case(ch(b"\r\nhello\r\n0\r\n\r\n"), BAD_CHUNKS),
    "ch-huge": Case(ch(b"7fffffffffffffff\r\nhello\r\n0\r\n\r\n"), CUT),
    "ch-huge2": Case(
        ch(b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"), BAD_CHUNKS, CUT, "libcurl knows that a size can't be meant"
    ),
    "ch-huge3": Case(
        ch(b"f" * 30 + b"\r\nhello\r\n0\r\n\r\n"), BAD_CHUNKS, CUT, "libcurl knows that a size can't be meant"
    ),
    "ch-short": Case(ch(b"3\r\nhello\r\n0\r\n\r\n"), BAD_CHUNKS),
    "ch-long": Case(ch(b"8\r\nhello\r\n0\r\n\r\n"), BAD_CHUNKS),
    "ch-lf": Case(ch(b"5\nhello\n0\n\n"), GIVES_HELLO, BAD_CHUNKS, "libcurl takes LF for a line end"),
    "ch-nolast": Case(ch(b"5\r\nhello\r\n"), CUT),
    "ch-nolastcrlf": Case(
        ch(b"5\r\nhello\r\n0\r\n"), CUT, GIVES_HELLO, "urllib3 does not wait for the end of the trailers"
    ),
    "ch-surplus": Case(ch(b"5\r\nhello\r\n0\r\n\r\nsurplus"), GIVES_HELLO),
    # content codings
    "gz-ok": Case(gz(G), gives("200 220 bytes")),
    "gz-upper": Case(gz(G, b"GZIP"), gives("200 220 bytes")),
    "gz-x": Case(gz(G, b"x-gzip"), gives("200 220 bytes")),
    "gz-cut": Case(gz(G[:-12]), gives("200 b'hello world'")),
    "gz-cut-trailer": Case(gz(G[:-4]), gives("200 220 bytes")),
    "gz-badcrc": Case(gz(G[:-8] + b"\0" * 8), BAD_CODING),
    "gz-noise": Case(gz(G[:10] + b"\xff" * 50), BAD_CODING),
    "gz-plain": Case(gz(b"hello"), BAD_CODING),
    "gz-empty": Case(gz(b""), gives("200 b''")),
    "gz-surplus": Case(gz(G + b"surplus"), gives("200 220 bytes")),
    "gz-members": Case(gz(G + G), gives("200 440 bytes")),
    "gz-twice": Case(gz(gzip.compress(G, mtime=0), b"gzip, gzip"), gives("200 220 bytes")),
    "gz-six": Case(gz(G, b", ".join([b"gzip"] * 6)), BAD_CODING),
    "gz-many": Case(gz(G, b", ".join([b"gzip"] * 50)), BAD_CODING),
    "unknown-enc": Case(gz(b"hello", b"funny"), GIVES_HELLO),
    "unknown+gzip": Case(gz(G, b"funny, gzip"), BAD_CODING),
    "deflate-raw": Case(gz(zlib.compress(b"hello")[2:-4], b"deflate"), GIVES_HELLO),
    "deflate": Case(gz(zlib.compress(b"hello"), b"deflate"), GIVES_HELLO),
    "br-bad": Case(gz(b"hello", b"br"), gives("200 b''")),
    "br-noise": Case(gz(b"\0" * 50, b"br"), BAD_CODING),
    "zstd": Case(gz(zstd.compress(b"hello"), b"zstd"), GIVES_HELLO),
    "zstd-bad": Case(gz(b"hello", b"zstd"), BAD_CODING),
    "zstd-bomb": Case(gz(zstd.compress(b"\0" * 3_000_000), b"zstd"), ("body_too_large", "200 3000000 bytes")),
    "bomb": Case(gz(BOMB), ("body_too_large", "200 3000000 bytes")),
    "bomb-nested": Case(
        gz(gzip.compress(gzip.compress(b"\0" * 30_000_000, mtime=0), mtime=0), b"gzip, gzip"),
        ("body_too_large", "200 30000000 bytes"),
    ),
    "big-body": Case(cl(2_000_000, b"x" * 2_000_000), ("body_too_large", "200 2000000 bytes")),
}
