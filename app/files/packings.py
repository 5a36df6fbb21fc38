"""Packings: gzip and Zstandard, how each is told and undone, under one interface."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple, Protocol

MAGIC_BYTES = 4

# Decide for a gzip header and trailer (zlib.h, inflateInit2).
_GZIP_WINDOW_BITS = 31


class Decoder(Protocol):
    """Of one member; the standard library's own form (bz2, lzma, compression.zstd)."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Packing(NamedTuple):
    """begins: whether a member does with those bytes; padding: what may stand between members; error: what a
    decoder raises for damaged data.
    """

    name: str
    begins: Callable[[bytes], bool]
    decoder: Callable[[], Decoder]
    padding: bytes
    error: type[Exception]


def packing_of(beginning: bytes) -> Packing | None:
    """What a file is packed with that begins with these bytes, MAGIC_BYTES at least; None for nothing that we know."""
    if _begins_gzip(beginning):
        return Packing("gzip", _begins_gzip, _Gzip, b"\0", zlib.error)
    return _zstandard() if _begins_zstandard(beginning) else None


class _Gzip:
    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_GZIP_WINDOW_BITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        rest = self._zlib.unconsumed_tail
        piece = self._zlib.decompress(rest + data if rest else data, max_length)
        self.needs_input = not self._zlib.unconsumed_tail and len(piece) < max_length
        return piece


def _begins_gzip(data: bytes) -> bool:
    return data[:3] == b"\x1f\x8b\x08"


def _begins_zstandard(data: bytes) -> bool:
    # A frame, or one to be skipped, whose first byte may be any of sixteen.
    return data[:4] == b"\x28\xb5\x2f\xfd" or (data[1:4] == b"\x2a\x4d\x18" and 0x50 <= data[0] <= 0x5F)


def _zstandard() -> Packing:
    # Only now: most inputs are none, and a batch's parent is to start fast.
    from backports import zstd

    return Packing("Zstandard", _begins_zstandard, zstd.ZstdDecompressor, b"", zstd.ZstdError)
