"""Random calls of requests' Session, and the answers that their servers give."""

# ruff: noqa: RUF005 - long lists of examples are laid out by hand

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests
from hypothesis import strategies as st
from requests.cookies import create_cookie

from tests.support.mirror import Reply


@dataclass(frozen=True)
class Recipe:
    """How something is made anew for each way: files, generators and hooks are used up."""

    name: str
    make: Callable[[], Any] = field(compare=False, repr=False)

    def __repr__(self) -> str:
        return self.name


@dataclass
class Case:
    session: dict[str, Any]
    method: Any
    url: Any
    options: dict[str, Any]
    replies: list[Reply]
    way: str = "request"
    times: int = 1


def constant(value: Any) -> Recipe:
    return Recipe(repr(value), lambda: value)


class _Stepping(requests.auth.AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["X-Signed"] = f"{request.method} {request.url} {type(request.body).__name__}"
        return request


_TOKENS = st.text("abcXYZ019-", min_size=1, max_size=6)

_TEXT = st.text(st.characters(exclude_categories=("Cs",), max_codepoint=0x2FFF), max_size=8)

_HOSTS = st.sampled_from(
    ["127.0.0.1"] * 6
    + ["localhost", "LocalHost", "a.example.test", "b.example.test", "EXAMPLE.test", "example.test.", "127.1"]
    + ["2130706433", "0x7f.1", "münchen.test", "xn--mnchen-3ya.test", "nowhere.invalid", "[::ffff:127.0.0.1]"]
    + ["a_b.test", "*.test", ".test", "user:pa%20ss@127.0.0.1", "@127.0.0.1", "user@example.test"]
)

_PATHS = st.one_of(
    st.just("/"),
    st.sampled_from(
        ["", "/a/b", "/a/./b", "/a/../b", "/..", "/a/..", "/.a/..b/c..", "//a//b", "/a;p=1", "/a b", "/%41%7e%2f%2F"]
        + ["/%zz%", "/é/ü?ö=ß", "/a?b=c&d", "/a?", "/?a=/../b", "/a#frag", "#top", "/a?b#c?d", '/a|b"<>^`{}', "/a\\b"]
        + ["/a%20b?c%20d=%E4", "/[x]?y[]=1", "/~u/$&'()*+,;=:@", "/\x7f\x01", "/a\tb", "?q=1", "/a\nb", " "]
        + ["/.well-known/x", "/b/.c.d", "/...", "/a%2e%2e/b", "/%2E%2e/b"]
    ),
    st.builds(lambda text: "/" + text, _TEXT),
)


@st.composite
def _urls(draw: st.DrawFn, port: int) -> str:
    scheme = draw(st.sampled_from(["http"] * 12 + ["HTTP", " http", "ftp", "httpx", ""]))
    return f"{scheme}://{draw(_HOSTS)}:{port}{draw(_PATHS)}"


_HEADER_NAMES = st.sampled_from(
    ["Accept", "ACCEPT", "accept-encoding", "User-Agent", "user-agent", "X-A", "x-a", "X-B", "Cookie", "Host"]
    + ["Authorization", "Content-Type", "content-type", "Connection", "Referer", "Expect", "Proxy-Authorization"]
)

_HEADER_VALUES = st.one_of(
    st.sampled_from(
        ["v", "", None, "a, b", "tail ", "gzip", "text/html", "a=b; c=d", "käse", b"bytes", b"", "x" * 300]
    ),
    st.sampled_from(["✓", " lead", "a\nb", "a\r\n b", 5, b"b\xff", b" x", ["v"]]),
)

_HEADERS = st.dictionaries(_HEADER_NAMES, _HEADER_VALUES, max_size=3)

_CALL_HEADERS = st.one_of(
    st.none(),
    _HEADERS,
    _HEADERS,
    st.sampled_from([{}, [], {b"X-Bytes": "1"}, {"X-A": "1", "x-a": "2"}, [("X-A", "1")], {"": "x"}, {"a b": "c"}]),
)

_COOKIE_DOMAINS = ["", "127.0.0.1", "example.test", ".example.test", "a.example.test", "localhost.local", "other.test"]

_COOKIES = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["a", "b", "c"]),
        "value": st.sampled_from(["1", "2", "", '"q"', "ä", "x y", "a;b"]),
        "domain": st.sampled_from(_COOKIE_DOMAINS),
        "path": st.sampled_from(["/", "/", "/a", "/a/", "/a/b", "/next"]),
        "secure": st.sampled_from([False, False, True]),
        "expires": st.sampled_from([None, None, 0, 1_000_000, 4_000_000_000]),
    }
)


def _jar(cookies: list[dict[str, Any]]) -> requests.cookies.RequestsCookieJar:
    jar = requests.cookies.RequestsCookieJar()
    for cookie in cookies:
        jar.set_cookie(create_cookie(**cookie))
    return jar


