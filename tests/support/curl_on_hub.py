"""Fetches over a transport of one's own, and whether anything of them is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gevent
import requests

from app.fetching import CurlAdapter
from app.fetching.curl_transport import CurlTransport
from app.fetching.names import Names
from app.fetching.profile import Profile
from tests.support.processes import HANG_GUARD_S
from tests.support.raw_origin import RawOrigin

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


PROFILE = Profile()


def get(transport: CurlTransport, url: str, **more: Any) -> bytes:
    host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
    return transport.exchange(PROFILE, more.pop("method", "GET"), url, host, int(port), (), **more).body


def curl_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", CurlAdapter())
    return session


def stream(origin: RawOrigin, name: str) -> requests.Response:
    return curl_session().get(f"{origin.base}/{name}", stream=True, timeout=HANG_GUARD_S)


def use_names(transport: CurlTransport, look_up: Callable[[str], Sequence[str]]) -> Names:
    """Have its names looked up that way. Also what it has told libcurl is forgotten."""
    dialer = transport._dialer
    dialer.close()
    dialer._names = Names(look_up=look_up)
    dialer._told.clear()
    return dialer._names


def nothing_left(transport: CurlTransport) -> None:
    transfers = transport.statistics().transfers
    assert (transfers.in_flight, transfers.sockets) == (0, 0), transfers
    assert transfers.started == transfers.succeeded + transfers.failed + transfers.stopped


def made_piece_by_piece(pieces: int) -> Iterator[bytes]:
    for _ in range(pieces):
        gevent.sleep(0)
        yield b"x" * 50_000
