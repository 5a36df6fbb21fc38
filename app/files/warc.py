"""WARC: the records of an archive (ISO 28500; WARC 1.0 and 1.1), their fields, and where each stands.

The law: a record is told of only when all of it is there; what is none is told of once, and reading goes on at the
next line that begins one. So a wrong length costs the records that it swallows, and never the rest of the file.

Lines may end with LF alone, as some tools write them. The blocks (bodies) are passed over, or read by `read_record`
at a place that was noted before.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import NamedTuple

from app.errors import BrokenInput
from app.files.placed import PlacedReader
from app.files.unpacked import Place

_MAX_LINE_BYTES = 64 * 1024
_MAX_FIELDS = 1000
_MAX_BLOCK_BYTES = 64 * 1024

_BEGINNING = b"WARC/"
_BLANK = (b"\r\n", b"\n")


class Record(NamedTuple):
    """place: of its first byte; fields: values by lower-case name; length_bytes: of its block; block: itself, where it
    was asked for.
    """

    place: Place
    fields: dict[str, str]
    length_bytes: int
    block: bytes = b""


class Unreadable(NamedTuple):
    """What stands at `place` is no record, and why."""

    place: Place
    why: str


def scan(reader: PlacedReader, with_block: Container[str] = ()) -> Iterator[Record | Unreadable]:
    """All records, in order. Blocks as the file does. What is damaged or breaks off is an Unreadable, never raised.

    with_block  WARC-Types whose blocks are wanted, if they are small (64 KiB)
    """
    place = Place(0, 0)
    is_lost = False
    try:
        while True:
            place = reader.place()
            line = reader.line(_MAX_LINE_BYTES)
            if not line:
                return
            if line in _BLANK:
                continue
            if not line.startswith(_BEGINNING):
                if not is_lost:
                    yield Unreadable(place, "what stands there is no WARC record")
                is_lost = True
                _skip_rest_of_line(reader, line)
                continue
            found = _head(reader, place, line)
            # A lone LF after the block of a file with CRLF is half of one: the length is wrong by one.
            ends = (b"", b"\r\n") if line.endswith(b"\r\n") else (b"", *_BLANK)
            if isinstance(found, Record):
                block = b""
                if found.fields.get("warc-type") in with_block and found.length_bytes <= _MAX_BLOCK_BYTES:
                    block = reader.read(found.length_bytes)
                    found = found._replace(block=block)
                passed = len(block) + reader.skip(found.length_bytes - len(block))
                if passed < found.length_bytes:
                    found = Unreadable(place, f"it breaks off after {passed:,} of {found.length_bytes:,} bytes")
                elif reader.line(2) not in ends:
                    found = Unreadable(place, "its Content-Length is wrong: no blank line follows the block")
            is_lost = isinstance(found, Unreadable)
            yield found
    except BrokenInput as error:
        yield Unreadable(place, str(error))


def read_record(reader: PlacedReader, place: Place, limit_bytes: int) -> tuple[Record, bytes]:
    """The record at a place, and its block, of which no more than `limit_bytes` are read.

    Raises BrokenInput when it is not there, or not as long as it says.
    """
    line = reader.line(_MAX_LINE_BYTES) if reader.go_to(place) else b""
    found = _head(reader, place, line) if line.startswith(_BEGINNING) else Unreadable(place, "it is not there any more")
    if isinstance(found, Unreadable):
        raise BrokenInput(found.why)
    wanted = min(found.length_bytes, limit_bytes)
    block = reader.read(wanted)
    if len(block) < wanted:
        raise BrokenInput(f"it breaks off after {len(block):,} of {found.length_bytes:,} bytes")
    return found, block


def _head(reader: PlacedReader, place: Place, version: bytes) -> Record | Unreadable:
    """The fields that follow the line with the version (section 4)."""
    if not version.endswith(b"\n"):
        return Unreadable(place, "its first line does not end")
    fields: dict[str, str] = {}
    name = ""
    for _ in range(_MAX_FIELDS):
        line = reader.line(_MAX_LINE_BYTES)
        if not line.endswith(b"\n"):
            return Unreadable(
                place, "it breaks off in its header" if len(line) < _MAX_LINE_BYTES else "a field is too long"
            )
        if line in _BLANK:
            break
        text = line.decode(errors="replace").rstrip("\r\n")
        if text[0] in " \t" and name:
            fields[name] += " " + text.strip()
            continue
        name, colon, value = text.partition(":")
        if not colon:
            return Unreadable(place, f"a line of its header is no field: {text[:60]!r}")
        name = name.strip().lower()
        # Of fields that may be repeated none is of use to us.
        fields[name] = value.strip()
    else:
        return Unreadable(place, "its header has too many fields")
    digits = fields.get("content-length", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        return Unreadable(place, f"its Content-Length is no number: {digits[:60]!r}")
    return Record(place, fields, int(digits))


def _skip_rest_of_line(reader: PlacedReader, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = reader.line(_MAX_LINE_BYTES)
