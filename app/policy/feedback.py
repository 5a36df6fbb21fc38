"""Who gets the core next. Pure: what has been used is handed in, and turns are counted instead of time.

The law (multi-level feedback, F. J. Corbato et al., "An Experimental Time-Sharing System", AFIPS 1962):

- Nobody says how long a run will be, so it is judged by the CPU time that it has used. Level 0 has used less than
  one slice, level n less than 2**n slices; the last level has all others.
- A turn goes to the lowest level that has somebody in line, and there to the one who came first. So a short run
  passes all long ones.
- Every `SENIOR_TURN`-th turn goes to whoever has been in line longest, at any level. So nobody starves: who gets in
  line behind n others has a turn among the next `SENIOR_TURN * (n + 1)`, whatever comes after.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

LEVELS = 7
SENIOR_TURN = 4

_T = TypeVar("_T")


def level_of(used_s: float, slice_s: float) -> int:
    """The level of a run that has used so much CPU time: 0 (new or short) to LEVELS - 1."""
    return min(int(used_s / slice_s).bit_length(), LEVELS - 1)


class FeedbackQueue(Generic[_T]):
    """The line. Items are hashable and stand in it once at most. Every operation is O(LEVELS) or better."""

    def __init__(self) -> None:
        # Mutable: per level, in order of arrival, each with its number in the order of all arrivals.
        self._levels: tuple[OrderedDict[_T, int], ...] = tuple(OrderedDict() for _ in range(LEVELS))
        self._arrivals = 0
        self._turns = 0
        self._length = 0

    def push(self, item: _T, level: int) -> None:
        """Get in line, behind all who are at this level."""
        self._arrivals += 1
        self._levels[level][item] = self._arrivals
        self._length += 1

    def pop(self) -> _T:
        """Whose turn it is; it leaves the line. Raises IndexError when nobody is in line."""
        if not self._length:
            raise IndexError("nobody is in line")
        self._turns += 1
        occupied = [level for level in self._levels if level]
        if self._turns % SENIOR_TURN == 0:
            occupied.sort(key=_first_arrival)
        item, _ = occupied[0].popitem(last=False)
        self._length -= 1
        return item

    def discard(self, item: _T) -> None:
        """Leave the line without a turn, if it is in line."""
        for level in self._levels:
            if level.pop(item, None) is not None:
                self._length -= 1
                return

    def clear(self) -> None:
        """Everybody leaves."""
        for level in self._levels:
            level.clear()
        self._length = 0

    def __len__(self) -> int:
        return self._length


def _first_arrival(level: OrderedDict[_T, int]) -> int:
    return next(iter(level.values()))
