"""Hostile heads: status lines, header lines, their sizes, interim answers, redirects."""

from __future__ import annotations

from tests.support.hostile.case import (
    BOMB,
    INTERIM,
    MOVED,
    NAMES,
    NUL,
    OK,
    Case,
    G,
    cl,
    headers,
)

HEADS: dict[str, Case] = {
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
