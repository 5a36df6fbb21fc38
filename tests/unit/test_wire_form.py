# ruff: noqa: RUF005 - a long list of examples is laid out by hand

from __future__ import annotations

from http.client import HTTPConnection
from typing import Any

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import SKIP_HEADER, parse_url

from app.fetching.wire_form import Target, check_method, header_lines, host_line, kept_lines, plain_target, target_of

_PIECES = st.sampled_from(
    [
        "http",
        "https",
        "HTTP",
        "://",
        "a",
        "b-c",
        "-",
        ".",
        "..",
        "/",
        "//",
        "?",
        "#",
        "@",
        ":",
        "80",
        "443",
        "0",
        "65536",
    ]
    + [
        "127",
        "1.2.3.4",
        "256",
        "0x7f",
        "%",
        "%41",
        "%2e",
        "%2F",
        "%7E",
        "%E4",
        "%e4",
        "é",
        " ",
        "&",
        "=",
        "[",
        "]",
        "\\",
    ]
    + ["\n", "\t", "_", "~", ";", "+", "'", '"', "|", "*", "xn--a", "[::1]", "A"]
)
_LIKE_URLS = st.one_of(
    st.lists(_PIECES, max_size=10).map(lambda pieces: "http://a" + "".join(pieces)),
    st.lists(_PIECES, max_size=10).map("".join),
    st.lists(_PIECES, max_size=6).map(lambda pieces: "https://h.test:8080/" + "".join(pieces)),
    st.text(max_size=20).map(lambda text: "http://h/" + text),
)


@given(_LIKE_URLS)
@example("http://a/?")
@example("http://a/b/..")
@example("http://a/b/.?x")
@example("http://1.2.3.4/")
@example("http://a:65536/")
@example("http://a/%2e%2e/")
def test_a_url_taken_for_plain_is_what_requests_and_urllib3_make_of_it(url: str) -> None:
    target = plain_target(url)
    if target is None:
        return
    prepared = requests.PreparedRequest()
    prepared.prepare_url(url, {})
    assert prepared.url == url
    parts = parse_url(url)
    assert target == Target(
        url, parts.scheme or "", parts.host or "", parts.port or {"http": 80, "https": 443}[target.scheme]
    )
    assert target == target_of(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://a.b-c.example:8443/x/y.html?q=1&r=a/b",
        "http://127.0.0.1:80/",
        "http://h/a/.well-known/x",
        "http://h/...",
        "http://h/%C3%A4?x=%20",
    ],
)
def test_usual_urls_are_plain(url: str) -> None:
    assert plain_target(url) is not None


@pytest.mark.parametrize(
    ("url", "wire_url", "host", "port"),
    [
        ("http://u:p@h/a#f", "http://h/a", "h", 80),
        ("https://h:443/?#f", "https://h:443/", "h", 443),
        ("http://[::1]:81/", "http://[::1]:81/", "[::1]", 81),
        ("HTTP://H/../a", "http://h/../a", "h", 80),
        ("http://h/ü?ü", "http://h/%C3%BC?%C3%BC", "h", 80),
    ],
)
def test_target_of(url: str, wire_url: str, host: str, port: int) -> None:
    target = target_of(url)
    assert (target.url, target.host, target.port) == (wire_url, host, port)


@pytest.mark.parametrize("url", ["", "http://", "ftp://h/", "/x", "http://h:99999/", "http://[bad/"])
def test_what_leads_nowhere(url: str) -> None:
    with pytest.raises(requests.exceptions.InvalidURL):
        target_of(url)


def test_header_lines_say_what_urllib3_says_and_turn_off_what_libcurl_adds() -> None:
    lines = header_lines([("X-A", "1"), (b"X-B", b"\xe4"), ("X-Empty", " ")], has_body=True)
    assert lines[0] == b"Accept-Encoding: identity"
    assert lines[1].startswith(b"User-Agent: python-urllib3/")
    assert lines[2:] == [b"X-A: 1", b"X-B: \xe4", b"X-Empty;", b"Accept:", b"Expect:"]


def test_header_lines_leave_framing_to_libcurl_and_the_rest_to_the_caller() -> None:
    given_ = [
        ("user-agent", SKIP_HEADER),
        ("ACCEPT", "a"),
        ("accept-encoding", "b"),
        ("Content-Length", "3"),
        ("expect", "c"),
    ]
    assert header_lines(given_, has_body=True) == [b"user-agent:", b"ACCEPT: a", b"accept-encoding: b", b"expect: c"]
    assert b"Content-Length: 3" in header_lines(given_, has_body=False)


