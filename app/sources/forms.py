"""Forms: what a line is that a source yields. The first byte of each says so, and the rest is as it stood in the input.

    u  a bare URL; a comment if a # comes first
    j  a JSON request object: the fields of `app.model.request.Request`
    s  a response that is stored already: `app.model.request.StoredResponse` as msgpack
    !  no request: `Unreadable` as msgpack

So inputs of different formats make one stream. A line without a byte is blank: it counts, and has no entry.
"""

from __future__ import annotations

import msgspec

from app.model.request import StoredResponse

TAGGED = "tagged"
"""The name of this form of lines, beside "url" and "json", in which lines have no such byte."""

URL = b"u"
JSON = b"j"
STORED = b"s"
UNREADABLE = b"!"

_SHOWN_CHARACTERS = 500


class Unreadable(msgspec.Struct, frozen=True, array_like=True):
    """message: the record's; url: what can be shown in place of one."""

    message: str
    url: str


def json_line(line: bytes) -> bytes:
    """A line that is a JSON request object, or should be one."""
    return JSON + line


def stored_line(stored: StoredResponse) -> bytes:
    """A line that is a stored response."""
    return STORED + msgspec.msgpack.encode(stored)


def unreadable_line(message: str, url: str = "") -> bytes:
    """A line whose record is a failure of kind `invalid_request`."""
    return UNREADABLE + msgspec.msgpack.encode(Unreadable(_clean(message), _clean(url)))


def _clean(text: str) -> str:
    # Names of files need not be UTF-8.
    return text.encode("utf-8", "replace").decode()[:_SHOWN_CHARACTERS]
