"""Batch input: the file or pipe that a batch reads, opened once, and by what it is known again."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from app.errors import UsageError
from app.sources.source import Format, Source, format_of
from workers.manifest import UNREPEATABLE, InputMark


class BatchInput:
    """An open input. Raises UsageError when it can't be opened or its format can't be told.

    name    a path, or "-" for standard input
    format  None to tell it by the name
    """

    def __init__(self, name: str, format_: Format | None, url_column: str) -> None:
        self.source = Source(format_ or format_of(name), url_column)
        self._name = name
        self._stream = _open(name)
        self._status = os.fstat(self._stream.fileno())
        # Standard input is read once, where it stands, also when a file was redirected to it.
        self.is_repeatable = name != "-" and stat.S_ISREG(self._status.st_mode)

    @property
    def entry_form(self) -> str:
        """See app.sources.entry."""
        return self.source.entry_form

    def lines(self) -> Iterator[bytes]:
        """The raw lines, from where the stream stands. Blocks as the stream does."""
        return self.source.lines(self._stream)

    def mark(self) -> InputMark:
        """By what it is known again."""
        if not self.is_repeatable:
            return InputMark(self._name, UNREPEATABLE, UNREPEATABLE)
        return InputMark(str(Path(self._name).resolve()), self._status.st_size, self._status.st_mtime_ns)

    def is_file(self, path: Path) -> bool:
        """Whether `path` is this very file."""
        return path.exists() and os.path.samestat(path.stat(), self._status)

    def read_share(self) -> float | None:
        """How much of it has been read, 0 to 1; None when that can't be told. Any thread."""
        if not self.is_repeatable:
            return None
        try:
            return os.lseek(self._stream.fileno(), 0, os.SEEK_CUR) / max(1, self._status.st_size)
        except (OSError, ValueError):
            return None  # read to its end and closed

    def close(self) -> None:
        """Let go of it."""
        self._stream.close()


def _open(name: str) -> BinaryIO:
    # Its own buffer over descriptor 0: a thread may be left waiting in it when the process ends, which the
    # interpreter's own standard input would not survive.
    try:
        return open(0 if name == "-" else name, "rb", closefd=name != "-")
    except OSError as error:
        raise UsageError(f"can't read {name}: {error.strerror}") from None
