"""Input file: one input of a batch, open, whatever its format and packing, as lines."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import msgspec

from app.errors import UsageError
from app.files.placed import PlacedReader
from app.files.reasons import reason_of
from app.files.unpacked import Unpacked, UnpackedFile
from app.sources.parquet import ParquetRows
from app.sources.source import STANDARD_INPUT, Format, Source
from app.sources.stored import stored_lines

_BUFFER_BYTES = 256 * 1024

# Byte order marks of UTF-16, in which some programs export text.
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_ARC = b"filedesc://"
_WARC = b"WARC/"
_LONGEST_MAGIC = 16


class InputName(msgspec.Struct, frozen=True):
    """An input as the user named it, and how it is to be read."""

    name: str
    format: Format
    url_column: str = "url"

    @property
    def is_standard_input(self) -> bool:
        return self.name == STANDARD_INPUT

    def status(self) -> os.stat_result:
        """Raises UsageError when it is not there."""
        return status_of(self.name)

    def open(self, *, limit_bytes: int | None = None) -> InputFile:
        """limit_bytes: end after so many unpacked bytes. Raises UsageError as InputFile does."""
        return InputFile(self, limit_bytes)


def status_of(name: str) -> os.stat_result:
    """Of an input of that name. Raises UsageError when it is not there."""
    try:
        return os.fstat(0) if name == STANDARD_INPUT else os.stat(name)
    except OSError as error:
        raise UsageError(f"can't read {name}: {reason_of(error)}") from None


class InputFile:
    """An open input. Raises UsageError when it can't be opened, or is not what its format says."""

    def __init__(self, given: InputName, limit_bytes: int | None = None) -> None:
        self._given = given
        self._parquet: ParquetRows | None = None
        try:
            # Its own descriptor object over 0: a thread may be left waiting in it when the process ends, which the
            # interpreter's own standard input would not survive.
            self._raw = io.FileIO(
                0 if given.is_standard_input else given.name, "rb", closefd=not given.is_standard_input
            )
        except OSError as error:
            raise UsageError(f"can't read {given.name}: {reason_of(error)}") from None
        self._unpacked = Unpacked(self._raw, limit_bytes=limit_bytes)

    @property
    def is_cut(self) -> bool:
        """Whether its limit has ended it."""
        return self._unpacked.is_cut

    @property
    def unpacked_bytes(self) -> int:
        """How much came out of it by now."""
        return self._unpacked.unpacked_bytes

    @property
    def read_bytes(self) -> float:
        """How much of the file has been read. Safe in any thread."""
        if self._parquet is not None:
            return self._parquet.share * os.fstat(self._raw.fileno()).st_size
        return self._unpacked.read_bytes

    def lines(self) -> Iterator[bytes]:
        """Its lines (app.sources.forms). Blocks as the file does. To be asked for once.

        Raises UsageError for what is not of its format, BrokenInput where it can't be read on, OSError.
        """
        given = self._given
        try:
            if given.format == "parquet":
                yield from self._parquet_lines()
            elif given.format == "warc":
                yield from self._stored_lines()
            else:
                stream = io.BufferedReader(UnpackedFile(self._unpacked), _BUFFER_BYTES)
                if given.format != "sitemap":
                    self._refuse(
                        stream.peek(2), _UTF_16, "it is UTF-16, not UTF-8; iconv -f UTF-16 -t UTF-8 makes it so"
                    )
                yield from Source(given.format, given.url_column).lines(stream)
        except UsageError as error:
            raise UsageError(f"{given.name}: {error}") from None

    def close(self) -> None:
        """Give the file back; reading it in another thread then fails."""
        if self._parquet is not None:
            self._parquet.close()
        self._raw.close()

    def _parquet_lines(self) -> Iterator[bytes]:
        if not self._raw.seekable():
            raise UsageError("Parquet can't be read from a pipe; put it into a file")
        if self._unpacked.piece() and self._unpacked.is_packed:
            raise UsageError("Parquet is packed within; unpack the file first")
        self._parquet = ParquetRows(self._given.name, self._given.url_column)
        yield from self._parquet.lines()

    def _stored_lines(self) -> Iterator[bytes]:
        if self._given.is_standard_input or not self._raw.seekable():
            raise UsageError("stored responses are read a second time, which a pipe can't be; put the WARC into a file")
        reader = PlacedReader(self._unpacked)
        beginning = reader.ahead(_LONGEST_MAGIC)
        self._refuse(beginning, (_ARC,), "it is an ARC file; `warcio recompress` makes a WARC of it")
        if beginning and not beginning.startswith(_WARC):
            raise UsageError("it is no WARC file")
        yield from stored_lines(reader, os.fsencode(os.path.abspath(self._given.name)), self._given.name)

    def _refuse(self, beginning: bytes, magic: tuple[bytes, ...], why: str) -> None:
        if beginning.startswith(magic):
            raise UsageError(why)
