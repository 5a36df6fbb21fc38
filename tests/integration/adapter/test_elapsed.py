"""`elapsed` is the time until the head is here, as requests documents it, and no part of the body's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
import requests

from app.fetching import CurlAdapter
from tests.support.origin import Origin
from tests.support.processes import HANG_GUARD_S

HOWS: dict[str, Callable[[requests.Session, str], requests.Response]] = {
    "get": lambda session, url: session.get(url),
    "send": lambda session, url: session.send(session.prepare_request(requests.Request("GET", url))),
    "in all steps": lambda session, url: session.get(url, auth=("ann", "secret")),
}


@pytest.mark.parametrize("how", HOWS)
def test_the_bodys_time_is_no_part_of_it(curl_session: requests.Session, origin: Origin, how: str) -> None:
    transfers: Any = CurlAdapter().transport().hub_curl
    began_s = time.monotonic()
    job = gevent.spawn(HOWS[how], curl_session, origin.url("/stage/rest"))
    with gevent.Timeout(HANG_GUARD_S):
        while not any(transfer.chunks for transfer in transfers._active.values()):
            gevent.sleep(0.001)
    until_the_body_s = time.monotonic() - began_s
    # So that the rest takes longer than anything that one of the two clocks counts and the other does not.
    gevent.sleep(0.1)
    origin.open("rest")
    answer = job.get(timeout=HANG_GUARD_S)
    assert len(answer.content) > 1
    assert 0 < answer.elapsed.total_seconds() <= until_the_body_s
