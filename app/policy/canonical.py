"""Canonical: one spelling for URLs that are the same request. Pure.

By RFC 3986 sections 6.2.2 and 6.2.3 only: case of scheme and host, percent-encodings, dot segments, the default port,
an empty path. The order of a query's parts is left as it is, since servers may tell one from another. The fragment is
not sent, so it does not count.
"""

from __future__ import annotations

import re
import string
from urllib.parse import quote, unquote_to_bytes, urlsplit

# How most URLs look that are canonical already: no port, no percent sign, no segment that begins with a dot.
_USUAL = re.compile(r"https?://[a-z0-9.-]+/(?![.])(?:[A-Za-z0-9_~!$&'()*+,;=:@?.-]|/(?![.]))*")

_DEFAULT_PORTS = {"http": 80, "https": 443}

_UNRESERVED = frozenset((string.ascii_letters + string.digits + "-._~").encode())
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
# Where a percent sign escapes nothing, requests takes all of them for characters: then no escape may be undone.
_STRAY = re.compile(r"%(?![0-9A-Fa-f]{2})")
# All that may stand in a URL as it is, and the percent sign itself.
_LEFT_ALONE = "%!$&'()*+,;=:@/?[]~"


def canonical_url(url: str) -> str:
    """The spelling that stands for `url`; what is no URL is its own.

    url  absolute, without space around it
    """
    if _USUAL.fullmatch(url):
        return url
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
    except ValueError:
        return url
    if parts.scheme not in _DEFAULT_PORTS or not host:
        return url
    user, at, _ = parts.netloc.rpartition("@")
    authority = f"{user}{at}[{host}]" if ":" in host else f"{user}{at}{host}"
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        authority += f":{port}"
    spell = _quoted if _STRAY.search(url) else _unescaped
    path = _without_dots(spell(parts.path)) or "/"
    # A question mark with nothing behind it is sent, and is another URL than one without.
    has_query = "?" in url.partition("#")[0]
    return f"{parts.scheme}://{authority}{path}" + (f"?{spell(parts.query)}" if has_query else "")


def _quoted(text: str) -> str:
    return quote(text, safe=_LEFT_ALONE, errors="replace")


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_one_escape, _quoted(text))


def _one_escape(found: re.Match[str]) -> str:
    (byte,) = unquote_to_bytes(found[0])
    return chr(byte) if byte in _UNRESERVED else found[0].upper()


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4, for a path that is absolute or empty."""
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
