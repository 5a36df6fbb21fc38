"""Failed indexes: which requests failed, and how, in few bytes: for the receipt of a job whose outputs hold no records.

A WARC alone can't tell: what got no answer has left nothing in it, and nothing says that a stage failed.

For each error kind: the distances from each index to the next, as base-128 numbers, the low part first (LEB128 of
DWARF 5, section 7.6), packed by zlib. A million failures are some 10 KB to 1 MB.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterator, Mapping

_BLOCK_BYTES = 64 * 1024


class FailedIndexes:
    """Takes indexes in ascending order. Memory follows the packed bytes."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}

    def add(self, index: int, kind: str) -> None:
        """Request `index` failed in that way."""
        column = self._columns.get(kind)
        if column is None:
            column = self._columns[kind] = _Column()
        column.add(index)

    def packed(self) -> dict[str, bytes]:
        """All of it, by kind. Nothing can be added then."""
        return {kind: column.packed() for kind, column in self._columns.items()}


def unpacked(packed: Mapping[str, bytes]) -> Iterator[tuple[int, str]]:
    """(index, kind) of each, in ascending order; memory does not follow their number. Raises ValueError."""
    return heapq.merge(*(_labelled(data, kind) for kind, data in packed.items()))


class _Column:
    def __init__(self) -> None:
        self._packer = zlib.compressobj()
        self._pieces: list[bytes] = []
        self._pending = bytearray()
        self._last = -1

    def add(self, index: int) -> None:
        step = index - self._last - 1
        self._last = index
        while step > 127:
            self._pending.append(128 | step & 127)
            step >>= 7
        self._pending.append(step)
        if len(self._pending) >= _BLOCK_BYTES:
            self._pack()

    def packed(self) -> bytes:
        self._pack()
        return b"".join([*self._pieces, self._packer.flush()])

    def _pack(self) -> None:
        self._pieces.append(self._packer.compress(self._pending))
        self._pending.clear()


def _labelled(packed: bytes, kind: str) -> Iterator[tuple[int, str]]:
    index, step, shift = -1, 0, 0
    for byte in _bytes_of(packed):
        step |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            index += step + 1
            yield index, kind
            step = shift = 0


def _bytes_of(packed: bytes) -> Iterator[int]:
    unpacker = zlib.decompressobj()
    try:
        while not unpacker.eof:
            block = unpacker.decompress(packed, _BLOCK_BYTES)
            packed = unpacker.unconsumed_tail
            if not block and not packed and not unpacker.eof:
                raise ValueError("it breaks off")
            yield from block
    except zlib.error as error:
        raise ValueError(str(error)) from None
