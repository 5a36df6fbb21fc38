"""Stored message: an HTTP response as a WARC record keeps it, taken for what libcurl would have handed over.

The standard keeps what came over the wire. Many tools keep less: transfer and content codings undone, and the headers
as they were. So a coding that a header names, and whose first bytes are not there, is taken for undone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.errors import FetchError
from app.fetching.answer import Answer
from app.fetching.head import final_head, joined_headers_of
from app.model.outcome import ErrorKind
from app.model.timing import Timing

# As libcurl's: what is larger is no head (docs/reference/record.md).
MAX_HEAD_BYTES = 300 * 1024
_MAX_HEADERS = 5000

_NO_TIMING = Timing(0.0, 0.0, 0.0, 0.0, 0.0, False, "")

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_CHUNK = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\n]*)?\r?\n")


def answer_of(message: bytes, *, is_truncated: bool = False) -> Answer:
    """The response in `message`: head and body, the chunks of which are put together.

    is_truncated  the record says that not all of the body was kept: it is taken as it is
    Raises FetchError, kind BAD_RESPONSE for what is no HTTP, CONNECTION_LOST for chunks that break off.
    """
    head, body = _parted(message)
    headers = joined_headers_of(head)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _joined(body, is_truncated=is_truncated)
    return Answer(head, body, None, _NO_TIMING)


def is_still_coded(answer: Answer) -> bool:
    """Whether the body's content coding is to be undone, as far as its first bytes tell."""
    codings = joined_headers_of(answer.head).get("content-encoding", "").lower()
    last = codings.rpartition(",")[2].strip()
    begins = _BEGINNINGS.get(last)
    return bool(last) and (begins is None or answer.body.startswith(begins) or not answer.body)


# Of the codings that begin in a way of their own (RFC 1952 section 2.3.1, RFC 8878 section 3.1.1).
_BEGINNINGS = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}


def _parted(message: bytes) -> tuple[Sequence[bytes], bytes]:
    """The final head and what follows it."""
    begin = 0
    while True:
        if message[begin : begin + 5] != b"HTTP/":
            raise FetchError(ErrorKind.BAD_RESPONSE, "what is stored does not begin as an HTTP response")
        found = _HEAD_END.search(message, begin, begin + MAX_HEAD_BYTES)
        end = found.end() if found else len(message)
        if end - begin > MAX_HEAD_BYTES:
            raise FetchError(ErrorKind.BAD_RESPONSE, f"its head is larger than {MAX_HEAD_BYTES:,} bytes")
        lines = [line.rstrip(b"\r\n") + b"\r\n" for line in _LINE.findall(message[begin:end])]
        if len(lines) > _MAX_HEADERS:
            raise FetchError(ErrorKind.BAD_RESPONSE, f"it has more than {_MAX_HEADERS:,} headers")
        # What was kept without a body may end with its last header.
        if lines[-1] != b"\r\n":
            lines.append(b"\r\n")
        if head := final_head(lines):
            return head, message[end:]
        if end >= len(message):
            raise FetchError(ErrorKind.BAD_RESPONSE, "what is stored has no final status line")
        begin = end


def _joined(body: bytes, *, is_truncated: bool) -> bytes:
    """The chunks' data (RFC 9112 section 7.1); `body` itself if it has no chunks."""
    chunk = _CHUNK.match(body)
    if chunk is None:
        return body
    pieces: list[bytes] = []
    while chunk is not None:
        size_bytes = int(chunk[1], 16)
        piece = body[chunk.end() : chunk.end() + size_bytes]
        pieces.append(piece)
        if not size_bytes:
            return b"".join(pieces)
        if len(piece) < size_bytes:
            break
        at = chunk.end() + size_bytes
        at += 2 if body[at : at + 2] == b"\r\n" else 1
        chunk = _CHUNK.match(body, at)
    if is_truncated:
        return b"".join(pieces)
    raise FetchError(ErrorKind.CONNECTION_LOST, "its chunks break off before the last one")
