"""Transfer: one request and its answer over libcurl: one hop. And its easy handle, which serves many, one at a time.

The law: a handle is configured once for its profile; from transfer to transfer only what differs is set. Setting
everything anew would cost more than the request.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import certifi
import pycurl
from gevent import getcurrent
from greenlet import greenlet

from app.fetching.curl_errors import NO_HTTP
from app.fetching.hub_curl import HubCurl
from app.fetching.profile import Profile
from app.model.timing import Timing
from app.policy.retry import IDEMPOTENT_METHODS

_HTTP_VERSIONS = {
    "1.1": pycurl.CURL_HTTP_VERSION_1_1,
    "2": pycurl.CURL_HTTP_VERSION_2TLS,  # by ALPN; HTTP/1.1 without TLS
    "3": pycurl.CURL_HTTP_VERSION_3,  # over QUIC, and the others if there is none
}

# CURLOPT_SUPPRESS_CONNECT_HEADERS(3), without a name in pycurl: a proxy's answer to CONNECT is not the server's.
_SUPPRESS_CONNECT_HEADERS = 265

# libcurl's own default is 16 KiB: a page in one or two pieces costs fewer calls.
_BUFFER_BYTES = 64 * 1024

# A read timeout is found out by looking this often, so it is late by a quarter at most.
_LOOKS_PER_TIMEOUT = 4


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
    is_numeric  the URL's host, or the proxy's, is an address, in whatever notation
    code     None while under way, 0 after success, else a CURLcode; `message` is libcurl's
    no_socket  why the last socket that libcurl asked for could not be opened; "" if it could
    """

    __slots__ = (
        "_body", "_connect_timeout_ms", "_headers", "_hub_curl", "_is_fresh", "_may_share", "_position", "_resolve",
        "_shape", "_timeout_ms", "_waiter", "chunks", "code", "curl", "head", "is_numeric", "message", "no_socket",
    )  # fmt: skip

    def __init__(self, hub_curl: HubCurl, profile: Profile, open_socket: Any = None) -> None:
        self._hub_curl = hub_curl
        self._waiter: greenlet | None = None
        self._headers: Sequence[bytes] = ()
        self._resolve = False
        self._is_fresh = False
        self._may_share = False
        self.is_numeric = False
        self._timeout_ms = self._connect_timeout_ms = 0
        self._shape: tuple[str, bool] = ("GET", False)
        self._body = b""
        self._position = 0
        self.head: list[bytes] = []
        self.chunks: list[bytes] = []
        self.code: int | None = 0
        self.message = self.no_socket = ""
        self.curl = pycurl.Curl()
        self._configure(profile, open_socket)

    def prepare(
        self,
        method: str,
        url: str,
        headers: Sequence[bytes],
        *,
        body: bytes | None = None,
        timeout_ms: int = 0,
        connect_timeout_ms: int = 0,
        resolve: list[str] | None = None,
        may_share: bool = False,
    ) -> None:
        """Set what this transfer has for its own. Times in milliseconds, 0 is none.

        headers  lines without line ends, in the form of CURLOPT_HTTPHEADER(3). A sequence that is handed in again
                 must not have changed
        resolve  names' addresses that libcurl does not have yet, in the form of CURLOPT_RESOLVE(3)
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
        if timeout_ms != self._timeout_ms:
            self._timeout_ms = timeout_ms
            setopt(pycurl.TIMEOUT_MS, timeout_ms)
        if connect_timeout_ms != self._connect_timeout_ms:
            self._connect_timeout_ms = connect_timeout_ms
            # 0 would be libcurl's own 300 s.
            setopt(pycurl.CONNECTTIMEOUT_MS, connect_timeout_ms or 2**31 - 1)
        if may_share != self._may_share:
            self._may_share = may_share
            setopt(pycurl.PIPEWAIT, may_share)
        if resolve or self._resolve:
            setopt(pycurl.RESOLVE, resolve or [])
            self._resolve = bool(resolve)

    def run(self, read_timeout_s: float | None = None) -> None:
        """Send what was prepared, and wait for the end, good or bad. Yields to the hub. Who is killed or timed out
        meanwhile takes the transfer along.

        read_timeout_s  longest time without progress once connected
        """
        hub_curl = self._hub_curl
        hub_curl.start(self)
        self.code = None
        patience = None
        try:
            if read_timeout_s is not None:
                patience = Patience(self, hub_curl, read_timeout_s)
            self.wait()
        finally:
            if patience is not None:
                patience.close()
            if self.code is None:
                self.stop()

    def met_bad_reuse(self) -> bool:
        """Whether it ended for what a reused connection had been through, and may be repeated on a new one.

        Either one after the other was dead, and libcurl, which takes the next idle one and not a new one, gave up
        (CONN_MAX_RETRIES): only what may be repeated ends so. Or what came first is no HTTP, as when an earlier answer
        had more behind it than it may have.
        """
        if self.code in NO_HTTP:
            is_repeatable = self._shape[0] in IDEMPOTENT_METHODS
            return is_repeatable and not self.head and not self.curl.getinfo(pycurl.NUM_CONNECTS)
        return self.code == pycurl.E_SEND_ERROR and self.message.startswith("Connection died")

    def run_afresh(self, read_timeout_s: float | None, timeout_ms: int) -> None:
        """`run` once more what has just ended, on a new connection."""
        self.clear_answer()
        self._position = 0
        self._set_fresh(True)
        self._timeout_ms = timeout_ms
        self.curl.setopt(pycurl.TIMEOUT_MS, timeout_ms)
        self.run(read_timeout_s)

    def wait(self) -> None:
        """Yield to the hub until `wake`. Raises RuntimeError in the hub itself, which would wait for its own turn."""
        hub = self._hub_curl.hub
        waiter = getcurrent()
        if waiter is hub:
            raise RuntimeError("a callback of the event loop can't wait for an answer; spawn a greenlet")
        self._waiter = waiter
        try:
            hub.switch()
        finally:
            self._waiter = None

    def wake(self) -> None:
        """In the hub: switch to whoever waits."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            waiter.switch()

    def ended(self, code: int, message: str) -> None:
        """It is over. Must not switch."""
        self.code = code
        self.message = message

    @property
    def why(self) -> str:
        """Why it failed: libcurl's words, unless it was refused a socket, of which it knows no reason."""
        return (self.code == pycurl.E_COULDNT_CONNECT and self.no_socket) or self.message

    def stop(self, code: int = pycurl.E_ABORTED_BY_CALLBACK, message: str = "stopped") -> None:
        """End a transfer that is under way. Not from a callback of libcurl."""
        if self.code is None:
            self._hub_curl.stop(self)
            self.ended(code, message)

    def clear(self) -> None:
        """Forget the last answer, so that an idle handle holds no memory."""
        self.head.clear()
        self.chunks.clear()
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

    def _configure(self, profile: Profile, open_socket: Any) -> None:
        setopt = self.curl.setopt
        setopt(pycurl.NOSIGNAL, 1)
        setopt(pycurl.NOPROGRESS, 1)
        setopt(pycurl.HEADERFUNCTION, self.head.append)
        setopt(pycurl.WRITEFUNCTION, self.chunks.append)
        setopt(pycurl.READFUNCTION, self._read)
        setopt(pycurl.SEEKFUNCTION, self._seek)
        setopt(pycurl.BUFFERSIZE, _BUFFER_BYTES)
        setopt(pycurl.CONNECTTIMEOUT_MS, 2**31 - 1)
        # Names are ours (app.fetching.names): libcurl keeps what we tell it, until we tell otherwise. Its own pruning
        # takes time in proportion to all names, after each transfer.
        setopt(pycurl.DNS_CACHE_TIMEOUT, -1)
        setopt(pycurl.RESOLVER_START_FUNCTION, self._on_look_up)
        if open_socket is not None:
            setopt(pycurl.OPENSOCKETFUNCTION, partial(open_socket, self))
        # The URL is sent as it is given; it was made canonical before.
        setopt(pycurl.PATH_AS_IS, 1)
        setopt(pycurl.HTTP_VERSION, _HTTP_VERSIONS[profile.http])
        setopt(pycurl.MAXFILESIZE_LARGE, profile.max_wire_bytes)
        # Not "unset", with which libcurl would look into the environment.
        setopt(pycurl.PROXY, profile.proxy)
        setopt(_SUPPRESS_CONNECT_HEADERS, 1)
        if profile.proxy:
            setopt(pycurl.HEADEROPT, pycurl.HEADER_SEPARATE)
        self._configure_tls(profile)

    def _configure_tls(self, profile: Profile) -> None:
        setopt = self.curl.setopt
        # With a file libcurl keeps the parsed certificates for all transfers of the multi handle.
        authorities = certifi.where() if profile.verify is True else profile.verify
        for prefix in ("", "PROXY_"):
            if not authorities:
                setopt(getattr(pycurl, f"{prefix}SSL_VERIFYPEER"), 0)
                setopt(getattr(pycurl, f"{prefix}SSL_VERIFYHOST"), 0)
            else:
                # Nothing besides: libcurl may have been built with a place of its own.
                told, other = ("CAPATH", "CAINFO") if os.path.isdir(authorities) else ("CAINFO", "CAPATH")
                self.curl.unsetopt(getattr(pycurl, prefix + other))
                setopt(getattr(pycurl, prefix + told), authorities)
        # libcurl keeps two sessions of each of the last 25 hosts: of many connections to few hosts, or to many, next to
        # none is resumed (13 % and 0 % in a trial), and keeping them costs a twentieth of each handshake.
        setopt(pycurl.SSL_SESSIONID_CACHE, 0)
        if profile.tls_groups:
            setopt(pycurl.SSL_EC_CURVES, profile.tls_groups)
        if profile.cert:
            certificate, key = (profile.cert, None) if isinstance(profile.cert, str) else profile.cert
            setopt(pycurl.SSLCERT, certificate)
            setopt(pycurl.SSLKEY, key or certificate)

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
        return 0 if self.is_numeric else 1

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


class Patience:
    """Ends a transfer that makes no progress for `limit_s`, found out up to a quarter of it late."""

    __slots__ = ("_hub_curl", "_last", "_quiet", "_timer", "_transfer")

    def __init__(self, transfer: Transfer, hub_curl: HubCurl, limit_s: float) -> None:
        self._transfer = transfer
        self._last: object = None
        self._quiet = 0
        look_every_s = limit_s / _LOOKS_PER_TIMEOUT
        self._timer = hub_curl.hub.loop.timer(look_every_s, look_every_s)
        self._timer.start(self._look, update=True)

    def close(self) -> None:
        """Look no more."""
        self._timer.stop()
        self._timer.close()

    def _look(self) -> None:
        now = self._transfer.progress()
        if now != self._last:
            self._last = now
            self._quiet = 0
            return
        self._quiet += 1
        if self._quiet >= _LOOKS_PER_TIMEOUT:
            self._transfer.stop(pycurl.E_OPERATION_TIMEDOUT, "Read timed out: nothing came within the read timeout")
            self._transfer.wake()
