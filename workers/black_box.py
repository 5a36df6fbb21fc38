"""Black box: what a worker was doing when it died, or got stuck. A little memory that outlives it.

A crash in a stage's native code, or a kill for its memory, leaves no message. So the child notes, while a stage of a
request runs, which one that is; the parent reads the notes when it wants to know. A note costs no system call. Stages
share a core in slices, so several may have begun.

A child that is stuck in native code can't be asked, since it can't run Python; but faulthandler's signal handler can
write down where it is (`STACK_SIGNAL`). That goes behind the notes.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import re
import signal
from struct import Struct
from typing import NamedTuple

STACK_SIGNAL = signal.SIGUSR1

_PLACE = Struct("Q")
_PLACE_BYTES = _PLACE.size
_PLACES = 8192  # more stages are hardly begun at a time in one child
_SIZE_BYTES = _PLACES * _PLACE_BYTES

# A note is the index plus one, so that 0 is nobody, and the stage's place in the lowest bits.
_STAGE_BITS = 8
_STAGES = 1 << _STAGE_BITS

_STACK_BYTES = 1 << 16
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)


class Note(NamedTuple):
    """A stage that has begun: the request's index, and the stage's place among those of the job."""

    request: int
    stage: int


class BlackBox:
    """One child's notes, shared by it and its parent. `descriptor` is handed to the child."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("percore-black-box", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, _SIZE_BYTES)
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _SIZE_BYTES)
        self._free = list(range(0, _SIZE_BYTES, _PLACE_BYTES))

    # The child's side

    def take(self, index: int, stage: int = 0) -> int | None:
        """Note that a stage of request `index` is running; the place of the note, None where all are taken."""
        try:
            place = self._free.pop()
        except IndexError:
            return None
        _PLACE.pack_into(self._memory, place, (index + 1) << _STAGE_BITS | min(stage, _STAGES - 1))
        return place

    def give_back(self, place: int | None) -> None:
        """It runs no more."""
        if place is not None:
            _PLACE.pack_into(self._memory, place, 0)
            self._free.append(place)

    def write_stacks(self) -> None:
        """Have STACK_SIGNAL write down where the main thread is, also while it can't run Python."""
        os.lseek(self.descriptor, _SIZE_BYTES, os.SEEK_SET)
        faulthandler.register(STACK_SIGNAL, file=self.descriptor, all_threads=False, chain=False)

    # The parent's side

    def read(self) -> list[Note]:
        """What is running, or was at the end."""
        numbers = [number for (number,) in _PLACE.iter_unpack(bytes(self._memory)) if number]
        return sorted(Note((number >> _STAGE_BITS) - 1, number % _STAGES) for number in numbers)

    def forget_stacks(self) -> None:
        """Before STACK_SIGNAL is sent: what was written earlier must not be taken for the answer. Where the child
        writes is ours to set, since its open file is the same as ours.
        """
        os.ftruncate(self.descriptor, _SIZE_BYTES)
        os.lseek(self.descriptor, _SIZE_BYTES, os.SEEK_SET)

    def innermost_frame(self) -> str:
        """Where the child was when it last got STACK_SIGNAL, "function (file:line)"; "" if it has not answered since
        `forget_stacks`.
        """
        text = os.pread(self.descriptor, _STACK_BYTES, _SIZE_BYTES).decode("utf-8", "replace")
        found = _FRAME.search(text[text.rfind("Stack (most recent call first)") :])
        return f"{found[3]} ({found[1]}:{found[2]})" if found else ""

    def close(self) -> None:
        """Give the memory back; the other side keeps its own."""
        self._memory.close()
        os.close(self.descriptor)
