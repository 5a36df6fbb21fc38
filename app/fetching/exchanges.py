"""Exchanges: the HTTP messages of a page, hop by hop, in the form of HTTP/1.1, for whoever archives them.

The law: of a request, what went over the wire, byte for byte (libcurl's order of lines included; a test compares it
with what a server gets). Of an answer, its head as it came and its body as it came, but for the transfer coding, which
libcurl has undone: its header is then renamed to X-Crawler-Transfer-Encoding, as Common Crawl does, so that nobody
looks for chunks. HTTP/2 and later have no such form of their own; they are written as HTTP/1.1, which readers expect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from requests import PreparedRequest

from app.fetching.adapter import bytes_of, lines_of
from app.fetching.head import status_of
from app.fetching.page import Page
from app.fetching.wire_form import Target, plain_target, target_of

# What they are under once a coding has been undone that the head still announces.
_UNDONE = b"X-Crawler-"


class Exchange(NamedTuple):
    """One request and its answer.

    url       absolute, without user and fragment
    request   the whole message
    head      status line, headers, the empty line
    body      as it came, content codings included; under requests' own transport as it was decoded
    protocol  "HTTP/1.1" and so on; "" if not known
    began_s   seconds since the epoch at which it began; None if not known
    is_coded  whether the body has content codings, and so is compressed already
    address   that the answer came from; None if not known
    """

    url: str
    request: bytes
    head: bytes
    body: bytes
    protocol: str
    began_s: float | None
    is_coded: bool
    address: str | None = None


def exchanges_of(page: Page) -> list[Exchange]:
    """All hops of the fetch, the first one first. Does not yield."""
    return [_exchange(hop) for hop in [*page.history, page]]


def _exchange(page: Any) -> Exchange:
    request: PreparedRequest = page.request
    url = page.url or request.url or ""
    target = plain_target(url) or target_of(url)
    protocol = page.timing.protocol if page.timing is not None else ""
    answer = page.__dict__.get("_answer")
    if answer is None:
        # requests' own transport keeps headers and the decoded body.
        head, body, coded = _decoded_head(page), page.body, False
    else:
        # Of one from the cache, without what the cache has added.
        head, coded = _head(page.__dict__.get("_archived_head", answer.head))
        body = answer.body
    return Exchange(
        url=target.url,
        request=_request(request, target, protocol),
        head=head,
        body=body,
        protocol=protocol,
        began_s=page.began_s,
        is_coded=coded,
        address=None if answer is None else answer.address,
    )


def _request(request: PreparedRequest, target: Target, protocol: str) -> bytes:
    body = bytes_of(request)
    given = lines_of(request, target, has_body=body is not None)
    lines = [sent for line in given if (sent := _sent(line)) is not None]
    hosts = [line for line in lines if _is(line, b"host")] or [b"Host: " + _authority(target)]
    # An empty one is none to libcurl.
    connections = [line for line in lines if _is(line, b"connection") and len(line) > len(b"Connection:")]
    others = [line for line in lines if not _is(line, b"host") and not _is(line, b"connection")]
    path = target.url[target.url.index("/", len(target.scheme) + 3) :]
    lengths = [b"Content-Length: %d" % len(body)] if body is not None else []
    first = f"{request.method} {path} HTTP/1.1".encode()
    if protocol not in ("", "HTTP/1.0", "HTTP/1.1"):
        connections = []
    # libcurl sends Host first, and what it writes itself, or has an eye on, last.
    return b"\r\n".join([first, *hosts[:1], *others, *lengths, *connections, b"", body or b""])


def _sent(line: bytes) -> bytes | None:
    """What libcurl makes of a line as CURLOPT_HTTPHEADER(3) takes it: a semicolon for the colon is an empty value, a
    bare colon no header at all.
    """
    name, colon, value = line.partition(b":")
    if not colon:
        return name.removesuffix(b";") + b":"
    return line if value else None


def _authority(target: Target) -> bytes:
    return target.url[len(target.scheme) + 3 :].partition("/")[0].encode()


def _is(line: bytes, name: bytes) -> bool:
    return line[: len(name) + 1].lower() == name + b":"


def _head(lines: Sequence[bytes]) -> tuple[bytes, bool]:
    """The head as it came, but for an undone transfer coding, and for a version whose form is not text; and whether
    the body has content codings.
    """
    whole = b"".join(lines)
    lower = whole.lower()
    coded = b"\ncontent-encoding:" in lower
    if b"\ntransfer-encoding:" in lower:
        # What announced another length than that of the chunks was not believed (RFC 9112 section 6.3).
        whole = b"".join([lines[0], *_renamed(lines[1:], (b"transfer-encoding", b"content-length"))])
    if not whole.startswith(b"HTTP/1."):
        whole = b"HTTP/1.1 %d \r\n" % status_of(lines) + whole[len(lines[0]) :]
    return whole, coded


def _renamed(lines: Iterable[bytes], names: Iterable[bytes]) -> list[bytes]:
    return [_UNDONE + line if any(_is(line, name) for name in names) else line for line in lines]


def _decoded_head(page: Any) -> bytes:
    """Of a page without one: from its headers, those renamed that do not fit the decoded body."""
    raw = getattr(page, "raw", None)
    fields = raw.headers.items() if raw is not None else page.headers.items()
    lines = [f"{name}: {value}\r\n".encode("latin-1", "replace") for name, value in fields]
    lines = _renamed(lines, (b"transfer-encoding", b"content-encoding", b"content-length"))
    status = f"HTTP/1.1 {page.status_code} {page.reason or ''}\r\n".encode("latin-1", "replace")
    return b"".join([status, *lines, b"\r\n"])
