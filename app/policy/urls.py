"""Which URLs can be fetched at all, and to which origin they belong. Pure: no name is looked up here.

Only what can be told from the text is decided: scheme, host, port, forbidden characters. Whether an
address may be contacted is never read off the text of a URL.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from app.errors import InvalidRequest
from app.model.origin import Origin
from app.model.outcome import ErrorKind

__all__ = ["Origin", "origin_of", "read_closely"]

_LAST_PORT = 65_535

_DEFAULT_PORTS = {"http": 80, "https": 443}

# Longer ones are refused by common servers long before; RFC 9110 section 4.1 asks for 8,000 at least.
_MAX_URL_CHARACTERS = 65_536

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f]")

# How most URLs begin, up to their path. The standard library, which takes several times as long, has nothing to add.
_USUAL = re.compile(r"(https?)://([a-z0-9.-]+)(?::([0-9]{1,5}))?")
_LONGEST_USUAL = 300


def origin_of(url: str) -> Origin:
    """The origin of an absolute http or https URL.

    Raises InvalidRequest of kind UNSUPPORTED_SCHEME for another scheme, INVALID_REQUEST for what is no URL.
    """
    end = url.find("/", 8)
    if 0 < end <= _LONGEST_USUAL and len(url) <= _MAX_URL_CHARACTERS and url.isprintable() and " " not in url:
        origin = _usual_origin(url[:end])
        if origin is not None:
            return origin
    return read_closely(url)


def read_closely(url: str) -> Origin:
    """As `origin_of`, by the standard library's reading."""
    if not url:
        raise InvalidRequest("the URL is empty")
    if len(url) > _MAX_URL_CHARACTERS:
        raise InvalidRequest(f"the URL is longer than {_MAX_URL_CHARACTERS:,} characters")
    if _FORBIDDEN.search(url):
        raise InvalidRequest("the URL has a space or a control character in it; percent-encode it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidRequest(f"not a URL: {error}") from None
    scheme = _scheme(parts)
    host = parts.hostname
    if not host:
        raise InvalidRequest("the URL names no host")
    return Origin(scheme, _checked(host), _DEFAULT_PORTS[scheme] if port is None else port)


@lru_cache(maxsize=4096)
def _usual_origin(beginning: str) -> Origin | None:
    usual = _USUAL.fullmatch(beginning)
    if usual is None:
        return None
    scheme, host, digits = usual.groups()
    port = int(digits) if digits else _DEFAULT_PORTS[scheme]
    return Origin(scheme, _checked(host), port) if port <= _LAST_PORT else None


def _scheme(parts: SplitResult) -> str:
    if parts.scheme in _DEFAULT_PORTS:
        return parts.scheme
    if not parts.scheme or not parts.netloc:
        raise InvalidRequest("not an absolute URL; it should begin with http:// or https://")
    raise InvalidRequest(
        f"scheme {parts.scheme!r} is not supported, only http and https are", ErrorKind.UNSUPPORTED_SCHEME
    )


def _checked(host: str) -> str:
    # RFC 1035 section 2.3.4; a trailing dot is the root's empty label.
    labels = host.removesuffix(".").split(".")
    if ":" not in host and not all(1 <= len(label) <= 63 for label in labels):
        raise InvalidRequest("the host has a part that is empty or longer than 63 characters")
    return host
