"""Copying: a run of bytes from one open file to another, block by block."""

from __future__ import annotations

import errno
import os

_BLOCK_BYTES = 1 << 20


def copy_bytes(source: int, offset: int, length: int, target: int) -> None:
    """Append `length` bytes at `offset` of the file `source` to `target`, both descriptors. Memory does not follow the
    length. Raises OSError, also when there are not so many.
    """
    while length:
        piece = os.pread(source, min(length, _BLOCK_BYTES), offset)
        if not piece:
            raise OSError(errno.EIO, "the file is shorter than it was")
        view = memoryview(piece)
        while view:
            view = view[os.write(target, view) :]
        offset += len(piece)
        length -= len(piece)
