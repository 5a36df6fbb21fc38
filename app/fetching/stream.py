"""Stream: a transfer whose answer is read while it comes, and whose request's body may be made while it is sent.

The law: at most `_HIGH_BYTES` (and the piece that crosses it) lie here unread. Then libcurl is told to pause, the
kernel's buffers fill, and the server has to wait: real back-pressure. Likewise a body is asked for a piece only when
libcurl has sent the last one. The pieces are made in the greenlet that sends, which may itself wait for anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pycurl

from app.fetching.curl_errors import TransferError
from app.fetching.head import final_head, is_final, status_of
from app.fetching.hub_curl import HubCurl
from app.fetching.profile import Profile
from app.fetching.transfer import Transfer
from app.policy.retry import IDEMPOTENT_METHODS

_HIGH_BYTES = 256 * 1024


class Stream(Transfer):
    """One streamed transfer; see CurlTransport.open_stream. Not for two greenlets at once.

    answer_head  lines of the final head, once `open` is back
    """

    __slots__ = (
        "_arrived", "_arrived_bytes", "_block_begin", "_has_head", "_hungry", "_outgoing", "_paused", "_read_timeout_s",
        "_sent_all", "answer_head",
    )  # fmt: skip

    def __init__(self, hub_curl: HubCurl, profile: Profile, open_socket: Callable[[Any], int]) -> None:
        super().__init__(hub_curl, profile, open_socket)
        self._arrived: deque[bytes] = deque()
        self._arrived_bytes = 0
        self._paused = False
        self._has_head = False
        self._block_begin = 0
        self._outgoing = b""
        self._hungry = False
        self._sent_all = True
        self._read_timeout_s: float | None = None
        self.answer_head: list[bytes] = []
        self.curl.setopt(pycurl.HEADERFUNCTION, self._on_head_line)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._on_piece)

    def open(
        self,
        chunks: Iterable[bytes] | None,
        length_bytes: int | None,
        read_timeout_s: float | None,
    ) -> None:
        """Send what was prepared, and `chunks` as its body; back when the head is here. Yields to the hub.

        Raises TransferError, or what `chunks` raises; the transfer is over then.
        """
        self._read_timeout_s = read_timeout_s
        if chunks is not None:
            method = self._shape[0]
            self._reshape(method, True)
            is_once = method not in IDEMPOTENT_METHODS
            # Whatever the method: `_seek` refuses all.
            self._set_fresh((length_bytes == 0 and is_once) or self._hub_curl.may_be_dead())
            self._sent_all = False
            self.curl.setopt(pycurl.INFILESIZE_LARGE, -1 if length_bytes is None else length_bytes)
        self._start(chunks)
        if chunks is None and self.met_bad_reuse():
            self.clear_answer()
            self._block_begin = 0
            self._set_fresh(True)
            self._start(None)
        if not self._has_head:
            raise self.error(in_answer=False) if self.code else self._nothing()
        self.answer_head = list(final_head(self.head))

    def _start(self, chunks: Iterable[bytes] | None) -> None:
        """Back when the head is here, or the end."""
        self._hub_curl.start(self)
        self.code = None
        try:
            if chunks is not None:
                self._send(iter(chunks))
            while not self._has_head and self.code is None:
                self.wait(self._read_timeout_s)
        except BaseException:
            self.close()
            raise

    def read(self) -> bytes:
        """The next piece of the body, of any size; empty at its end. Yields to the hub if none is here.

        Raises TransferError, once what had come before was read.
        """
        while not self._arrived:
            if self.code is not None:
                if self.code:
                    raise self.error(in_answer=self._has_head)
                return b""
            if self._paused:
                self._resume()
            else:
                self.wait(self._read_timeout_s)
        piece = self._arrived.popleft()
        self._arrived_bytes -= len(piece)
        if self._paused and self._arrived_bytes <= _HIGH_BYTES // 2:
            self._resume()
        return piece

    @property
    def is_paused(self) -> bool:
        return self._paused

    @property
    def is_whole(self) -> bool:
        """Whether everything has come, read or not."""
        return self.code == 0

    def close(self) -> None:
        """End it. A connection in the middle of a body can't serve again, and is closed. Safe to call again.

        Also from a finalizer, which may run inside a callback of libcurl's or in another thread: then the end comes a
        little later.
        """
        if self.code is None:
            self.stop()
        self._arrived.clear()
        self._arrived_bytes = 0

    def close_soon(self) -> None:
        """`close`, as soon as libcurl is off the stack: for finalizers, which run in any thread."""
        if self.code is None and not self._hub_curl.is_closed:
            self._hub_curl.soon(self.close)

    # --- libcurl's callbacks: they must not switch -------------------------------------------------------------------

    def _on_head_line(self, line: bytes) -> None:
        self.head.append(line)
        if self._has_head or line not in (b"\r\n", b"\n"):
            return
        if is_final(self.head[self._block_begin]):
            self._has_head = True
            self._hub_curl.wake_soon(self)
        else:
            self._block_begin = len(self.head)

    def _on_piece(self, piece: bytes) -> int | None:
        if self._arrived_bytes >= _HIGH_BYTES:
            # libcurl keeps the piece and brings it again.
            self._paused = True
            return pycurl.WRITEFUNC_PAUSE
        self._arrived.append(piece)
        self._arrived_bytes += len(piece)
        if self._waiter is not None:
            self._hub_curl.wake_soon(self)
        return None

    def _read(self, size_bytes: int) -> bytes | int:  # type: ignore[override]
        if self._outgoing:
            piece = self._outgoing[:size_bytes]
            self._outgoing = self._outgoing[size_bytes:]
            return piece
        if self._sent_all:
            return b""
        self._hungry = True
        self._hub_curl.wake_soon(self)
        return pycurl.READFUNC_PAUSE

    def _seek(self, offset: int, origin: int) -> int:
        # What was sent is gone, whatever the method.
        return pycurl.SEEKFUNC_FAIL

    # --- in the greenlet ---------------------------------------------------------------------------------------------

    def _send(self, chunks: Iterator[bytes]) -> None:
        for piece in chunks:
            if piece:
                if not self._is_asked_for_more():
                    return
                self._outgoing = bytes(piece)
                self._feed()
        self._sent_all = True
        # If libcurl has not asked yet, it will be told then: waiting for that would keep the answer from being read.
        if self._hungry and self.code is None:
            self._feed()

    def _is_asked_for_more(self) -> bool:
        """Wait until libcurl wants a piece. False when it will not: it is over, or the answer is here and says no.

        Like libcurl, who gives up sending then. Another answer may well come before all is sent, and then the rest is
        still awaited (RFC 9110 section 7.5).
        """
        while not self._hungry and self.code is None and not self._is_refused():
            self.wait(self._read_timeout_s)
        return self.code is None and not self._is_refused()

    def _is_refused(self) -> bool:
        return self._has_head and status_of(self.head[self._block_begin : self._block_begin + 1]) >= 300

    def _feed(self) -> None:
        self._hungry = False
        self._pause(pycurl.PAUSE_RECV if self._paused else pycurl.PAUSE_CONT)

    def _resume(self) -> None:
        self._paused = False
        if self.code is None:
            self._pause(pycurl.PAUSE_SEND if self._hungry else pycurl.PAUSE_CONT)

    def _pause(self, directions: int) -> None:
        try:
            self._hub_curl.pause(self, directions)
        except pycurl.error as error:
            code = error.args[0]
            self.stop(code if isinstance(code, int) else pycurl.E_ABORTED_BY_CALLBACK, str(error.args[-1]))

    def _nothing(self) -> TransferError:
        return TransferError(pycurl.E_GOT_NOTHING, "the server gave no answer", in_answer=bool(self.head))
