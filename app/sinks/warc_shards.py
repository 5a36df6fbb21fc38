"""WARC shards: a finished WARC of ours taken apart again, without unpacking what is then copied.

The law: what `app.sinks.outputs` has made of shards is a row of them, each a warcinfo and then its captures, and a
capture ends with its metadata, which names the request's index and the final response. So both are runs of whole gzip
members, which can be copied as they are.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

import msgspec

from app.errors import BrokenInput
from app.files.placed import PlacedReader
from app.files.unpacked import Unpacked
from app.files.warc import Record, Unreadable, scan


class Capture(msgspec.Struct, frozen=True):
    """All that one page has left; bytes `begin` to `end` of the file.

    index       of its request
    identifier  of its final response
    """

    index: int
    identifier: UUID
    begin: int
    end: int


class WarcShard(NamedTuple):
    """The captures of one shard in input order, and its bytes in the file, its warcinfo included."""

    begin: int
    end: int
    captures: list[Capture]


def warc_shards(raw: io.FileIO) -> Iterator[WarcShard]:
    """The shards of a WARC, which is read through to its end. Memory follows the largest one. Blocks as the file does.

    raw  not read from yet
    Raises BrokenInput where it is damaged or was written by somebody else, OSError.
    """
    begin: int | None = None
    begins: list[int] = []  # of captures; the last one may be of none yet
    named: list[tuple[int, UUID]] = []
    for found in scan(PlacedReader(Unpacked(raw)), ("metadata",)):
        record, at = _member(found)
        kind = record.fields.get("warc-type")
        if kind == "warcinfo":
            if begin is not None:
                yield _shard(begin, at, begins, named)
            begin, begins, named = at, [], []
            continue
        if begin is None:
            raise BrokenInput(f"it has no warcinfo before byte {at:,}")
        if len(begins) == len(named):
            begins.append(at)
        if kind == "metadata":
            named.append(_names(record))
    if begin is not None:
        yield _shard(begin, os.fstat(raw.fileno()).st_size, begins, named)


def _member(found: Record | Unreadable) -> tuple[Record, int]:
    """The record, and where its gzip member begins. Raises BrokenInput for what is none, or not alone in its own."""
    at, skip_bytes = found.place
    if isinstance(found, Unreadable):
        raise BrokenInput(f"the record at byte {at:,} can't be read: {found.why}")
    if skip_bytes:
        raise BrokenInput(f"what is packed at byte {at:,} is more than one record")
    return found, at


def _names(metadata: Record) -> tuple[int, UUID]:
    fields = dict(line.split(b": ", 1) for line in metadata.block.splitlines() if b": " in line)
    try:
        return int(fields[b"percore-index"]), UUID(metadata.fields["warc-concurrent-to"].strip("<>"))
    except (KeyError, ValueError):
        raise BrokenInput(f"the metadata at byte {metadata.place.member_bytes:,} is none of ours") from None


def _shard(begin: int, end: int, begins: list[int], named: list[tuple[int, UUID]]) -> WarcShard:
    if len(begins) != len(named):
        raise BrokenInput(f"the capture at byte {begins[-1]:,} has no metadata")
    captures = [
        Capture(index, identifier, *place)
        for (index, identifier), place in zip(named, pairwise([*begins, end]), strict=True)
    ]
    return WarcShard(begin, end, captures)
