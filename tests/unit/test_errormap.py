"""What a failure's message says, whichever library it comes from."""

from __future__ import annotations

import errno
import os
import zlib

import pycurl
import pytest
import requests
from urllib3.exceptions import DecodeError, ProtocolError

from app.errors import FetchError
from app.fetching.curl_errors import TransferError, no_socket
from app.fetching.errormap import fetch_error
from app.model.outcome import ErrorKind

NO_GZIP = DecodeError("no gzip,  and  so", zlib.error("Error -3"))


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (requests.exceptions.ContentDecodingError(NO_GZIP), ErrorKind.BAD_RESPONSE, "no gzip, and so Error -3"),
        (ProtocolError("broken", "once", 2), ErrorKind.CONNECTION_LOST, "broken once 2"),
        (ProtocolError("broken", ProtocolError("off", "there")), ErrorKind.CONNECTION_LOST, "off there"),
        (ConnectionResetError(104, "reset"), ErrorKind.CONNECTION_LOST, "[Errno 104] reset"),
        (requests.ConnectionError(), ErrorKind.CONNECTION_LOST, "ConnectionError"),
    ],
)
def test_a_message_is_a_line_of_text(error: Exception, kind: ErrorKind, message: str) -> None:
    found = fetch_error(error)
    assert found is not None
    assert (found.kind, str(found)) == (kind, message)


LACK = OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.parametrize(
    ("error", "is_local"),
    [
        (TransferError(pycurl.E_COULDNT_CONNECT, no_socket(LACK)), True),
        (TransferError(pycurl.E_COULDNT_RESOLVE_PROXY, f"proxy.example: {LACK.strerror}"), True),
        (TransferError(pycurl.E_COULDNT_CONNECT, "connect to 192.0.2.1 failed: Cannot allocate memory"), True),
        (TransferError(pycurl.E_SSL_CACERT_BADFILE, "error adding trust anchors from file: /ca.pem"), True),
        (TransferError(pycurl.E_COULDNT_CONNECT, "Failed to connect to host: Connection refused"), False),
        (TransferError(pycurl.E_PEER_FAILED_VERIFICATION, "certificate has expired"), False),
        (requests.ConnectionError(ProtocolError("aborted", LACK)), True),
        (requests.ConnectionError(ProtocolError("aborted", ConnectionResetError(errno.ECONNRESET, "reset"))), False),
        (requests.ConnectionError(FetchError(ErrorKind.NAME_NOT_RESOLVED, "a: no", is_local=True)), True),
    ],
)
def test_what_is_lacking_here_is_told_from_what_others_did(error: Exception, is_local: bool) -> None:
    found = fetch_error(error)
    assert found is not None
    assert found.is_local is is_local
