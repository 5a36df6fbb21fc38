"""Transfer: one request and its answer over libcurl: one hop. It has a handle, which serves many, one at a time.

The law: from transfer to transfer only what differs is set. Nothing is sent twice that may have been done: libcurl
would send a request again when the connection that it reused turns out dead, whatever the method.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pycurl
from gevent import getcurrent
from greenlet import greenlet

from app.fetching.curl_errors import NO_HTTP, TransferError, no_socket
from app.fetching.handle import NO_CONNECT_LIMIT_MS, new_handle
from app.fetching.hub_curl import HubCurl
from app.fetching.profile import Profile
from app.fetching.read_limit import ReadLimit
from app.model.timing import Timing
from app.policy.retry import IDEMPOTENT_METHODS

_log = logging.getLogger("percore.fetching")

_PROTOCOLS = {
    pycurl.CURL_HTTP_VERSION_1_0: "HTTP/1.0",
    pycurl.CURL_HTTP_VERSION_1_1: "HTTP/1.1",
    pycurl.CURL_HTTP_VERSION_2_0: "HTTP/2",
    pycurl.CURL_HTTP_VERSION_3: "HTTP/3",
}


class Transfer:
    """A handle for `profile` on one hub. Mutable: see the attributes; one transfer at a time.

    head     lines of the answer's head, as they came; of interim answers and trailers too
    chunks   pieces of the body
    opened   sockets that were opened for the transfer
    code     None while under way, 0 after success, else a CURLcode; `message` is libcurl's
    """

    __slots__ = (
        "_body", "_connect_timeout_s", "_headers", "_hub_curl", "_is_fresh", "_is_numeric", "_may_share", "_no_socket",
        "_open_socket", "_position", "_resolve", "_shape", "_timeout_s", "_waiter", "chunks", "code", "curl", "head",
        "message", "opened",
    )  # fmt: skip

    def __init__(self, hub_curl: HubCurl, profile: Profile, open_socket: Callable[[Any], int]) -> None:
        """open_socket: see CurlDialer.open_socket."""
        self._hub_curl = hub_curl
        self._open_socket = open_socket
        self._no_socket = ""  # why the last socket that libcurl asked for could not be opened
        self._waiter: greenlet | None = None
        self._headers: Sequence[bytes] = ()
        self._resolve = self._is_fresh = self._may_share = self._is_numeric = False
        self._timeout_s: float | None = None
        self._connect_timeout_s: float | None = None
        self._shape: tuple[str, bool] = ("GET", False)
        self._body = b""
        self._position = 0
        self.head: list[bytes] = []
        self.chunks: list[bytes] = []
        self.opened: list[int] = []
        self.code: int | None = 0
        self.message = ""
        self.curl = new_handle(profile)
        setopt = self.curl.setopt
        setopt(pycurl.HEADERFUNCTION, self.head.append)
        setopt(pycurl.WRITEFUNCTION, self.chunks.append)
        setopt(pycurl.READFUNCTION, self._read)
        setopt(pycurl.SEEKFUNCTION, self._seek)
        setopt(pycurl.RESOLVER_START_FUNCTION, self._on_look_up)
        setopt(pycurl.OPENSOCKETFUNCTION, self._on_open_socket)

    def prepare(
        self,
        method: str,
        url: str,
        headers: Sequence[bytes],
        *,
        body: bytes | None = None,
        timeout_s: float | None = None,
        connect_timeout_s: float | None = None,
        resolve: list[str] | None = None,
        is_numeric: bool = False,
        may_share: bool = False,
    ) -> None:
        """Set what this transfer has for its own.

        headers  lines without line ends, in the form of CURLOPT_HTTPHEADER(3). A sequence that is handed in again
                 must not have changed
        timeout_s, connect_timeout_s  of the whole, and until the request can be sent; None is no limit
        resolve  names' addresses that libcurl does not have yet, in the form of CURLOPT_RESOLVE(3)
        is_numeric  the URL's host, or the proxy's, is an address, in whatever notation
        may_share  rather wait for a connection that is being made, and may turn out to be shared, than make another
        """
        setopt = self.curl.setopt
        setopt(pycurl.URL, url)
        if headers is not self._headers:
            setopt(pycurl.HTTPHEADER, headers)
            self._headers = headers
        if self._shape != (method, body is not None):
            self._reshape(method, body is not None)
        if body is not None:
            self._body = body
            self._position = 0
            setopt(pycurl.INFILESIZE_LARGE, len(body))
        is_fresh = method not in IDEMPOTENT_METHODS and (not body or self._hub_curl.may_be_dead())
        if is_fresh != self._is_fresh:
            self._set_fresh(is_fresh)
        if timeout_s != self._timeout_s:
            self._timeout_s = timeout_s
            setopt(pycurl.TIMEOUT_MS, 0 if timeout_s is None else _ms(timeout_s))
        if connect_timeout_s != self._connect_timeout_s:
            self._connect_timeout_s = connect_timeout_s
            limit_ms = NO_CONNECT_LIMIT_MS if connect_timeout_s is None else _ms(connect_timeout_s)
            setopt(pycurl.CONNECTTIMEOUT_MS, limit_ms)
        if may_share != self._may_share:
            self._may_share = may_share
            setopt(pycurl.PIPEWAIT, may_share)
        if resolve or self._resolve:
            setopt(pycurl.RESOLVE, resolve or [])
            self._resolve = bool(resolve)
        self._is_numeric = is_numeric

    def run(self, read_timeout_s: float | None = None) -> None:
        """Send what was prepared, and wait for the end, good or bad. Yields to the hub. Who is killed or timed out
        meanwhile takes the transfer along.

        read_timeout_s  longest time without progress once connected
        """
        self._hub_curl.start(self)
        self.code = None
        try:
            self.wait(read_timeout_s)
        finally:
            if self.code is None:
                self.stop()

    def met_bad_reuse(self) -> bool:
        """Whether it ended for what a reused connection had been through, and may be repeated on a new one.

        Either one after the other was dead, and libcurl, which takes the next idle one and not a new one, gave up
        (CONN_MAX_RETRIES). Or what came first is no HTTP, as when an earlier answer had more behind it than it may
        have.
        """
        if self.code not in NO_HTTP and self.code != pycurl.E_SEND_ERROR:
            return False
        if self.message.startswith("Connection died"):
            return True  # only what may be repeated ends so
        is_repeatable = self._shape[0] in IDEMPOTENT_METHODS
        return is_repeatable and not self.head and not self.curl.getinfo(pycurl.NUM_CONNECTS)

    def run_afresh(self, read_timeout_s: float | None) -> None:
        """`run` once more what has just ended, on a new connection, in the time that is left."""
        self.clear_answer()
        self._position = 0
        self._set_fresh(True)
        if self._timeout_s is not None:
            self._timeout_s -= self.curl.getinfo(pycurl.TOTAL_TIME)
            self.curl.setopt(pycurl.TIMEOUT_MS, _ms(self._timeout_s))
        self.run(read_timeout_s)

    def wait(self, read_timeout_s: float | None) -> None:
        """Yield to the hub until `wake`, or until nothing has come for so long, which ends the transfer.

        Raises RuntimeError in the hub itself, which would wait for its own turn.
        """
        hub = self._hub_curl.hub
        waiter = getcurrent()
        if waiter is hub:
            raise RuntimeError("a callback of the event loop can't wait for an answer; spawn a greenlet")
        limit = None if read_timeout_s is None else ReadLimit(self, hub.loop, read_timeout_s)
        self._waiter = waiter
        try:
            hub.switch()
        finally:
            self._waiter = None
            if limit is not None:
                limit.close()

    def wake(self) -> None:
        """In the hub: switch to whoever waits."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            waiter.switch()

    @property
    def is_paused(self) -> bool:
        """Whether libcurl was told to wait with the answer."""
        return False

    def ended(self, code: int, message: str) -> None:
        """It is over. Must not switch."""
        self.code = code
        self.message = message

    def error(self, *, in_answer: bool) -> TransferError:
        """Why it failed. in_answer: whether that was after a whole head."""
        assert self.code is not None
        # libcurl's words, unless it was refused a socket, of which it knows no reason.
        why = (self.code == pycurl.E_COULDNT_CONNECT and self._no_socket) or self.message
        return TransferError(self.code, why, is_connected=self.is_connected(), in_answer=in_answer)

    def stop(self, code: int = pycurl.E_ABORTED_BY_CALLBACK, message: str = "stopped") -> None:
        """End a transfer that is under way. Not from a callback of libcurl."""
        if self.code is None:
            self._hub_curl.stop(self)
            self.ended(code, message)

    def clear(self) -> None:
        """Forget the last answer, so that an idle handle holds no memory."""
        self.head.clear()
        self.chunks.clear()
        self.opened.clear()
        self._body = b""

    def clear_answer(self) -> None:
        """Forget what has come."""
        self.head.clear()
        self.chunks.clear()

    def timing(self, name_s: float) -> Timing:
        """Of the transfer that has ended."""
        info = self.curl.getinfo
        connect_s = tls_s = 0.0
        is_reused = not info(pycurl.NUM_CONNECTS)
        if not is_reused:
            connect_s = name_s + info(pycurl.CONNECT_TIME)
            if tls_s := info(pycurl.APPCONNECT_TIME):
                tls_s += name_s
        first_byte_s = name_s + info(pycurl.STARTTRANSFER_TIME)
        total_s = name_s + info(pycurl.TOTAL_TIME)
        protocol = _PROTOCOLS.get(info(pycurl.INFO_HTTP_VERSION), "")
        return Timing(name_s, connect_s, tls_s, first_byte_s, total_s, is_reused, protocol)

    def protocol(self) -> str:
        """Of the answer, "HTTP/1.1" and so on; of the transfer under way or ended."""
        return _PROTOCOLS.get(self.curl.getinfo(pycurl.INFO_HTTP_VERSION), "")

    def expect_silence(self) -> None:
        """If a connection was made for it, that speaks HTTP/1: nothing may come before the next request."""
        for descriptor in self.opened:
            self._hub_curl.expect_silence(descriptor)

    def address(self) -> str:
        """What it was sent to, without brackets: the origin's, or the proxy's; "" if there was no connection. Of the
        transfer that has ended.
        """
        return self.curl.getinfo(pycurl.PRIMARY_IP) or ""

    def is_connected(self) -> bool:
        """Whether the request could be sent; of the transfer under way or ended. Its TLS and proxy are agreed on."""
        return bool(self.curl.getinfo(pycurl.PRETRANSFER_TIME))

    def progress(self) -> object:
        """Differs from one call to the next if anything went over the wire, or is still being connected."""
        if not self.is_connected():
            return object()
        info = self.curl.getinfo
        return (len(self.head), info(pycurl.SIZE_DOWNLOAD_T), info(pycurl.SIZE_UPLOAD_T))

    def _reshape(self, method: str, has_body: bool) -> None:
        """Another method, or a body where none was."""
        curl = self.curl
        curl.unsetopt(pycurl.CUSTOMREQUEST)
        curl.setopt(pycurl.UPLOAD, 0)
        curl.setopt(pycurl.HTTPGET, 1)
        if has_body:
            curl.setopt(pycurl.UPLOAD, 1)
            curl.setopt(pycurl.CUSTOMREQUEST, method)
        elif method == "HEAD":
            curl.setopt(pycurl.NOBODY, 1)
        elif method != "GET":
            curl.setopt(pycurl.CUSTOMREQUEST, method)
        self._shape = (method, has_body)

    def _set_fresh(self, is_fresh: bool) -> None:
        """Whether to use a connection of its own: for what must not be sent twice, if it has no body that `_seek` could
        refuse to send again, or if that refusal would be all that comes of a connection which was dead before.
        """
        if is_fresh != self._is_fresh:
            self.curl.setopt(pycurl.FRESH_CONNECT, is_fresh)
            self._is_fresh = is_fresh

    def _on_look_up(self) -> int:
        """libcurl is about to look a name up by itself, which it never shall, since nobody would vet the answer. It
        says so for addresses too, though it only reads them.
        """
        return 0 if self._is_numeric else 1

    def _on_open_socket(self, purpose: int, address: Any) -> int:
        """libcurl wants a socket. Must not switch."""
        self._no_socket = ""
        try:
            descriptor = self._open_socket(address)
            self.opened.append(descriptor)
            return descriptor
        except OSError as error:
            self._no_socket = no_socket(error)
            _log.error(self._no_socket)
            return pycurl.SOCKET_BAD

    def _read(self, size_bytes: int) -> bytes:
        """libcurl wants more of the body. Must not switch."""
        piece = self._body[self._position : self._position + size_bytes]
        self._position += len(piece)
        return piece

    def _seek(self, offset: int, origin: int) -> int:
        """libcurl wants to send the request again: the connection that it reused had died without a byte.

        By its own judgement it would do so with any method. What may have been done must not be done twice (RFC 9110
        section 9.2.2), so for other methods than these it gets a no and fails with E_SEND_FAIL_REWIND.
        """
        if self._shape[0] not in IDEMPOTENT_METHODS or offset or origin:
            return pycurl.SEEKFUNC_FAIL
        self._position = 0
        return pycurl.SEEKFUNC_OK


def _ms(limit_s: float) -> int:
    """For libcurl, to which 0 is no limit at all."""
    return max(1, int(limit_s * 1000))
