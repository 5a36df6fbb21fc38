"""WARC: the records of one page's exchanges, as WARC 1.1 (ISO 28500:2017) writes them, each a gzip member of its own.

The law: a **capture** is all that one page leaves in a WARC: a response and a request for every hop, the first hop
first, and metadata about the final one. It is made of values alone: identifiers and times are handed in.

docs/decisions/0016-outputs.md says what is written as it came and what is not.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from app.fetching.exchanges import Exchange
from app.fetching.session import USER_AGENT

_GZIP_WINDOW = 16 + zlib.MAX_WBITS

# Level 1 packs text to some 110 % of level 6 in a quarter of its time, and the core is wanted for other things. What
# has content codings is packed already.
_LEVEL = 1
_LEVEL_CODED = 0

# With zlib's own 8 its memory comes fresh from the system for every member: 80 us, and a page packed in 120 takes 240.
_MEMORY_LEVEL = 7

# As the proposal says that is in use (iipc/warc-specifications #42).
_PROTOCOLS = {"HTTP/1.0": "http/1.0", "HTTP/1.1": "http/1.1", "HTTP/2": "h2", "HTTP/3": "h3"}

_HTTP = "application/http;msgtype="
_FIELDS = "application/warc-fields"

Fields = Sequence[tuple[str, str]]


def capture(
    exchanges: Sequence[Exchange], index: int, final_id: UUID, new_id: Callable[[], UUID], now_s: float
) -> bytes:
    """The gzip members of one page's records. CPU time in proportion to the bodies, most of it without the GIL.

    index     of the request, noted in the metadata
    final_id  of the final response
    new_id    for the other records
    now_s     seconds since the epoch, for exchanges that don't know when they began
    """
    members: list[bytes] = []
    for exchange in exchanges:
        is_final = exchange is exchanges[-1]
        response_id = final_id if is_final else new_id()
        common = [
            ("WARC-Date", date_of(now_s if exchange.began_s is None else exchange.began_s)),
            ("WARC-Target-URI", exchange.url),
        ]
        if exchange.address is not None:
            common.append(("WARC-IP-Address", exchange.address))
        protocol = _PROTOCOLS.get(exchange.protocol)
        if protocol:
            common.append(("WARC-Protocol", protocol))
        level = _LEVEL_CODED if exchange.is_coded else _LEVEL
        block = [exchange.head, exchange.body]
        digest = ("WARC-Payload-Digest", _digest([exchange.body]))
        members.append(_record("response", response_id, [*common, digest], _HTTP + "response", block, level))
        to_response = [*common, ("WARC-Concurrent-To", _urn(response_id))]
        members.append(_record("request", new_id(), to_response, _HTTP + "request", [exchange.request]))
        if is_final:
            about = [_lines(_metadata(exchanges, index))]
            members.append(_record("metadata", new_id(), to_response, _FIELDS, about))
    return b"".join(members)


def warcinfo(record_id: UUID, now_s: float) -> bytes:
    """What begins a WARC, as a gzip member: who wrote it, and how."""
    fields = [
        ("software", USER_AGENT),
        ("format", "WARC File Format 1.1"),
        ("conformsTo", "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"),
    ]
    return _record("warcinfo", record_id, [("WARC-Date", date_of(now_s))], _FIELDS, [_lines(fields)])


def date_of(seconds: float) -> str:
    """As WARC-Date has it, to the microsecond, which version 1.1 allows."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _metadata(exchanges: Sequence[Exchange], index: int) -> Fields:
    fields = [("percore-index", str(index))]
    if len(exchanges) > 1:
        # A hop that a redirect led to is an R in the path from the seed, as crawlers write it.
        fields += [("via", exchanges[-2].url), ("hopsFromSeed", "R" * (len(exchanges) - 1))]
    return fields


def _record(
    kind: str, record_id: UUID, fields: Fields, content_type: str, block: Sequence[bytes], level: int = _LEVEL
) -> bytes:
    head = [
        ("WARC-Type", kind),
        ("WARC-Record-ID", _urn(record_id)),
        *fields,
        ("WARC-Block-Digest", _digest(block)),
        ("Content-Type", content_type),
        ("Content-Length", str(sum(map(len, block)))),
    ]
    packer = zlib.compressobj(level, wbits=_GZIP_WINDOW, memLevel=_MEMORY_LEVEL)
    pieces = [packer.compress(piece) for piece in (b"WARC/1.1\r\n", _lines(head), b"\r\n", *block, b"\r\n\r\n")]
    pieces.append(packer.flush())
    return b"".join(pieces)


def _lines(fields: Iterable[tuple[str, str]]) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in fields]).encode()


def _urn(record_id: UUID) -> str:
    return f"<{record_id.urn}>"


def _digest(pieces: Iterable[bytes]) -> str:
    """SHA-1 in base32, which every reader knows; it is there to find damage and doubles, and no one's proof."""
    digest = hashlib.sha1(usedforsecurity=False)
    for piece in pieces:
        digest.update(piece)
    return f"sha1:{base64.b32encode(digest.digest()).decode()}"
