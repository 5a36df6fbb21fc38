"""Who gets the core next. Pure: what has been used is handed in, and turns are counted instead of time.

The law (multi-level feedback, F. J. Corbato et al., "An Experimental Time-Sharing System", AFIPS 1962):

- Nobody says how long a run will be, so it is judged by what it has used. Level 0 has used less than one slice, level n
  less than 2**n slices; the last level has all others.
- A turn goes to the lowest level that has somebody in line, and there to the one who came first. So a short run
  passes all long ones.
- A run of level n goes on for up to 2**n turns, `MOST_TURNS` at most, before others of its level have theirs: what it
  works on is in the core's cache then. Turns of lower levels come in between.
- Every `SENIOR_TURN`-th turn goes to whoever has been in line longest, at any level, those that go on left aside. So
  nobody starves: who gets in line behind n others has a turn among the next `SENIOR_TURN * (n + 1)`, whatever comes
  after.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

LEVELS = 7
SENIOR_TURN = 16
MOST_TURNS = 8

_T = TypeVar("_T")


def level_of(used_s: float, slice_s: float) -> int:
    """The level of a run that has used so much: 0 (new or short) to LEVELS - 1."""
    return min(int(used_s / slice_s).bit_length(), LEVELS - 1)


def turns_at(level: int) -> int:
    """For how many turns in a row a run of this level goes on."""
    return min(1 << level, MOST_TURNS)


class _Level(Generic[_T]):
    """Who is in line at one level, in the order of arrival, each with its number in the order of all arrivals; and
    before all of them the one who goes on, if there is one.
    """

    __slots__ = ("going_on", "line")

    def __init__(self) -> None:
        self.line: OrderedDict[_T, int] = OrderedDict()
        self.going_on: list[_T] = []


class FeedbackQueue(Generic[_T]):
    """The line. Items are hashable and stand in it once at most. Every operation is O(LEVELS) or better.

    length  how many are in line; read-only
    """

    def __init__(self) -> None:
        # Mutable.
        self._levels: tuple[_Level[_T], ...] = tuple(_Level() for _ in range(LEVELS))
        self._arrivals = 0
        self._turns = 0
        self.length = 0

    def push(self, item: _T, level: int, *, goes_on: bool = False) -> bool:
        """Get in line at this level: before all others there, if it goes on and nobody does already; else behind them.

        Returns whether it stands before them.
        """
        place = self._levels[level]
        self.length += 1
        if goes_on and not place.going_on:
            place.going_on.append(item)
            return True
        self._arrivals += 1
        place.line[item] = self._arrivals
        return False

    def pop(self) -> _T:
        """Whose turn it is; it leaves the line. Raises IndexError when nobody is in line."""
        if not self.length:
            raise IndexError("nobody is in line")
        self._turns += 1
        self.length -= 1
        if self._turns % SENIOR_TURN == 0:
            lines = [level.line for level in self._levels if level.line]
            if lines:
                return min(lines, key=_first_arrival).popitem(last=False)[0]
        for level in self._levels:
            if level.going_on:
                return level.going_on.pop()
            if level.line:
                return level.line.popitem(last=False)[0]
        raise AssertionError("its length says that somebody is in line")

    def discard(self, item: _T) -> None:
        """Leave the line without a turn, if it is in line."""
        for level in self._levels:
            if item in level.going_on:
                level.going_on.remove(item)
            elif level.line.pop(item, None) is None:
                continue
            self.length -= 1
            return

    def clear(self) -> None:
        """Everybody leaves."""
        for level in self._levels:
            level.line.clear()
            level.going_on.clear()
        self.length = 0


def _first_arrival(line: OrderedDict[_T, int]) -> int:
    return next(iter(line.values()))
