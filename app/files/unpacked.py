"""Unpacked: the bytes of a file as they were before gzip or Zstandard, piece by piece, in bounded memory.

The law: however little a file is and however much it unpacks to, no more than a piece of it is here at once (and the
window that a Zstandard frame asks for, 128 MB at the very most); a bomb costs time only. What a file is packed with is
told by its first bytes, never by its name.

A file is a row of members (RFC 1952 section 2.2; frames in RFC 8878 section 3.1), each of which can be unpacked alone:
a piece never reaches across the end of one, so its place says where to begin to come by it again.
"""

from __future__ import annotations

import errno
import io
from typing import Any, NamedTuple

from app.errors import BrokenInput
from app.files.packings import MAGIC_BYTES, Decoder, Packing, packing_of

PIECE_BYTES = 128 * 1024

_READ_BYTES = 64 * 1024


class Place(NamedTuple):
    """Where a byte stands: offset of its member in the file, and bytes of it that unpack before. Of a file that is not
    packed each byte begins a member.
    """

    member_bytes: int
    skip_bytes: int


class Unpacked:
    """Reads `raw` from where it stands, which is taken for offset 0.

    raw          unbuffered and binary; a pipe will do
    limit_bytes  end after so many unpacked bytes; `is_cut` then
    Raises BrokenInput for what is damaged or breaks off, OSError as `raw` does.
    """

    def __init__(self, raw: io.RawIOBase, *, limit_bytes: int | None = None) -> None:
        self._raw = raw
        self._limit_bytes = limit_bytes
        self._packing: Packing | None = None
        self._input = b""  # read from the file, and not unpacked
        self._decoder: Decoder | None = None
        self._place = Place(0, 0)
        self._is_begun = False
        self._member_end = 0  # unpacked bytes of the member so far
        self.read_bytes = 0  # offset of what is read next; may be asked for in any thread
        self.unpacked_bytes = 0
        self.is_cut = False

    @property
    def is_packed(self) -> bool:
        """Known once the first piece was read."""
        return self._packing is not None

    @property
    def place(self) -> Place:
        """Of the first byte of the piece that was read last."""
        return self._place

    def piece(self) -> bytes:
        """The next bytes, all of one member; b"" at the end. Blocks as `raw` does."""
        if self._limit_bytes is not None and self.unpacked_bytes >= self._limit_bytes:
            self.is_cut = True
            return b""
        if not self._is_begun:
            self._begin()
        piece = self._plain_piece() if self._packing is None else self._unpacked_piece(self._packing)
        self.unpacked_bytes += len(piece)
        return piece

    def go_to(self, member_bytes: int) -> None:
        """Read on at that offset, where a member must begin. `raw` must be a file whose packing is known."""
        self._raw.seek(member_bytes)
        self.read_bytes = member_bytes
        self._input = b""
        self._decoder = None
        self._place = Place(member_bytes, 0)
        self._member_end = 0

    def _begin(self) -> None:
        self._is_begun = True
        # A pipe may give its first bytes one by one.
        while len(self._input) < MAGIC_BYTES and (more := self._read()):
            self._input += more
        self._packing = packing_of(self._input)

    def _plain_piece(self) -> bytes:
        piece = self._input or self._read()
        self._input = b""
        self._place = Place(self.read_bytes - len(piece), 0)
        return piece

    def _unpacked_piece(self, packing: Packing) -> bytes:
        while True:
            if self._decoder is None and not self._next_member(packing):
                return b""
            decoder = self._decoder
            assert decoder is not None
            try:
                piece = decoder.decompress(self._input, PIECE_BYTES)
            except packing.error as error:
                raise BrokenInput(f"its {packing.name} data is damaged: {error}") from None
            self._input = b""
            place = Place(self._place.member_bytes, self._member_end)
            self._member_end += len(piece)
            if decoder.eof:
                self._input = decoder.unused_data
                self._decoder = None
            elif not piece and decoder.needs_input:
                self._input = self._read()
                if not self._input:
                    raise BrokenInput(f"it breaks off in the middle of its {packing.name} data")
            if piece:
                self._place = place
                return piece

    def _next_member(self, packing: Packing) -> bool:
        """Whether there is one, begun then."""
        # gzip's own program fills blocks of a tape with zeros.
        while len(rest := self._input.lstrip(packing.padding)) < MAGIC_BYTES and (more := self._read()):
            self._input = rest + more
        self._input = rest
        if not rest:
            return False
        if not packing.begins(rest):
            raise BrokenInput(f"what stands after its {packing.name} data is none")
        self._decoder = packing.decoder()
        self._place = Place(self.read_bytes - len(rest), 0)
        self._member_end = 0
        return True

    def _read(self) -> bytes:
        piece = self._raw.read(_READ_BYTES)
        if piece is None:
            raise BlockingIOError(errno.EAGAIN, "it is set not to wait for more")
        self.read_bytes += len(piece)
        return piece


class UnpackedFile(io.RawIOBase):
    """The same as a file, to be read through a buffer."""

    def __init__(self, unpacked: Unpacked) -> None:
        super().__init__()
        self._unpacked = unpacked
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest:
            self._rest = memoryview(self._unpacked.piece())
        view = memoryview(buffer)
        taken = min(len(view), len(self._rest))
        view[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        return taken
