"""Hostile heads: status lines, header lines, their sizes, interim answers, redirects."""

from __future__ import annotations

from tests.support.hostile.case import (
    BOMB,
    CUT,
    GIVES_HELLO,
    GIVES_OK,
    INTERIM,
    LOST,
    MOVED,
    NAMES,
    NO_SCHEME,
    NUL,
    OK,
    REFUSED,
    UNREACHABLE,
    Case,
    G,
    cl,
    gives,
    headers,
    with_ok,
)

HEADS: dict[str, Case] = {
    # the status line
    "empty": Case(b"", LOST),
    "only-crlf": Case(b"\r\n\r\n", REFUSED),
    "lf-before": Case(b"\r\n" + cl(2, b"ok"), REFUSED),
    "garbage-before": Case(b"garbage\r\n" + cl(2, b"ok"), REFUSED),
    "http09": Case(b"<html>hello</html>", REFUSED),
    "http10": Case(b"HTTP/1.0 200 OK\r\n\r\nhello", GIVES_HELLO),
    "http10-cl": Case(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", GIVES_HELLO),
    "http10-chunked": Case(
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", GIVES_HELLO
    ),
    "http12": Case(with_ok(b"HTTP/1.2 200 OK\r\n"), REFUSED, GIVES_OK, "http.client takes any minor version"),
    "http2-line": Case(with_ok(b"HTTP/2 200 OK\r\n"), REFUSED),
    "http3-line": Case(
        with_ok(b"HTTP/3 200\r\n"), GIVES_OK, REFUSED, "libcurl takes the version as the server says it"
    ),
    "http99": Case(with_ok(b"HTTP/9.9 200 OK\r\n"), REFUSED),
    "icy": Case(with_ok(b"ICY 200 OK\r\n"), REFUSED),
    "lower-http": Case(with_ok(b"http/1.1 200 OK\r\n"), GIVES_OK, REFUSED, "libcurl reads the scheme in any case"),
    "no-reason": Case(with_ok(b"HTTP/1.1 200\r\n"), GIVES_OK),
    "status-word": Case(b"HTTP/1.1 fine OK\r\nContent-Length: 0\r\n\r\n", REFUSED),
    "status-4digits": Case(
        with_ok(b"HTTP/1.1 2000 OK\r\n"),
        GIVES_OK,
        REFUSED,
        "libcurl reads three digits and takes the fourth for the reason",
    ),
    "status-2digits": Case(with_ok(b"HTTP/1.1 20 OK\r\n"), REFUSED),
    "status-0": Case(with_ok(b"HTTP/1.1 000 OK\r\n"), REFUSED),
    "status-99": Case(with_ok(b"HTTP/1.1 099 OK\r\n"), REFUSED),
    "status-999": Case(with_ok(b"HTTP/1.1 999 OK\r\n"), gives("999 b'ok'")),
    "status-neg": Case(with_ok(b"HTTP/1.1 -20 OK\r\n"), REFUSED),
    "status-nul": Case(with_ok(b"HTTP/1.1 200 O\0K\r\n"), REFUSED, GIVES_OK, NUL),
    "status-latin": Case(with_ok(b"HTTP/1.1 200 \xff\xfe\r\n"), GIVES_OK),
    "two-spaces": Case(with_ok(b"HTTP/1.1  200 OK\r\n"), REFUSED, GIVES_OK, "libcurl wants one space"),
    "tab": Case(with_ok(b"HTTP/1.1\t200 OK\r\n"), GIVES_OK),
    "bare-lf": Case(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", GIVES_OK),
    "bare-cr": Case(
        b"HTTP/1.1 200 OK\rContent-Length: 2\r\rok",
        LOST,
        gives("200 b''"),
        "http.client takes the whole for a status line, and CR for white space",
    ),
    # header lines
    "fold": Case(with_ok(OK + b"X-A: one\r\n two\r\n"), GIVES_OK),
    "fold-first": Case(with_ok(OK + b" X-A: one\r\n"), GIVES_OK),
    "fold-length": Case(OK + b"Content-Length:\r\n 2\r\n\r\nok", GIVES_OK),
    "no-colon": Case(with_ok(OK + b"no header\r\n"), REFUSED, GIVES_OK, "http.client passes such a line over"),
    "empty-name": Case(with_ok(OK + b": value\r\n"), GIVES_OK),
    "space-colon": Case(OK + b"Content-Length : 2\r\n\r\nok", GIVES_OK),
    "space-colon-enc": Case(
        OK + b"Content-Encoding : gzip\r\nContent-Length: %d\r\n\r\n" % len(G) + G, gives("200 34 bytes")
    ),
    "nul-header": Case(with_ok(OK + b"X-N: a\0b\r\n"), REFUSED, GIVES_OK, NUL),
    "nul-name": Case(with_ok(OK + b"X-\0N: ab\r\n"), REFUSED, GIVES_OK, NUL),
    "cr-in-value": Case(
        with_ok(OK + b"X-N: a\rb\r\n"), REFUSED, GIVES_OK, "libcurl refuses a bare CR (RFC 9112 section 2.2)"
    ),
    "latin1-header": Case(with_ok(OK + b"X-N: \xe9\xff\r\n"), GIVES_OK),
    "no-headers": Case(OK + b"\r\nhello", GIVES_HELLO),
    "head-only-no-end": Case(OK + b"Content-Length: 2\r\n", CUT),
    # sizes of heads
    "one-huge-header": Case(with_ok(OK + b"X-H: " + b"a" * 60000 + b"\r\n"), GIVES_OK),
    "one-66k-header": Case(
        with_ok(OK + b"X-H: " + b"a" * 66000 + b"\r\n"), GIVES_OK, REFUSED, "http.client's lines end at 64 KiB"
    ),
    "one-400k-header": Case(with_ok(OK + b"X-H: " + b"a" * 400000 + b"\r\n"), REFUSED),
    "99-headers": Case(with_ok(OK + headers(98)), GIVES_OK),
    "200-headers": Case(with_ok(OK + headers(200)), GIVES_OK, REFUSED, "http.client takes 100 headers"),
    "6000-headers": Case(with_ok(OK + headers(6000)), REFUSED),
    "flood": Case(with_ok(OK + headers(10_000, 90)), REFUSED),
    "endless-line": Case(OK + b"X-E: " + b"a" * 3_000_000, REFUSED),
    "endless-status": Case(b"HTTP/1.1 200 " + b"a" * 3_000_000, REFUSED),
    "endless-garbage": Case(b"a" * 3_000_000, REFUSED),
    "set-cookie-bad": Case(
        with_ok(OK + b"Set-Cookie: \r\nSet-Cookie: =;\r\nSet-Cookie: a=b; Expires=no; Max-Age=x\r\n"), GIVES_OK
    ),
    "ctype-bad": Case(with_ok(OK + b"Content-Type: text/html; charset=nonsense\r\n"), GIVES_OK),
    "conn-close": Case(with_ok(OK + b"Connection: close\r\n"), GIVES_OK),
    # interim answers, and answers without a body
    "1xx": Case(b"HTTP/1.1 100 Continue\r\n\r\n" + cl(2, b"ok"), GIVES_OK),
    "102": Case(b"HTTP/1.1 102 Processing\r\n\r\n" + cl(2, b"ok"), GIVES_OK, gives("102 b''"), INTERIM),
    "103": Case(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + cl(2, b"ok"), GIVES_OK, gives("103 b''"), INTERIM),
    "101": Case(
        b"HTTP/1.1 101 Switching\r\n\r\nhello",
        gives("101 b'hello'"),
        gives("101 b''"),
        "http.client reads no body after 101",
    ),
    "1xx-storm": Case(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000 + cl(2, b"ok"), GIVES_OK),
    "103-storm": Case(
        b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 5000 + cl(2, b"ok"), REFUSED, gives("103 b''"), INTERIM
    ),
    "1xx-only": Case(b"HTTP/1.1 100 Continue\r\n\r\n", LOST),
    "103-only": Case(b"HTTP/1.1 103 Early\r\n\r\n", LOST, gives("103 b''"), INTERIM),
    "1xx-body": Case(b"HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\nabc" + cl(2, b"ok"), REFUSED),
    "204-body": Case(b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", gives("204 b''")),
    "304-body": Case(b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\nhello", gives("304 b''")),
    "204-chunked": Case(
        b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        gives("204 b''"),
        gives("204 b'hello'"),
        "urllib3 reads the chunks of an answer that has no body",
    ),
    "205": Case(b"HTTP/1.1 205 R\r\nContent-Length: 5\r\n\r\nhello", gives("205 b'hello'")),
    # redirects
    "redir-none": Case(with_ok(MOVED), gives("302 b'ok'")),
    "redir-empty": Case(with_ok(MOVED + b"Location: \r\n"), gives("302 b'ok'")),
    "redir-mailto": Case(with_ok(MOVED + b"Location: mailto:a@b\r\n"), NO_SCHEME),
    "redir-js": Case(with_ok(MOVED + b"Location: javascript:alert(1)\r\n"), NO_SCHEME),
    "redir-file": Case(with_ok(MOVED + b"Location: file:///etc/passwd\r\n"), NO_SCHEME),
    "redir-port": Case(with_ok(MOVED + b"Location: http://127.0.0.1:99999/\r\n"), ("bad_response", "InvalidURL")),
    "redir-port0": Case(with_ok(MOVED + b"Location: http://127.0.0.1:0/\r\n"), UNREACHABLE),
    "redir-space": Case(
        with_ok(MOVED + b"Location: http://127.0.0.1 :80/\r\n"), ("bad_response", "InvalidURL"), REFUSED, NAMES
    ),
    "redir-bracket": Case(with_ok(MOVED + b"Location: http://[::1\r\n"), ("bad_response", "!ValueError")),
    "redir-latin": Case(with_ok(MOVED + b"Location: http://\xff\xfe/\r\n"), ("bad_response", "!UnicodeDecodeError")),
    "redir-nul": Case(with_ok(MOVED + b"Location: http://127.0.0.1:1/a\0b\r\n"), REFUSED, UNREACHABLE, NUL),
    "redir-refused": Case(with_ok(MOVED + b"Location: http://127.0.0.1:1/\r\n"), UNREACHABLE),
    "redir-two": Case(
        with_ok(MOVED + b"Location: http://127.0.0.1:1/\r\nLocation: /2\r\n"),
        REFUSED,
        UNREACHABLE,
        "libcurl refuses two places to go to",
    ),
    "redir-body-cut": Case(
        MOVED + b"Location: /good\r\nContent-Length: 20\r\n\r\nok", ("connection_lost", "200 b'good'")
    ),
    "redir-body-chunk": Case(
        MOVED + b"Location: /good\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok", ("bad_response", "200 b'good'")
    ),
    "redir-body-gzip": Case(
        with_ok(MOVED + b"Location: /good\r\nContent-Encoding: gzip\r\n"), ("bad_response", "200 b'good'")
    ),
    "redir-body-big": Case(
        MOVED + b"Location: /good\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2000000,
        ("body_too_large", "200 b'good'"),
    ),
    "redir-body-bomb": Case(
        MOVED + b"Location: /good\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
        ("body_too_large", "200 b'good'"),
    ),
}
