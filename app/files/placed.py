"""Placed reader: lines and runs of bytes from an unpacked file, with the place where each begins."""

from __future__ import annotations

from app.files.unpacked import Place, Unpacked


class PlacedReader:
    """Reads `unpacked`, whose pieces nobody else may take. Raises what that raises; blocks as it does."""

    def __init__(self, unpacked: Unpacked) -> None:
        self._unpacked = unpacked
        self._piece = unpacked.piece()
        self._at = 0

    def place(self) -> Place:
        """Of the next byte; at the end, where one would be."""
        if not self._is_filled():
            return Place(self._unpacked.read_bytes, 0)
        member_bytes, skip_bytes = self._unpacked.place
        if self._unpacked.is_packed:
            return Place(member_bytes, skip_bytes + self._at)
        return Place(member_bytes + self._at, 0)

    def go_to(self, place: Place) -> bool:
        """Read on at that place; False where the file ends before it.

        What unpacks before it in its member is unpacked again, unless we stand there or between: reading forwards is
        cheap.
        """
        # To look is to read on, which is of no use where each byte can be gone to.
        is_near = self._unpacked.is_packed or self._at < len(self._piece)
        here = self.place() if is_near else Place(-1, 0)
        if here.member_bytes != place.member_bytes or here.skip_bytes > place.skip_bytes:
            self._unpacked.go_to(place.member_bytes)
            self._piece, self._at = b"", 0
            here = Place(place.member_bytes, 0)
        rest_bytes = place.skip_bytes - here.skip_bytes
        return self.skip(rest_bytes) == rest_bytes

    def ahead(self, size_bytes: int) -> bytes:
        """The next bytes, as many or fewer, which are still to be read then."""
        return self._piece[self._at : self._at + size_bytes]

    def line(self, limit_bytes: int) -> bytes:
        """Up to the next newline, which is its last byte, to the end, or to the limit; b"" at the end."""
        pieces: list[bytes] = []
        while limit_bytes > 0 and self._is_filled():
            end = self._piece.find(b"\n", self._at, self._at + limit_bytes) + 1
            found = self._piece[self._at : end or self._at + limit_bytes]
            self._at += len(found)
            limit_bytes -= len(found)
            pieces.append(found)
            if end:
                break
        return b"".join(pieces)

    def read(self, size_bytes: int) -> bytes:
        """As many bytes; fewer at the end."""
        pieces: list[bytes] = []
        while size_bytes > 0 and self._is_filled():
            found = self._piece[self._at : self._at + size_bytes]
            self._at += len(found)
            size_bytes -= len(found)
            pieces.append(found)
        return b"".join(pieces)

    def skip(self, size_bytes: int) -> int:
        """Pass over as many bytes; how many there were."""
        left_bytes = size_bytes
        while left_bytes > 0 and self._is_filled():
            passed = min(left_bytes, len(self._piece) - self._at)
            self._at += passed
            left_bytes -= passed
        return size_bytes - left_bytes

    def _is_filled(self) -> bool:
        if self._at >= len(self._piece):
            self._piece, self._at = self._unpacked.piece(), 0
        return bool(self._piece)
