"""Streamed body: a file over an answer that is read while it comes."""

from __future__ import annotations

from app.fetching.curl_errors import TransferError
from app.fetching.raw import ComingBody
from app.fetching.stream import Stream


class StreamedBody(ComingBody):
    """A body that is read while it comes; reading yields to the hub. When it is dropped unread, so is the transfer."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream
        self._rest = b""
        self._is_over = False

    @property
    def closed(self) -> bool:
        return self._is_over or super().closed

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """As a file's: fewer bytes than `size` only at the end."""
        if size is None or size < 0:
            pieces = [self._rest]
            self._rest = b""
            while piece := self._next():
                pieces.append(piece)
            return b"".join(pieces)
        pieces, wanted = [], size
        while wanted > 0:
            piece = self._rest or self._next()
            if not piece:
                break
            pieces.append(piece[:wanted])
            self._rest = piece[wanted:]
            wanted -= len(pieces[-1])
        return b"".join(pieces)

    def read1(self, size: int | None = -1, /) -> bytes:
        """What is here, at most `size` bytes; waits only if nothing is."""
        if size == 0:
            return b""
        piece = self._rest or self._next()
        if size is None or size < 0:
            self._rest = b""
            return piece
        self._rest = piece[size:]
        return piece[:size]

    def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override]
        piece = self.read1(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._rest = b""
        self._stream.close()
        super().close()

    def __del__(self) -> None:
        # Not `close`: a collection may begin inside a callback of libcurl's.
        self._stream.close_soon()

    def _next(self) -> bytes:
        try:
            piece = self._stream.read()
        except TransferError as error:
            raise error.in_body() from error
        self._is_over = not piece
        return piece
