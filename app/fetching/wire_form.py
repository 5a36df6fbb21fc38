"""Wire form: a request as requests prepares it, in the form in which libcurl takes it. Pure.

The law: what goes over the wire is what urllib3 would send for the same request, but for the framing of a body
(Content-Length, Transfer-Encoding), which libcurl writes itself. libcurl's own additions are turned off by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from requests.exceptions import InvalidURL
from requests.utils import requote_uri
from urllib3.exceptions import LocationParseError
from urllib3.util import SKIP_HEADER, parse_url

# What most URLs are made of: nothing here is rewritten by requests or urllib3, or read in two ways. No user, no
# fragment, no percent sign, no dot segments; hosts in lower case that don't look like numbers.
_PLAIN = re.compile(
    r"(https?)://((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z](?:[a-z0-9-]*[a-z0-9])?"
    r"|(?:(?:0|[1-9]\d?|1\d\d|2[0-4]\d|25[0-5])(?:\.(?!$)|(?=[:/]))){4})"
    r"(?::([1-9]\d{0,4}))?"
    r"(/(?:[A-Za-z0-9_~!$&'()*+,;=:@-]|(?<!/)\.|(?<=/)/*\.(?=[A-Za-z0-9_~-])|/(?!\.))*(?:\?[A-Za-z0-9_~!$&'()*+,;=:@/?.-]*)?)",
)

# urllib3's word for a header that is not to be sent, where it would send one by itself.
_SKIP = SKIP_HEADER.encode()

_PORTS = {"http": 80, "https": 443}

Pairs = Iterable[tuple[str | bytes, str | bytes]]


class Target(NamedTuple):
    """Where a request goes: `url` is absolute and ASCII, without user and fragment; IPv6 hosts are in brackets."""

    url: str
    scheme: str
    host: str
    port: int


def plain_target(url: str) -> Target | None:
    """The target of a URL that is in its canonical form already; None if it takes a closer look."""
    found = _PLAIN.fullmatch(url)
    if found is None:
        return None
    scheme, host, port, _ = found.groups()
    return Target(url, scheme, host, int(port) if port else _PORTS[scheme])


def target_of(url: str) -> Target:
    """The target of a URL as requests prepares it. Raises InvalidURL."""
    try:
        parts = parse_url(url)
    except LocationParseError as error:
        raise InvalidURL(*error.args) from None
    scheme = (parts.scheme or "").lower()
    if not parts.host or scheme not in _PORTS:
        raise InvalidURL(f"{url[:200]!r} is no http or https URL")
    clean = parts._replace(auth=None, fragment=None, scheme=scheme).url
    if not clean.isascii():
        clean = requote_uri(clean)
    return Target(clean, scheme, parts.host.lower(), parts.port or _PORTS[scheme])


def header_lines(headers: Pairs, *, has_body: bool) -> list[bytes]:
    """Lines for CURLOPT_HTTPHEADER(3). Raises UnicodeEncodeError for what is beyond latin-1, as http.client does."""
    lines: list[bytes] = []
    names: set[bytes] = set()
    for name, value in headers:
        raw_name = name.encode("latin-1") if isinstance(name, str) else name
        raw_value = value.encode("latin-1") if isinstance(value, str) else value
        lower = raw_name.lower()
        names.add(lower)
        if has_body and lower in (b"content-length", b"transfer-encoding"):
            continue
        if raw_value == _SKIP:
            lines.append(raw_name + b":")
            continue
        # With a semicolon libcurl sends an empty header; with a colon it would send none.
        lines.append(raw_name + b": " + raw_value if raw_value.strip() else raw_name + b";")
    if b"accept" not in names:
        lines.append(b"Accept:")
    if b"user-agent" not in names:
        # libcurl would name itself.
        lines.append(b"User-Agent:")
    if b"accept-encoding" not in names:
        # As http.client says it: no coding was asked for, so none should come.
        lines.append(b"Accept-Encoding: identity")
    if has_body and b"expect" not in names:
        lines.append(b"Expect:")
    return lines
