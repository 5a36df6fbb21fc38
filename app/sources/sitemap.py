"""Sitemap: the URLs of a sitemap file (sitemaps.org, 0.9); what else is said of one goes into `meta`.

A sitemap index lists sitemaps: these are requests like any other, since a batch fetches what its input lists and no
more. The file is parsed while it is read. Document type declarations are refused, for a sitemap needs none and their
entities can unpack without end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO
from xml.parsers import expat

import msgspec

from app.errors import BrokenInput, UsageError
from app.sources.forms import json_line

_PIECE_BYTES = 64 * 1024
_MAX_DEPTH = 64
# Of the text in one element; the protocol allows URLs of 2,048 characters.
_MAX_TEXT_CHARACTERS = 128 * 1024
# A tag or comment of more would stay in the parser's memory till its end.
_MAX_TOKEN_BYTES = 1024 * 1024

_ENTRIES = {"urlset": "url", "sitemapindex": "sitemap"}


def read_sitemap(stream: BinaryIO) -> Iterator[bytes]:
    """A line (app.sources.forms) for each URL. Blocks as the stream does.

    Raises UsageError for XML of another kind, BrokenInput where it is no XML any more.
    """
    reading = _Reading()
    try:
        while piece := stream.read(_PIECE_BYTES):
            reading.feed(piece)
            yield from reading.take()
        reading.end()
        yield from reading.take()
    except BrokenInput:
        # What stands before counts.
        yield from reading.take()
        raise


class _Reading:
    """What the parser has met so far. Names have their namespace before them, as expat writes it."""

    def __init__(self) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        self._parser = parser
        self._fed_bytes = 0
        self._depth = 0
        self._root = self._namespace = ""
        self._fields: dict[str, str] | None = None  # of the entry that we are in
        self._pieces: list[str] | None = None  # of the field that we are in
        self._characters = 0
        self._found: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        self._fed_bytes += len(piece)
        try:
            self._parser.Parse(piece, False)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise BrokenInput(f"it is no XML any more: {error}") from None
        if self._fed_bytes - self._parser.CurrentByteIndex > _MAX_TOKEN_BYTES:
            raise BrokenInput(f"it has a tag or comment of more than {_MAX_TOKEN_BYTES:,} bytes")

    def end(self) -> None:
        try:
            self._parser.Parse(b"", True)
        except (expat.ExpatError, ValueError, LookupError) as error:
            if not self._root:
                raise UsageError(f"it is no sitemap: {error}") from None
            raise BrokenInput(f"it is no XML any more: {error}") from None

    def take(self) -> list[bytes]:
        found, self._found = self._found, []
        return found

    def _doctype(self, *_: object) -> None:
        raise BrokenInput("it has a document type declaration, which no sitemap needs")

    def _start(self, name: str, _: object) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise BrokenInput(f"its elements are nested more than {_MAX_DEPTH} deep")
        namespace, _, local = name.rpartition(" ")
        if self._depth == 1:
            if local not in _ENTRIES:
                raise UsageError(f"it is no sitemap: its root is <{local[:60]}>, not <urlset> or <sitemapindex>")
            # The protocol's own, or whatever the file takes for it: wrong ones are common.
            self._root, self._namespace = local, namespace
        elif namespace != self._namespace:
            return
        elif self._depth == 2 and local == _ENTRIES[self._root]:
            self._fields = {}
        elif self._depth == 3 and self._fields is not None:
            self._pieces, self._characters = [], 0

    def _text(self, text: str) -> None:
        if self._pieces is not None and self._characters <= _MAX_TEXT_CHARACTERS:
            self._pieces.append(text)
            self._characters += len(text)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 2 and self._pieces is not None and self._fields is not None:
            if len(self._fields) < _MAX_DEPTH:
                self._fields[name.rpartition(" ")[2]] = "".join(self._pieces).strip()
            self._pieces = None
        elif self._depth == 1 and self._fields is not None:
            fields, self._fields = self._fields, None
            request: dict[str, object] = {"url": fields.pop("loc", "")}
            self._found.append(json_line(msgspec.json.encode(request | {"meta": fields} if fields else request)))