def test_lines_are_kept_by_what_they_are_made_of() -> None:
    one = kept_lines([("X-A", "1")], has_body=False)
    assert one is kept_lines([("X-A", "1")], has_body=False)
    assert one == header_lines([("X-A", "1")], has_body=False)
    assert kept_lines([("X-A", "1")], has_body=True) == header_lines([("X-A", "1")], has_body=True)
    assert kept_lines([("x-a", "1")], has_body=False) == header_lines([("x-a", "1")], has_body=False)


def test_values_that_are_equal_and_sent_otherwise_are_not_taken_for_each_other() -> None:
    assert [kept_lines([("X-A", value)], has_body=True)[2] for value in (1, True)] == [b"X-A: 1", b"X-A: True"]
    with pytest.raises(TypeError):
        kept_lines([("X-A", 1.0)], has_body=True)
    assert kept_lines([("X-A", bytearray(b"a"))], has_body=True)[2] == b"X-A: a"


_CHARACTERS = st.text(st.sampled_from("aZ-: \t\r\n\x0b\x85\xe4\u2713"), max_size=4)
_ODD = st.sampled_from([None, 1.5, ["a"], ("a",), {}, object])


class _Sent:
    """In place of a socket."""

    def __init__(self) -> None:
        self.data = b""

    def sendall(self, data: bytes) -> None:
        self.data += data


def _said_by_http_client(name: Any, value: Any) -> list[bytes] | str:
    """The lines that urllib3 would send through http.client, or how that fails."""
    connection = HTTPConnection("h.test")
    connection.sock = sent = _Sent()
    connection.putrequest("GET", "/", skip_host=True, skip_accept_encoding=True)
    try:
        connection.putheader(name, value)
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    connection.endheaders()
    return sent.data.removesuffix(b"\r\n\r\n").split(b"\r\n", 1)[1:]


@given(
    name=_CHARACTERS | _CHARACTERS.map(str.encode),
    value=_CHARACTERS | _CHARACTERS.map(str.encode) | st.integers() | st.booleans() | _ODD,
)
@example(name="X-A", value="a\r\nX-B: b")
@example(name="X-A", value=b"a\nb")
@example(name="X-A\r\nX-B", value="b")
@example(name="X-A", value="a\r\n folded")
@example(name="X-A", value=7)
@example(name="X-A", value=None)
def test_a_header_is_sent_or_refused_as_http_client_does(name: Any, value: Any) -> None:
    try:
        _, _, line, _, _ = header_lines([(name, value)], has_body=True)
    except (TypeError, ValueError) as error:
        ours: list[bytes] | str = f"{type(error).__name__}: {error}"
    else:
        ours = [line]
    theirs = _said_by_http_client(name, value)
    if isinstance(theirs, list) and isinstance(ours, list) and ours[0].endswith(b";"):
        # As libcurl is told of a header with an empty value.
        assert (ours[0][:-1], theirs[0].strip()[-1:]) == (theirs[0].rpartition(b": ")[0], b":")
    else:
        assert ours == theirs


def test_a_nul_is_refused_since_libcurl_can_not_send_it() -> None:
    with pytest.raises(ValueError, match="Invalid header value"):
        header_lines([("X-A", "a\0b")], has_body=False)


@pytest.mark.parametrize(
    ("url", "lines"),
    [
        ("http://0x7f.1:81/", [b"Host: 0x7f.1:81"]),
        ("http://[::ffff:1.2.3.4]/", [b"Host: [::ffff:1.2.3.4]"]),
        ("http://h.test.:80/", [b"Host: h.test"]),
        ("http://h.test/", []),
        ("http://127.0.0.1:81/", []),
    ],
)
def test_host_line(url: str, lines: list[bytes]) -> None:
    assert host_line(target_of(url), []) == lines
    assert host_line(target_of(url), ["HOST"]) == []


@pytest.mark.parametrize("method", ["G T", "GET\r\nX: y", "GÉT", "", "\x00"])
def test_a_method_that_is_no_token(method: str) -> None:
    with pytest.raises(ValueError, match="token"):
        check_method(method, has_body=False)


def test_head_has_no_body() -> None:
    check_method("HEAD", has_body=False)
    with pytest.raises(ValueError, match="HEAD"):
        check_method("HEAD", has_body=True)
