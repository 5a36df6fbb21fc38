"""Streams: files one after the other into one file, as they are or compressed, in blocks of a fixed size."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from backports import zstd

_BLOCK_BYTES = 1 << 20

# gzip's own default; Zstandard's is its library's. zlib knows by the 16 that it is to write a gzip member.
_GZIP_LEVEL = 6
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def write_plain(paths: Iterable[Path], out: BinaryIO) -> None:
    """Raises OSError, as all of these do."""
    out.writelines(_blocks(paths))


def write_gzip(paths: Iterable[Path], out: BinaryIO) -> None:
    """One gzip member (RFC 1952), without name and time: the same input gives the same bytes."""
    packer = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW)
    out.writelines(packer.compress(block) for block in _blocks(paths))
    out.write(packer.flush())


def write_zstd(paths: Iterable[Path], out: BinaryIO) -> None:
    """One Zstandard frame (RFC 8878), with a checksum of the content."""
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.checksum_flag: 1})
    out.writelines(packer.compress(block) for block in _blocks(paths))
    out.write(packer.flush())


def _blocks(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while block := file.read(_BLOCK_BYTES):
                yield block
