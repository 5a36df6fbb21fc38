"""Black box: what a worker was doing when it died. Eight bytes of memory that outlive it.

A crash in a stage's native code, or a kill for its memory, leaves no message. So the child notes, before it runs a
request's stages, which request that is; the parent reads the note after the child's death. Writing it costs no
system call.
"""

from __future__ import annotations

import mmap
import os

_BYTES = 8
_NOBODY = (2**64 - 1).to_bytes(_BYTES, "little")


class BlackBox:
    """One child's note, shared by it and its parent. `descriptor` is handed to the child."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("percore-black-box", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, _BYTES)
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _BYTES)
        self.note(None)

    def note(self, index: int | None) -> None:
        """Request `index` begins its stages; None: it has ended them."""
        self._memory[:] = _NOBODY if index is None else index.to_bytes(_BYTES, "little")

    def read(self) -> int | None:
        """What was noted last."""
        found = bytes(self._memory)
        return None if found == _NOBODY else int.from_bytes(found, "little")

    def close(self) -> None:
        """Give the memory back; the other side keeps its own."""
        self._memory.close()
        os.close(self.descriptor)
