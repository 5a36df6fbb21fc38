"""Inputs: all inputs of a batch as one stream of lines, with one running index.

Nothing is read before it is asked for, but for a look at each file's beginning, so that a wrong name or a missing
column is told at once and not after hours. A file that breaks off, is damaged, or proves not to be what it is said to
be once others were read, gives one line without request at that point, hence one failed record, and the next file goes
on: what was read before it is worth keeping. Both follow from what is in the files alone, so that a later run reads the
same lines.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec

from app.errors import BrokenInput, UsageError
from app.files.parquet_extra import pyarrow_is_missing
from app.files.reasons import reason_of
from app.sources.forms import unreadable_line
from app.sources.input_file import InputFile, InputName, status_of
from app.sources.source import STANDARD_INPUT, Format, format_of

# So much of a file is looked at before the start, and of so many files.
_LOOK_BYTES = 1024 * 1024
_LOOK_FILES = 100

# `count_lines` reads no more than this, a fraction of a second.
_COUNT_BYTES = 64 * 1024 * 1024


class Inputs:
    """names: files, or "-" for standard input; format: of all of them, None when each name tells it; url_column: of
    those that have columns.

    Raises UsageError for a file that can't be read, is not what it is said to be, or has no such column.
    """

    def __init__(self, names: Sequence[str], format: Format | None = None, url_column: str = "url") -> None:  # noqa: A002
        if not names:
            raise UsageError("no input")
        if list(names).count(STANDARD_INPUT) > 1:
            raise UsageError("standard input can be read once only")
        statuses = [_status(name) for name in names]
        self._names = [InputName(name, format or format_of(name), url_column) for name in names]
        self._are_files = [
            stat.S_ISREG(status.st_mode) and not given.is_standard_input
            for given, status in zip(self._names, statuses, strict=True)
        ]
        self._fingerprint = [
            (_shown(given.name), status.st_size, status.st_mtime_ns) if is_file else (_shown(given.name), -1, -1)
            for given, status, is_file in zip(self._names, statuses, self._are_files, strict=True)
        ]
        self._total_bytes = sum(status.st_size for status in statuses)
        # Mutable, by the thread that reads lines; `_open` before `_passed_bytes`, so that a share is never too large.
        self._open: InputFile | None = None
        self._passed_bytes = 0.0
        self._is_closed = False
        self._look()

    @property
    def formats(self) -> list[Format]:
        """Of each input, in order."""
        return [given.format for given in self._names]

    @property
    def is_repeatable(self) -> bool:
        """Whether all of it can be read again: files, no pipe and no standard input."""
        return all(self._are_files)

    def fingerprint(self) -> list[tuple[str, int, int]]:
        """Path, size in bytes and time of change in ns of each input, in order; -1 for what can't be told again."""
        return list(self._fingerprint)

    def is_same_file(self, path: str) -> bool:
        """Whether that file is one of the inputs."""
        try:
            status = os.stat(path)
        except OSError:
            return False
        return any(os.path.samestat(status, given.status()) for given in self._names)

    def lines(self) -> Iterator[bytes]:
        """All lines (app.sources.forms), those without an entry too. Blocks as the files do. To be asked for once.

        Raises UsageError when the first file is not what it is said to be, or any can't be opened, OSError when the
        disk fails.
        """
        for number, (given, (_, size_bytes, _)) in enumerate(zip(self._names, self._fingerprint, strict=True)):
            if self._is_closed:
                return
            self._open = given.open()
            try:
                yield from self._open.lines()
            except BrokenInput as error:
                yield unreadable_line(f"{given.name} can't be read any further: {error}", given.name)
            except UsageError as error:
                # The first one's mistake is told before anything was read.
                if number == 0:
                    raise
                yield unreadable_line(f"can't read {error}", given.name)
            finally:
                opened, self._open = self._open, None
                self._passed_bytes += max(0, size_bytes)
                opened.close()

    def read_share(self) -> float | None:
        """How much of all inputs' bytes has been read, 0 to 1; None when that can't be known. Safe in any thread."""
        if not self.is_repeatable:
            return None
        opened, passed_bytes = self._open, self._passed_bytes
        # It may be closed at this moment.
        with suppress(OSError, ValueError):
            passed_bytes += opened.read_bytes if opened is not None else 0
        return min(1.0, passed_bytes / self._total_bytes) if self._total_bytes else 1.0

    def count_lines(self, limit: int) -> int:
        """How many lines there are, counted up to `limit`; `limit`, too, when it would take long to know.

        The same for the same files on every machine. Raises as `lines`.
        """
        if not self.is_repeatable:
            return limit
        count = 0
        left_bytes = _COUNT_BYTES
        for given in self._names:
            opened = given.open(limit_bytes=left_bytes)
            try:
                for _ in opened.lines():
                    count += 1
                    if count >= limit:
                        return limit
            except BrokenInput:
                count += 1
            finally:
                opened.close()
            left_bytes -= opened.unpacked_bytes
            if opened.is_cut or left_bytes <= 0:
                return limit
        return count

    def close(self) -> None:
        """Give the files back. A thread that is reading lines meanwhile may meet a ValueError or OSError."""
        self._is_closed = True
        if (opened := self._open) is not None:
            opened.close()

    def _look(self) -> None:
        for given in self._names[_LOOK_FILES:]:
            # No property of the file's, which could be there when it is read again.
            if given.format == "parquet" and find_spec("pyarrow") is None:
                raise UsageError(f"{given.name}: {pyarrow_is_missing()}")
        for given, is_file in list(zip(self._names, self._are_files, strict=True))[:_LOOK_FILES]:
            if not is_file:
                continue
            opened = given.open(limit_bytes=_LOOK_BYTES)
            try:
                # What is broken has its record when it is read.
                with suppress(BrokenInput):
                    next(opened.lines(), None)
            except OSError as error:
                raise UsageError(f"can't read {given.name}: {reason_of(error)}") from None
            finally:
                opened.close()


def _status(name: str) -> os.stat_result:
    """Asked before its format: that there is no such file is the better answer to a name that tells none."""
    if "://" in name and not os.path.exists(name):
        format_of(name)
    status = status_of(name)
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(f"can't read {name}: it is a folder")
    return status


def _shown(name: str) -> str:
    """The file's whole path, as text that can be written as JSON."""
    if name == STANDARD_INPUT:
        return name
    return os.path.realpath(name).encode("utf-8", "backslashreplace").decode()
