"""Screen: a few lines at the bottom of what a terminal shows, drawn anew in place: the text to be written for it.

The law: one text for one picture, of what fits the window at that moment, and the cursor stays at the end of the last
line; so what is printed later, by whomever, comes below. Only control sequences of ECMA-48 that every terminal knows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TextIO

Span = tuple[str, str]
"""A text and its style: "" or one of STYLES."""

Line = Sequence[Span]

STYLES = {"bold": "\x1b[1m", "dim": "\x1b[2m", "red": "\x1b[31m", "green": "\x1b[32m", "cyan": "\x1b[36m"}

_RESET = "\x1b[m"
_TO_LINE_END = "\x1b[K"
_TO_SCREEN_END = "\x1b[J"

_USUAL_SIZE = (80, 24)


def window_size(stream: TextIO) -> tuple[int, int]:
    """Columns and rows of the terminal behind `stream`."""
    with suppress(OSError, ValueError):
        size = os.get_terminal_size(stream.fileno())
        if size.columns and size.lines:
            return size.columns, size.lines
    return _USUAL_SIZE


class Screen:
    """What its methods return is to be written at once, all of it, and in this order.

    coloured  use styles
    size      columns and rows of the window, asked for each picture
    """

    def __init__(self, *, coloured: bool, size: Callable[[], tuple[int, int]]) -> None:
        self._coloured = coloured
        self._size = size
        self._widths: list[int] = []  # of the lines that are there, in characters

    def size(self) -> tuple[int, int]:
        """Columns and rows that a picture may have."""
        columns, rows = self._size()
        # The last column stays free: where a full line leaves the cursor differs from terminal to terminal.
        return max(1, columns - 1), rows

    def draw(self, lines: Sequence[Line]) -> str:
        """Show these lines in the place of the last ones, cut to the window."""
        columns, rows = self.size()
        lines = lines[:rows]
        cut = [_cut(line, columns) for line in lines]
        picture = f"{_TO_LINE_END}\r\n".join(map(self._styled, cut))
        drawn = f"{self._to_the_top()}{picture}{_TO_SCREEN_END}"
        self._widths = [sum(len(text) for text, _ in line) for line in cut]
        return drawn

    def above(self, text: str) -> str:
        """Print a line above what is drawn next."""
        return f"{self.clear()}{text}\r\n"

    def clear(self) -> str:
        """Take the lines away."""
        cleared = f"{self._to_the_top()}{_TO_SCREEN_END}"
        self._widths = []
        return cleared

    def _to_the_top(self) -> str:
        """From the end of the last line to the beginning of the first, wherever the window has put them by now."""
        columns, _ = self._size()
        # A window that got narrower has broken the long ones.
        rows = sum(max(1, -(-width // max(1, columns))) for width in self._widths)
        return "\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "")

    def _styled(self, line: Line) -> str:
        if not self._coloured:
            return "".join(text for text, _ in line)
        return "".join(f"{STYLES[style]}{text}{_RESET}" if style else text for text, style in line)


def _cut(line: Line, columns: int) -> Line:
    """As much of a line as there is room for, without what a terminal would take for a command."""
    found: list[Span] = []
    for text, style in line:
        if columns <= 0:
            break
        shown = "".join(character if character.isprintable() else "?" for character in text)[:columns]
        found.append((shown, style))
        columns -= len(shown)
    return found
