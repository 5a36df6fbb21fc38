"""From libcurl's codes to what requests raises for the same thing, and to our own error kinds.

    TransferError   what libcurl said: code, kind and one line. It is the cause inside of what requests raises

A code that is not in the table is a defect: requests' users get a ConnectionError, our records say INTERNAL_ERROR.
"""

from __future__ import annotations

import os

import pycurl
import requests
import urllib3.exceptions
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectTimeout,
    InvalidHeader,
    InvalidURL,
    ProxyError,
    ReadTimeout,
    RequestException,
    SSLError,
)

from app.files.reasons import LACKS, reason_of
from app.model.outcome import ErrorKind

# Without a name in pycurl.
_E_WEIRD_SERVER_REPLY = 8
_E_HTTP2_STREAM = 92
_E_HTTP3 = 95
_E_QUIC_CONNECT_ERROR = 96
_E_PROXY = 97
_E_TOO_LARGE = 100

# What came in place of a status line is none: the first on a connection that may be HTTP/0.9, the second on any other.
NO_HTTP = frozenset({pycurl.E_UNSUPPORTED_PROTOCOL, _E_WEIRD_SERVER_REPLY})

_KINDS: dict[int, ErrorKind] = {
    # HTTP/0.9 is what everything without a status line looks like.
    pycurl.E_UNSUPPORTED_PROTOCOL: ErrorKind.BAD_RESPONSE,
    pycurl.E_URL_MALFORMAT: ErrorKind.INVALID_REQUEST,
    pycurl.E_COULDNT_RESOLVE_PROXY: ErrorKind.CONNECT_FAILED,
    pycurl.E_COULDNT_RESOLVE_HOST: ErrorKind.NAME_NOT_RESOLVED,
    pycurl.E_COULDNT_CONNECT: ErrorKind.CONNECT_FAILED,
    _E_WEIRD_SERVER_REPLY: ErrorKind.BAD_RESPONSE,
    pycurl.E_HTTP2: ErrorKind.CONNECTION_LOST,
    pycurl.E_PARTIAL_FILE: ErrorKind.CONNECTION_LOST,
    pycurl.E_OPERATION_TIMEDOUT: ErrorKind.TIMEOUT,
    pycurl.E_GOT_NOTHING: ErrorKind.CONNECTION_LOST,
    pycurl.E_SEND_ERROR: ErrorKind.CONNECTION_LOST,
    pycurl.E_RECV_ERROR: ErrorKind.CONNECTION_LOST,
    pycurl.E_BAD_CONTENT_ENCODING: ErrorKind.BAD_RESPONSE,
    pycurl.E_FILESIZE_EXCEEDED: ErrorKind.BODY_TOO_LARGE,
    pycurl.E_SEND_FAIL_REWIND: ErrorKind.CONNECTION_LOST,
    _E_HTTP2_STREAM: ErrorKind.CONNECTION_LOST,
    _E_HTTP3: ErrorKind.CONNECTION_LOST,
    _E_QUIC_CONNECT_ERROR: ErrorKind.CONNECT_FAILED,
    _E_PROXY: ErrorKind.CONNECT_FAILED,
    _E_TOO_LARGE: ErrorKind.BAD_RESPONSE,
    # Ours: the hub's multi handle was closed, or the process forked.
    pycurl.E_ABORTED_BY_CALLBACK: ErrorKind.CONNECTION_LOST,
    **dict.fromkeys(
        (
            pycurl.E_SSL_CONNECT_ERROR,
            pycurl.E_SSL_ENGINE_NOTFOUND,
            pycurl.E_SSL_ENGINE_SETFAILED,
            pycurl.E_SSL_CERTPROBLEM,
            pycurl.E_SSL_CIPHER,
            pycurl.E_PEER_FAILED_VERIFICATION,
            pycurl.E_SSL_ENGINE_INITFAILED,
            pycurl.E_SSL_CACERT_BADFILE,
            pycurl.E_SSL_SHUTDOWN_FAILED,
            pycurl.E_SSL_CRL_BADFILE,
            pycurl.E_SSL_ISSUER_ERROR,
            pycurl.E_SSL_PINNEDPUBKEYNOTMATCH,
            pycurl.E_SSL_INVALIDCERTSTATUS,
        ),
        ErrorKind.TLS_FAILED,
    ),
}

# Where libcurl says nothing: of a line of more than 100 KiB (CURL_MAX_HTTP_HEADER).
_WORDS = {_E_TOO_LARGE: "a line of the answer's head is too long"}

# What libcurl says under E_RECV_ERROR when bytes came that are no HTTP: the code alone does not tell.
_MALFORMED = ("chunk", "header", "malformed", "invalid", "illegal", "http/")


# Libraries hand on what the system says, and no number.
_LACKS = tuple(os.strerror(code) for code in LACKS)