_CALL_COOKIES = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(["a", "b", "z"]), st.sampled_from(["9", "", "ü"]), max_size=2).map(constant),
    st.lists(_COOKIES, max_size=2).map(lambda cookies: Recipe(f"jar {cookies}", lambda: _jar(cookies))),
    st.sampled_from([constant([("a", "1")]), constant("a=1")]),
)

_BODIES = st.one_of(
    st.sampled_from(["text", "", "käse ✓", b"bytes", b"", bytearray(b"array"), {}, {"a": "1", "b": ["2", "3"]}]).map(
        constant
    ),
    st.sampled_from(
        [{"ä": "ü ✓&="}, {"a": None}, {"a": 1, 2: b"x"}, [("a", "1"), ("a", "2")], [("a", ["1", "2"])], (("a", "b"),)]
    ).map(constant),
    st.sampled_from([[1, 2], ["ab"], 5, 0, [("a", [["x", "y"]])], {"a": {"b": "c"}}]).map(constant),
    st.binary(max_size=40).map(constant),
    st.sampled_from(
        [
            Recipe("file", lambda: io.BytesIO(b"of a file")),
            Recipe("file, half read", lambda: _seeked(io.BytesIO(b"of a file"), 3)),
            Recipe("empty file", lambda: io.BytesIO(b"")),
            Recipe("generator", lambda: (piece for piece in (b"a", b"bc", b""))),
            Recipe("text file", lambda: io.StringIO("of text")),
        ]
    ),
)


def _seeked(file: io.BytesIO, place: int) -> io.BytesIO:
    file.seek(place)
    return file


_JSON = st.sampled_from([{}, {"a": [1, None, True]}, [], "ä", 0, float("nan"), {1, 2}, {"k": "✓"}])

_PARAMS = st.sampled_from(
    [None, {}, {"a": "1"}, {"a": ["1", "2"], "b": None}, {"ä": "ö ü"}, [("x", "1"), ("x", "2")], "raw=1 2", b"raw=%zz"]
    + [{"a": 1, b"b": b"\xff"}, "", (("t", "u"),), {"a b": "c&d=/?#"}, 5, {"a": "~-._!*'()"}]
)

_METHODS = st.sampled_from(
    ["GET"] * 8
    + ["POST"] * 5
    + ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "pOsT", "QUERY", "ODD-1", b"GET", "G T", "GÉT", None, "M\n"]
)

_TIMEOUTS = st.sampled_from(
    [None, None, 20, 20.5, (20, 20), (None, 20), (20, None), 0, -1, "x", (1, 2, 3), (), True, [20, 20], ("a", 1)]
)

_AUTHS = st.sampled_from([("u", "p"), ("ü", "ß"), ["u", "p"], _Stepping(), ("only",), ()])

_FILES = st.sampled_from(
    [
        Recipe("files", lambda: {"f": ("name.txt", io.BytesIO(b"content"), "text/plain", {"X-P": "1"})}),
        Recipe("files of bytes", lambda: {"f": b"content"}),
    ]
)


def _replacing(response: requests.Response, **_: Any) -> requests.Response:
    response.reason = "Hooked"
    return response


def _marking(response: requests.Response, **_: Any) -> None:
    response.headers["X-Hooked"] = "yes"


_HOOKS = st.sampled_from(
    [{"response": _marking}, {"response": [_marking, _replacing]}, {}, {"other": _marking}, {"response": []}]
)

_SET_COOKIES = st.sampled_from(
    ["a=1", "a=2; Path=/", "b=3; Domain=example.test; Path=/", "c=4; Max-Age=0", "d=5; Secure", "e=6; Path=/a", "a="]
    + [
        "f=7; Expires=Wed, 01 Jan 2096 00:00:00 GMT",
        "g=8; Domain=other.test",
        "h; HttpOnly",
        'i="q;r"',
        "j=9; Expires=x",
    ]
    + ["a=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/", "k=\xe4", "l=1; Version=1; Port"]
)

_ANSWER_HEADERS = st.one_of(
    st.tuples(st.sampled_from(["Set-Cookie", "set-cookie"]), _SET_COOKIES),
    st.sampled_from(
        [
            ("Content-Type", "text/html"),
            ("Content-Type", "text/plain; charset=iso-8859-2"),
            ("Content-Type", "application/json"),
        ]
        + [("Link", '<http://a.test/>; rel="next", <b>; rel=prev'), ("X-Twice", "1"), ("x-twice", "2"), ("X-Empty", "")]
        + [("X-Latin", "k\xe4se"), ("Content-Type", "text/html; charset=no-such"), ("Vary", "a"), ("X-Tail", "t  ")]
        + [("Connection", "close"), ("Refresh", "0"), ("WWW-Authenticate", "Basic")]
    ),
)


def _gzipped(body: bytes) -> bytes:
    import gzip

    return gzip.compress(body, mtime=0)


