"""Words: what a child, or whatever it has started, writes to its standard error, as whole lines for its parent.

A pipe that the parent always reads, so that nobody who writes there waits for who reads the parent's own: a terminal
that is stopped, or a pipe that nobody empties, would hold up the hub of a child until it is taken for stuck. Lines of
several children don't mix, and none stands in the middle of a picture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

# At a time, so that a child that writes without end leaves its parent time for others; and of a line without an end.
_READ_BYTES = 8192
# As much as the kernel holds of a pipe (pipe(7)), and more.
_LAST_BYTES = 1 << 20


class Words:
    """Of one child, which is started in the `with` of `given`. Nothing here waits."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reader, False)
        self._rest = b""
        self.is_over = False  # nobody can write there any more

    def fileno(self) -> int:
        """For a selector."""
        return self._reader

    @contextmanager
    def given(self) -> Iterator[int]:
        """The child's end, as a descriptor. Once."""
        try:
            yield self._writer
        finally:
            os.close(self._writer)

    def lines(self) -> tuple[list[str], bool]:
        """Lines that have come since the last call, some of them; and whether they are the last: nobody can write there
        any more.
        """
        *whole, self._rest = (self._rest + self._read()).split(b"\n")
        if len(self._rest) > _READ_BYTES or (self._rest and self.is_over):
            whole.append(self._rest)
            self._rest = b""
        return [_text(line) for line in whole], self.is_over

    def last(self) -> list[str]:
        """All that is left once the child is gone. What it has started and left behind can write there no more."""
        data = self._rest
        while not self.is_over and len(data) < _LAST_BYTES and (read := self._read()):
            data += read
        os.close(self._reader)
        return [_text(line) for line in data.removesuffix(b"\n").split(b"\n")] if data else []

    def _read(self) -> bytes:
        try:
            data = os.read(self._reader, _READ_BYTES)
        except BlockingIOError:
            return b""
        self.is_over = not data
        return data


def _text(line: bytes) -> str:
    # Of a line that was written over and over, its last state.
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "backslashreplace")
