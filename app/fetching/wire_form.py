"""Wire form: a request as requests prepares it, in the form in which libcurl takes it. Pure.

The law: what goes over the wire is what urllib3 would send for the same request, but for the framing of a body
(Content-Length, Transfer-Encoding), which libcurl writes itself. libcurl's own additions are turned off by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import msgspec
from requests.exceptions import InvalidURL
from requests.utils import requote_uri
from urllib3._version import __version__ as urllib3_version
from urllib3.exceptions import LocationParseError
from urllib3.util import SKIP_HEADER, parse_url
from urllib3.util.request import SKIPPABLE_HEADERS

# What most URLs are made of: nothing here is rewritten by requests or urllib3, or read in two ways. No user, no
# fragment, no dot segments; of percent escapes those that have to be ones, in upper case; hosts in lower case that
# don't look like numbers.
_ESCAPE = r"%(?:[0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[BCDF])"
_PLAIN = re.compile(
    r"(https?)://((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z](?:[a-z0-9-]*[a-z0-9])?"
    r"|(?:(?:0|[1-9]\d?|1\d\d|2[0-4]\d|25[0-5])(?:\.(?!$)|(?=[:/]))){4})"
    r"(?::([1-9]\d{0,4}))?"
    rf"((?=/)(?:/(?!\.\.?(?:[/?]|\Z))|[A-Za-z0-9_~!$&'()*+,;=:@.-]|{_ESCAPE})*"
    rf"(?:\?(?:[A-Za-z0-9_~!$&'()*+,;=:@/?.-]|{_ESCAPE})+)?)",
)

# Most have no escapes and no part that begins with a dot, and their origins come again and again.
_PLAINEST_PATH = re.compile(r"/[A-Za-z0-9_~!$&'()*+,;=:@./-]*(?:\?[A-Za-z0-9_~!$&'()*+,;=:@/?.-]+)?")
_LONGEST_ORIGIN = 300

_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
_BODILESS = frozenset(("GET", "HEAD", "DELETE", "TRACE", "OPTIONS", "CONNECT"))  # urllib3's
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

# IPv6, or a last part that is a number (WHATWG URL, "ends in a number").
_ODD_ADDRESS = re.compile(r"^\[|(?:^|\.)(?:0[xX][0-9A-Fa-f]*|[0-9]+)\.?$")

# What urllib3 says where nobody says anything, and how it is told to say nothing.
_USER_AGENT = f"User-Agent: python-urllib3/{urllib3_version}".encode()
_SKIP = SKIP_HEADER.encode()
_SKIPPABLE = frozenset(name.encode() for name in SKIPPABLE_HEADERS)

# As http.client has them; and NUL, which it would send and libcurl can't.
_LEGAL_NAME = re.compile(rb"[^:\s][^:\r\n]*")
_ILLEGAL_IN_VALUE = re.compile(rb"\n(?![ \t])|\r(?![ \t\n])|\0")

Pairs = Iterable[tuple[str | bytes, Any]]


class Target(msgspec.Struct, frozen=True):
    """Where a request goes: `url` is absolute and ASCII, without user and fragment; IPv6 hosts are in brackets."""

    url: str
    scheme: str
    host: str
    port: int


def plain_target(url: str) -> Target | None:
    """The target of a URL that is in its canonical form already; None if it takes a closer look."""
    end = url.find("/", 8)
    if 0 < end <= _LONGEST_ORIGIN and _PLAINEST_PATH.fullmatch(url, end) is not None and "/." not in url:
        origin = _plain_origin(url[:end])
        return None if origin is None else Target(url, *origin)
    return _plain_target(url)


@lru_cache(maxsize=4096)
def _plain_origin(beginning: str) -> tuple[str, str, int] | None:
    target = _plain_target(f"{beginning}/")
    return None if target is None else (target.scheme, target.host, target.port)


def _plain_target(url: str) -> Target | None:
    found = _PLAIN.fullmatch(url)
    if found is None:
        return None
    scheme, host, digits, _ = found.groups()
    port = int(digits) if digits else _PORTS[scheme]
    return Target(url, scheme, host, port) if port <= _LAST_PORT else None


def target_of(url: str) -> Target:
    """The target of a URL as requests prepares it. Raises InvalidURL."""
    try:
        parts = parse_url(url)
    except LocationParseError as error:
        raise InvalidURL(*error.args) from None
    scheme = (parts.scheme or "").lower()
    if not parts.host or scheme not in _PORTS:
        raise InvalidURL(f"{url[:200]!r} is no http or https URL")
    host, port = parts.host.lower(), parts.port or _PORTS[scheme]
    given = urlsplit(url)
    # As requests' path_url and urllib3 make it: no dot segment is taken out that has come through so far.
    path = requote_uri(f"{given.path or '/'}?{given.query}" if given.query else given.path or "/")
    return Target(f"{scheme}://{host}{'' if parts.port is None else f':{port}'}{path}", scheme, host, port)


def check_method(method: str, *, has_body: bool) -> None:
    """Raises ValueError as http.client does for what is no token (RFC 9110 section 5.6.2), and for HEAD with a body:
    libcurl would wait for a body in the answer too. It has no meaning (RFC 9110 section 9.3.2).
    """
    if has_body and method == "HEAD":
        raise ValueError("HEAD can't be sent with a body")
    if method not in _METHODS and not _TOKEN.fullmatch(method):
        raise ValueError(f"Method cannot contain non-token characters {method!r}")


def wire_body(method: str, announced_length: object, body: Any) -> bytes | None:
    """The body as it is sent, None for none at all: a body that is not there is announced as an empty one, as urllib3
    does, where the method leads to expect one (RFC 9110 section 8.6), or the request says so itself.

    announced_length  the request's own Content-Length header
    """
    if body is None:
        is_announced = announced_length == "0" and method not in ("GET", "HEAD")
        return b"" if is_announced or method.upper() not in _BODILESS else None
    return body.encode() if isinstance(body, str) else bytes(body)


def host_line(target: Target, headers: Iterable[str]) -> list[bytes]:
    """The Host header for a host that libcurl would write otherwise, if none is among `headers`: it takes whatever
    looks like an address for one, and writes it in its usual form. The root's dot is left out, as http.client does.
    """
    if not _is_odd(target.host):
        return []
    if any(name.lower() == "host" for name in headers):
        return []
    port = "" if target.port == _PORTS[target.scheme] else f":{target.port}"
    return [f"Host: {target.host.rstrip('.')}{port}".encode()]


@lru_cache(maxsize=4096)
def _is_odd(host: str) -> bool:
    if _plain_origin(f"http://{host}") is not None:
        # Among others an address in its usual form.
        return False
    return host.endswith(".") or _ODD_ADDRESS.search(host) is not None


def kept_lines(headers: Pairs, *, has_body: bool) -> list[bytes]:
    """As `header_lines`. The same list for the same headers: not to be changed."""
    pairs = tuple(headers)
    for _, value in pairs:
        # Of others some can't be kept, and some are equal to what is sent otherwise: 1 and True.
        if type(value) is not str and type(value) is not bytes:
            return header_lines(pairs, has_body=has_body)
    return _kept_lines(pairs, has_body)


@lru_cache(maxsize=256)
def _kept_lines(pairs: tuple[tuple[str | bytes, Any], ...], has_body: bool) -> list[bytes]:
    return header_lines(pairs, has_body=has_body)


def header_lines(headers: Pairs, *, has_body: bool) -> list[bytes]:
    """Lines for CURLOPT_HTTPHEADER(3), in the order in which urllib3 sends them.

    Whoever changes a prepared request can put anything there. Raises what http.client does: UnicodeEncodeError for a
    name beyond ASCII or a value beyond latin-1, ValueError for one that would end its line (or has a NUL), TypeError
    for a value that is no text, no bytes and no whole number.
    """
    lines: list[bytes] = []
    names: set[bytes] = set()
    for name, value in headers:
        raw_name, raw_value = _wire_name(name), _wire_value(value)
        lower = raw_name.lower()
        names.add(lower)
        if has_body and lower in (b"content-length", b"transfer-encoding"):
            continue
        if raw_value == _SKIP and lower in _SKIPPABLE:
            lines.append(raw_name + b":")
            continue
        # With a semicolon libcurl sends an empty header; with a colon it would send none.
        lines.append(raw_name + b": " + raw_value if raw_value.strip() else raw_name + b";")
    if b"user-agent" not in names:
        lines.insert(0, _USER_AGENT)
    if b"accept-encoding" not in names:
        # As http.client says it: no coding was asked for, so none should come.
        lines.insert(0, b"Accept-Encoding: identity")
    if b"accept" not in names:
        lines.append(b"Accept:")
    if has_body and b"expect" not in names:
        lines.append(b"Expect:")
    return lines


def _wire_name(name: str | bytes) -> bytes:
    raw = name.encode("ascii") if isinstance(name, str) else name
    if not _LEGAL_NAME.fullmatch(raw):
        raise ValueError(f"Invalid header name {raw!r}")
    return raw


def _wire_value(value: object) -> bytes:
    if isinstance(value, str):
        raw = value.encode("latin-1")
    elif isinstance(value, int):
        raw = str(value).encode("ascii")
    elif isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value)
    else:
        raise TypeError(f"expected string or bytes-like object, got {type(value).__name__!r}")
    if _ILLEGAL_IN_VALUE.search(raw):
        raise ValueError(f"Invalid header value {raw!r}")
    return raw
