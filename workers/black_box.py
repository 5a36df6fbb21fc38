"""Black box: what a worker was doing when it died. A little memory that outlives it.

A crash in a stage's native code, or a kill for its memory, leaves no message. So the child notes, while a request's
stages run, which request that is; the parent reads the notes after the child's death. A note costs no system call.
Stages that wait let other stages run in between, so there are several places.
"""

from __future__ import annotations

import mmap
import os
from struct import Struct

_PLACE = Struct("Q")
_PLACE_BYTES = _PLACE.size
_PLACES = 512
_SIZE_BYTES = _PLACES * _PLACE_BYTES


class Note:
    """One request's note, for a block. A class, since a generator would take thrice as long."""

    __slots__ = ("_box", "_index", "_place")

    def __init__(self, box: BlackBox, index: int) -> None:
        self._box = box
        self._index = index

    def __enter__(self) -> None:
        self._place = self._box.take(self._index)

    def __exit__(self, *_: object) -> None:
        self._box.give_back(self._place)


class BlackBox:
    """One child's notes, shared by it and its parent. `descriptor` is handed to the child."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("percore-black-box", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, _SIZE_BYTES)
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _SIZE_BYTES)
        self._free = list(range(0, _SIZE_BYTES, _PLACE_BYTES))

    def noting(self, index: int) -> Note:
        """A context: for its block, request `index` is running. Where all places are taken it goes without a note."""
        return Note(self, index)

    def take(self, index: int) -> int | None:
        """Note that request `index` is running; the place of the note, None where all are taken."""
        if not self._free:
            return None
        place = self._free.pop()
        _PLACE.pack_into(self._memory, place, index + 1)  # 0 is nobody
        return place

    def give_back(self, place: int | None) -> None:
        """It runs no more."""
        if place is not None:
            _PLACE.pack_into(self._memory, place, 0)
            self._free.append(place)

    def read(self) -> list[int]:
        """Indexes of the requests that are running, or were at the end."""
        return sorted(number - 1 for (number,) in _PLACE.iter_unpack(bytes(self._memory)) if number)

    def close(self) -> None:
        """Give the memory back; the other side keeps its own."""
        self._memory.close()
        os.close(self.descriptor)
