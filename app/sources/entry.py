"""Entry parsing: from one raw line to a request, or to the reason why it is none.

A bare URL, a JSON object with the fields of `app.model.request.Request`, or one of `app.sources.forms`. Blank lines,
and comment lines of the bare form, are no entries and get no record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from app.errors import InvalidRequest
from app.model.outcome import ErrorKind, Failure
from app.model.request import Entry, Request, StoredResponse
from app.policy.urls import origin_of
from app.sources.forms import JSON, STORED, TAGGED, UNREADABLE, URL, Unreadable
from app.sources.lines import MAX_LINE_BYTES

_SHOWN_CHARACTERS = 2000

_FORM_OF = {URL: "url", JSON: "json"}

# How nearly all tagged lines begin: no need to look further.
_USUAL = frozenset({URL + b"h", JSON + b"{"})

_decoder = msgspec.json.Decoder(Request)
_stored = msgspec.msgpack.Decoder(StoredResponse)
_unreadable = msgspec.msgpack.Decoder(Unreadable)


def is_entry(line: bytes, form: str = TAGGED) -> bool:
    """Whether the line carries an entry, and so gets a record. form: as for `parse_entry`."""
    if form == TAGGED:
        if line[:2] in _USUAL:
            return True
        tag = line[:1]
        return is_entry(line[1:], _FORM_OF[tag]) if tag in _FORM_OF else bool(tag)
    # Most lines begin with a letter or a brace, and need no copy.
    text = line if line[:1].isalpha() or line[:1] == b"{" else line.strip()
    return bool(text) and not (form == "url" and text.startswith(b"#"))


def parse_entry(index: int, line: bytes, form: str = TAGGED) -> Entry | None:
    """The entry on line `index`, None for a line that carries none.

    form  "tagged", as sources yield lines, or "url" or "json" for one without a tag
    """
    if form == TAGGED:
        tag = line[:1]
        known = _FORM_OF.get(tag)
        if known is None:
            return _parse_other(index, tag, line[1:])
        form, line = known, line[1:]
    if not line[:1].isalpha() and not is_entry(line, form):
        return None
    try:
        if len(line) > MAX_LINE_BYTES:
            raise InvalidRequest(f"the line is longer than {MAX_LINE_BYTES:,} bytes")
        request = _PARSERS[form](line)
        origin = origin_of(request.url)
    except InvalidRequest as error:
        salvage = _salvage(line, form)
        return Entry(index, Failure(error.kind, str(error)), salvage.url, salvage.id, salvage.meta)
    return Entry(index, request, request.url, origin=origin)


def _parse_other(index: int, tag: bytes, rest: bytes) -> Entry | None:
    """What is neither a URL nor a request object."""
    if tag == STORED:
        stored = _stored.decode(rest)
        return Entry(index, stored, stored.url)
    if tag == UNREADABLE:
        found = _unreadable.decode(rest)
        return Entry(index, Failure(ErrorKind.INVALID_REQUEST, found.message), found.url)
    assert not tag, "no such form"
    return None


def _parse_url(line: bytes) -> Request:
    try:
        return Request(url=line.decode().strip())
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the line is not UTF-8: {error.reason} at byte {error.start}") from None


def _parse_json(line: bytes) -> Request:
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"not a request object: {error}") from None
    except RecursionError:
        raise InvalidRequest("not a request object: it is nested too deeply") from None


_PARSERS: dict[str, Callable[[bytes], Request]] = {"url": _parse_url, "json": _parse_json}


class _Salvage(msgspec.Struct, frozen=True):
    """What can be told of a line that is no request."""

    url: str
    id: str | int | UnsetType | None = UNSET
    meta: Any | UnsetType = UNSET


def _salvage(line: bytes, form: str) -> _Salvage:
    """For the record of a bad line: the object's own fields where it has them, else the line itself as URL."""
    if form == "json" and len(line) <= MAX_LINE_BYTES:
        try:
            found = msgspec.json.decode(line, type=_Salvage)
            return msgspec.structs.replace(found, url=found.url[:_SHOWN_CHARACTERS])
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    text = line[: 4 * _SHOWN_CHARACTERS].decode(errors="replace").strip()
    return _Salvage(text[:_SHOWN_CHARACTERS])