@st.composite
def _replies(draw: st.DrawFn, port: int, *, is_redirect: bool) -> Reply:
    headers = draw(st.lists(_ANSWER_HEADERS, max_size=3))
    body = draw(st.sampled_from([b"", b"body", '{"a": "ü"}'.encode(), b"\xff\xfe\x00", b"xyz " * 5_000, b"l1\nl2\r\n"]))
    coding = draw(st.sampled_from([None] * 5 + ["gzip", "bad gzip", "unknown", "deflate, gzip"]))
    if coding == "gzip":
        body = _gzipped(body)
    if coding is not None:
        headers.append(("Content-Encoding", coding.removeprefix("bad ")))
    status = draw(st.sampled_from([200, 200, 200, 201, 204, 304, 404, 500, 299, 304]))
    if is_redirect:
        status = draw(st.sampled_from([301, 302, 303, 307, 308, 300, 304]))
        location = draw(
            st.one_of(
                st.sampled_from(
                    ["/next", "next", "../up", "?q", "#f", "", "//a.example.test:PORT/x", "/a b", "/%41%zz", "/a#own"]
                    + ["http://b.example.test:PORT/y", "http://127.0.0.1:PORT/z#g", "HTTP://LOCALHOST:PORT", "/caf\xe9"]
                    + [
                        "/caf\xc3\xa9",
                        "ftp://x.test/",
                        "mailto:a@b",
                        "http://",
                        "http://nowhere.invalid:PORT/",
                        "/a/../b",
                    ]
                    + ["http://u:p@127.0.0.1:PORT/auth", "http:///nohost", "https://127.0.0.1:PORT/tls", "http://[bad/"]
                    + ["/x;y?z=1&w=a b", "http://a:PORT:1/"]
                ),
                st.just("/again"),
            )
        )
        headers.append(("Location", location.replace("PORT", str(port))))
    how = draw(
        st.sampled_from(
            ["plain"] * 7 + ["chunked", "old"] + ["cut", "cut chunked"] * (coding is None and not is_redirect)
        )
    )
    return Reply(
        status,
        headers,
        body,
        draw(st.sampled_from(["Fine", "Two words", "", "Gr\xfc\xdfe"])),
        "HTTP/1.0" if how == "old" else "HTTP/1.1",
        is_chunked="chunked" in how,
        is_cut="cut" in how,
    )


@st.composite
def cases(draw: st.DrawFn, port: int) -> Case:
    session: dict[str, Any] = {}

    def sometimes(place: dict[str, Any], name: str, strategy: st.SearchStrategy[Any], one_in: int) -> None:
        if draw(st.integers(1, one_in)) == 1:
            place[name] = draw(strategy)

    sometimes(session, "headers", _HEADERS, 3)
    sometimes(session, "cookies", st.lists(_COOKIES, max_size=4), 3)
    sometimes(session, "auth", _AUTHS, 20)
    sometimes(session, "params", st.sampled_from([{"s": "1"}, {"a": "0", "s": None}]), 20)
    sometimes(session, "hooks", _HOOKS, 20)
    sometimes(session, "max_redirects", st.sampled_from([0, 1, 2]), 8)
    sometimes(session, "trust_env", st.just(False), 5)
    sometimes(session, "stream", st.just(True), 20)
    sometimes(session, "verify", st.sampled_from([False, None]), 20)
    options: dict[str, Any] = {}
    sometimes(options, "headers", _CALL_HEADERS, 2)
    sometimes(options, "cookies", _CALL_COOKIES, 4)
    sometimes(options, "params", _PARAMS, 3)
    sometimes(options, "timeout", _TIMEOUTS, 3)
    sometimes(options, "allow_redirects", st.sampled_from([True, False, False, None, 1]), 3)
    sometimes(options, "auth", _AUTHS, 15)
    sometimes(options, "hooks", _HOOKS, 15)
    sometimes(options, "stream", st.sampled_from([True, False, None]), 12)
    sometimes(options, "verify", st.sampled_from([True, False, None]), 15)
    sometimes(options, "proxies", st.sampled_from([{}, None]), 15)
    sometimes(options, "no_such_option", st.none(), 60)
    method = draw(_METHODS)
    if method not in ("GET", "HEAD", "get") or (method != "HEAD" and draw(st.integers(1, 8)) == 1):
        sometimes(options, "data", _BODIES, 2)
        sometimes(options, "json", _JSON, 4)
        sometimes(options, "files", _FILES, 15)
    hops = draw(st.sampled_from([0, 0, 0, 1, 1, 2, 3]))
    replies = [draw(_replies(port, is_redirect=True)) for _ in range(hops)]
    if not hops or draw(st.integers(1, 8)) > 1:
        replies.append(draw(_replies(port, is_redirect=False)))
    url: Any = draw(_urls(port))
    if draw(st.integers(1, 30)) == 1:
        url = draw(
            st.sampled_from([b"http://127.0.0.1:%d/bytes" % port, 5, None, "", "/relative", "//x", "http://", "http:x"])
        )
    way = draw(st.sampled_from(["request", "request", "send"]))
    return Case(session, method, url, options, replies, way, draw(st.sampled_from([1, 1, 2])))
