"""Capture part: the captures of one shard under way, in the order in which they came.

Each lies behind a head of its own: a mark, the identifier of its final response, its length and its CRC-32. A capture
counts only where a record names that identifier, so one that a kill has left without its record is passed over, and
one that was torn, or that the machine's end has swallowed, is known to be missing.

The law: what is whole stays, what is torn is cut off, and nothing is ever changed in place.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from app.errors import OutputError
from app.files.reasons import reason_of
from app.sinks.copying import copy_bytes

_MARK = b"PcC1"
_HEAD = struct.Struct(">4s16sQI")
_BLOCK_BYTES = 1 << 20


class CapturePart:
    """Open it, append, then `finish` or `close`. path: taken up again when it exists.

    Raises OutputError whenever the file system refuses.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[UUID, tuple[int, int]] = {}  # identifier -> (offset, length) of its capture
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._size_bytes = self._recover()
        except OSError as error:
            raise OutputError(f"can't open {path}: {reason_of(error)}") from error

    def holds(self, identifier: UUID) -> bool:
        """Whether that capture is here, and whole."""
        return identifier in self._places

    def append(self, identifier: UUID, capture: bytes) -> None:
        """Store one capture. Raises OutputError when it can't be; then the file still ends in a whole one."""
        head = _HEAD.pack(_MARK, identifier.bytes, len(capture), zlib.crc32(capture))
        try:
            rest = memoryview(head + capture)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            os.ftruncate(self._descriptor, self._size_bytes)
            raise OutputError(f"can't write to {self._path}: {reason_of(error)}") from error
        self._places[identifier] = (self._size_bytes + _HEAD.size, len(capture))
        self._size_bytes += _HEAD.size + len(capture)

    def finish(self, beginning: bytes, identifiers: Iterable[UUID], path: Path) -> None:
        """Write these captures to `path`, in this order, after `beginning`, flushed to the disk. The part stays."""
        temporary = path.with_name(path.name + ".tmp")
        try:
            with open(temporary, "wb") as out:
                out.write(beginning)
                out.flush()
                for identifier in identifiers:
                    copy_bytes(self._descriptor, *self._places[identifier], out.fileno())
                os.fsync(out.fileno())
            os.rename(temporary, path)
        except OSError as error:
            # The space is wanted most where there is none left.
            temporary.unlink(missing_ok=True)
            raise OutputError(f"can't write {path}: {reason_of(error)}") from error

    def close(self) -> None:
        """Leave the part as it is, to be taken up again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def drop(self) -> None:
        """Close it, and be rid of it."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _recover(self) -> int:
        """Note the whole captures of an earlier run, cut off what comes after; the size in bytes then."""
        size_bytes = os.fstat(self._descriptor).st_size
        offset = 0
        while (head := os.pread(self._descriptor, _HEAD.size, offset)) and len(head) == _HEAD.size:
            mark, identifier, length, checksum = _HEAD.unpack(head)
            begin = offset + _HEAD.size
            # No capture is empty: a torn head that goes on in zeros would say so, and that of nothing the sum is 0.
            if mark != _MARK or not length or begin + length > size_bytes:
                break
            if _checksum(self._descriptor, begin, length) != checksum:
                break
            self._places[UUID(bytes=identifier)] = (begin, length)
            offset = begin + length
        os.ftruncate(self._descriptor, offset)
        return offset


class Place(NamedTuple):
    """Where a capture lies in another file."""

    identifier: UUID
    offset: int
    length: int


def write_part(path: Path, source: int, places: Iterable[Place]) -> None:
    """Make the part `path` of captures that lie in the open file `source`, flushed to the disk: all of it or nothing.

    Raises OSError.
    """
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as out:
        for identifier, offset, length in places:
            out.write(_HEAD.pack(_MARK, identifier.bytes, length, _checksum(source, offset, length)))
            out.flush()
            copy_bytes(source, offset, length, out.fileno())
        os.fsync(out.fileno())
    os.replace(temporary, path)


def _checksum(descriptor: int, offset: int, length: int) -> int:
    """Of a run of bytes; -1 when the file ends before it."""
    checksum = 0
    end = offset + length
    while offset < end:
        block = os.pread(descriptor, min(end - offset, _BLOCK_BYTES), offset)
        if not block:
            return -1
        checksum = zlib.crc32(block, checksum)
        offset += len(block)
    return checksum
