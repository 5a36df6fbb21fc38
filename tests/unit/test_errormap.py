"""What a failure's message says, whichever library it comes from."""

from __future__ import annotations

import zlib

import pytest
import requests
from urllib3.exceptions import DecodeError, ProtocolError

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
