"""Caching update: what a 304, or an answer to HEAD, changes of a stored answer (RFC 9111 section 3.2). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from app.policy.caching import Headers

Fields = Sequence[tuple[str, str]]

# RFC 9111 section 3.1; the connection's own, not the answer's.
_OF_THE_CONNECTION = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)

# They say how the stored body is to be read (section 3.2).
_OF_THE_BODY = frozenset({"content-encoding", "content-length", "content-range"})


def stored_fields(fields: Fields) -> list[tuple[str, str]]:
    """What is stored of an answer's headers (section 3.1)."""
    left_out = _OF_THE_CONNECTION | _named_by_connection(fields)
    if any(name.lower() == "transfer-encoding" for name, _ in fields):
        # Chunks overrule a length (RFC 9112 section 6.3), which is then a wrong one.
        left_out |= {"content-length"}
    return [(name, value) for name, value in fields if name.lower() not in left_out]


def freshened(stored: Fields, news: Fields) -> list[tuple[str, str]]:
    """Stored headers, updated by those of a 304 or of an answer to HEAD (section 3.2)."""
    left_out = _OF_THE_CONNECTION | _OF_THE_BODY | _named_by_connection(news)
    taken = [(name, value) for name, value in news if name.lower() not in left_out]
    replaced = {name.lower() for name, _ in taken}
    return [(name, value) for name, value in stored if name.lower() not in replaced] + taken


def is_about(stored: Headers, news: Headers) -> bool:
    """Whether a 304 is about the stored answer whose conditions were sent (section 4.3.4). Without a validator it can
    be about no other.
    """
    tag = news.get("etag", "").strip(" \t")
    if tag:
        ours = stored.get("etag", "").strip(" \t")
        # A strong tag names one representation; a weak one is compared weakly (RFC 9110 section 8.8.3.2).
        return _opaque(tag) == _opaque(ours) if tag.startswith("W/") else tag == ours
    modified = news.get("last-modified", "").strip(" \t")
    return not modified or modified == stored.get("last-modified", "").strip(" \t")


def is_confirmed(stored: Headers, news: Headers) -> bool:
    """Whether an answer of 200 to HEAD describes what is stored for GET (section 4.3.5)."""
    return all(news[name] == stored.get(name) for name in ("etag", "last-modified", "content-length") if name in news)


def _opaque(tag: str) -> str:
    return tag.removeprefix("W/")


def _named_by_connection(fields: Fields) -> frozenset[str]:
    names = [value.split(",") for name, value in fields if name.lower() == "connection"]
    return frozenset(name.strip(" \t").lower() for part in names for name in part)
