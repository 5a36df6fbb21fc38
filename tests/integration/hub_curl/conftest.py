"""An origin that sends what it is told to, and a transport of this hub; nothing may be left of either."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from app.fetching import CurlAdapter
from app.fetching.curl_transport import CurlTransport
from app.hub.per_hub import close_this_hub
from tests.support.curl_on_hub import OK
from tests.support.processes import HANG_GUARD_S
from tests.support.raw_origin import RawOrigin, Script, running_raw_origin


@pytest.fixture
def raw() -> Iterator[RawOrigin]:
    with running_raw_origin() as origin:
        origin.serve(Script.of(OK, "keep"), "ok")
        origin.serve(Script.of(b"", "hold"), "silent")
        origin.serve(Script.of(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "hold"), "half")
        origin.serve(Script.of(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000, "hold"), "large")
        yield origin


@pytest.fixture
def transport() -> Iterator[CurlTransport]:
    with gevent.Timeout(HANG_GUARD_S):
        yield CurlAdapter().transport()
    close_this_hub()