# The words for a time-out once connected; libcurl has others for one before. Its times don't tell: where a connection
# was never made, all that come after it are set to the moment of the failure (seen in 8.23).
_TIMED_OUT_LATE = ("Operation timed out", "Read timed out")


class TransferError(Exception):
    """libcurl's verdict on a transfer.

    code          CURLcode
    kind          what it is in a record
    is_connected  the request could be sent
    in_answer     the answer had begun: the failure is one of its body, or its head broke off
    is_local      as FetchError's. The CA certificates are opened here, too
    """

    def __init__(self, code: int, message: str, *, is_connected: bool = True, in_answer: bool = False) -> None:
        text = " ".join(message.split()) or _WORDS.get(code) or f"libcurl's error {code}"
        super().__init__(text[:500])
        self.code = code
        self.in_answer = in_answer
        if code == pycurl.E_OPERATION_TIMEDOUT and not text.startswith(_TIMED_OUT_LATE):
            is_connected = False
        self.is_connected = is_connected
        self.kind = self._kind(text)
        self.is_local = code == pycurl.E_SSL_CACERT_BADFILE or any(lack in text for lack in _LACKS)

    @property
    def is_about_proxy(self) -> bool:
        """Whether it is the proxy that failed us."""
        text = str(self)
        return self.code in (_E_PROXY, pycurl.E_COULDNT_RESOLVE_PROXY) or "CONNECT tunnel" in text or "proxy" in text

    @property
    def is_about_key(self) -> bool:
        """Whether libcurl, for want of a code, calls the client's key a bad argument: it is none, or another one's."""
        return self.code == pycurl.E_BAD_FUNCTION_ARGUMENT and "private key" in str(self)

    @property
    def is_about_response(self) -> bool:
        """Whether libcurl, for want of a code, calls a header of the answer a bad argument."""
        return self.code == pycurl.E_BAD_FUNCTION_ARGUMENT and "response header" in str(self)

    def in_body(self) -> Exception:
        """What urllib3's response takes for the same thing while a body is read: it and requests wrap it in turn."""
        if self.code == pycurl.E_OPERATION_TIMEDOUT:
            raised: Exception = TimeoutError("timed out")
        else:
            raised = urllib3.exceptions.ProtocolError(f"Connection broken: {self}", self)
        raised.__cause__ = self
        return raised

    def _kind(self, text: str) -> ErrorKind:
        if "CONNECT tunnel" in text:
            return ErrorKind.CONNECT_FAILED
        if self.is_about_response:
            return ErrorKind.BAD_RESPONSE
        if self.is_about_key:
            return ErrorKind.TLS_FAILED
        if self.code == pycurl.E_RECV_ERROR and any(word in text.lower() for word in _MALFORMED):
            return ErrorKind.BAD_RESPONSE
        if self.code == pycurl.E_OPERATION_TIMEDOUT and not self.is_connected:
            return ErrorKind.CONNECT_FAILED
        kind = _KINDS.get(self.code, ErrorKind.INTERNAL_ERROR)
        # Over QUIC libcurl tells of a refusal as of data that could not be sent.
        is_refusal = not self.is_connected or text.startswith("Failed to connect")
        return ErrorKind.CONNECT_FAILED if kind is ErrorKind.CONNECTION_LOST and is_refusal else kind


def no_socket(error: OSError) -> str:
    """What a record says when the system refuses a socket, or a descriptor without which there is none."""
    return f"no socket: {reason_of(error)}"


def requests_error(
    error: TransferError, request: requests.PreparedRequest | None = None, *, is_proxied: bool = False
) -> RequestException:
    """What requests raises for the same thing, with `error` as its cause."""
    raised = _raised(error, is_proxied)
    raised.request = request
    raised.__cause__ = error
    return raised


def _raised(error: TransferError, is_proxied: bool) -> RequestException:
    text = str(error)
    if error.code == pycurl.E_OPERATION_TIMEDOUT:
        if error.in_answer:
            return requests.exceptions.ConnectionError(error)
        return ReadTimeout(error) if error.is_connected else ConnectTimeout(error)
    if is_proxied and (error.is_about_proxy or error.code == pycurl.E_COULDNT_CONNECT):
        return ProxyError(error)
    if error.kind is ErrorKind.TLS_FAILED:
        return SSLError(error)
    if error.code == pycurl.E_URL_MALFORMAT:
        return InvalidURL(error)
    if "Too large response headers" in text or error.code == _E_TOO_LARGE:
        return requests.exceptions.ConnectionError(error)
    if "Invalid Content-Length" in text:
        # Several that differ, or one that is no number.
        return InvalidHeader(error)
    if error.in_answer:
        return ChunkedEncodingError(error)
    if error.code == pycurl.E_BAD_FUNCTION_ARGUMENT and not error.is_about_response:
        return InvalidHeader(error)
    return requests.exceptions.ConnectionError(error)
