"""Screen: a few lines at the bottom of what a terminal shows, drawn anew in place.

The law: one write for one picture, of what fits the window at that moment, and the cursor stays at the end of the last
line; so what is printed later, by whomever, comes below. Only control sequences of ECMA-48 that every terminal knows.
"""

from __future__ import annotations

import os
import select
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


def takes_more(stream: TextIO) -> bool:
    """Whether a write would not wait: a terminal that was stopped (ctrl-S) takes none."""
    try:
        return bool(select.select([], [stream], [], 0)[1])
    except (OSError, ValueError):
        return True


class Screen:
    """Draws on `stream`. Its methods raise OSError when that is gone.

    coloured  use styles
    size      columns and rows of the window, asked for each picture
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        coloured: bool,
        size: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self._stream = stream
        self._coloured = coloured
        self._size = size or (lambda: window_size(stream))
        self._widths: list[int] = []  # of the lines that are there, in characters

    def size(self) -> tuple[int, int]:
        """Columns and rows that a picture may have."""
        columns, rows = self._size()
        # The last column stays free: where a full line leaves the cursor differs from terminal to terminal.
        return max(1, columns - 1), rows

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these lines in the place of the last ones, cut to the window."""
        columns, rows = self.size()
        lines = lines[:rows]
        cut = [_cut(line, columns) for line in lines]
        picture = f"{_TO_LINE_END}\r\n".join(map(self._styled, cut))
        self._write(f"{self._to_the_top()}{picture}{_TO_SCREEN_END}")
        self._widths = [sum(len(text) for text, _ in line) for line in cut]

    def above(self, text: str) -> None:
        """Print a line above what is drawn next."""
        self._write(f"{self._to_the_top()}{_TO_SCREEN_END}{text}\r\n")
        self._widths = []

    def clear(self) -> None:
        """Take the lines away."""
        self._write(f"{self._to_the_top()}{_TO_SCREEN_END}")
        self._widths = []

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

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


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
