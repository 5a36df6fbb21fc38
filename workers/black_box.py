"""Black box: what a worker was doing when it died. A little memory that outlives it.

A crash in a stage's native code, or a kill for its memory, leaves no message. So the child notes, while a request's
stages run, which request that is; the parent reads the notes after the child's death. A note costs no system call.
Stages that wait let other stages run in between, so there are several places.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager

_PLACE_BYTES = 8
_PLACES = 512
_SIZE_BYTES = _PLACES * _PLACE_BYTES


class BlackBox:
    """One child's notes, shared by it and its parent. `descriptor` is handed to the child."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("percore-black-box", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, _SIZE_BYTES)
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _SIZE_BYTES)
        self._free = list(range(_PLACES))

    @contextmanager
    def noting(self, index: int) -> Iterator[None]:
        """For the block, request `index` is running. Where all places are taken it goes without a note."""
        if not self._free:
            yield
            return
        place = self._free.pop()
        self._write(place, index + 1)  # 0 is nobody
        try:
            yield
        finally:
            self._write(place, 0)
            self._free.append(place)

    def read(self) -> list[int]:
        """Indexes of the requests that are running, or were at the end."""
        data = bytes(self._memory)
        found = (int.from_bytes(data[at : at + _PLACE_BYTES], "little") for at in range(0, _SIZE_BYTES, _PLACE_BYTES))
        return sorted(number - 1 for number in found if number)

    def close(self) -> None:
        """Give the memory back; the other side keeps its own."""
        self._memory.close()
        os.close(self.descriptor)

    def _write(self, place: int, number: int) -> None:
        at = place * _PLACE_BYTES
        self._memory[at : at + _PLACE_BYTES] = number.to_bytes(_PLACE_BYTES, "little")
