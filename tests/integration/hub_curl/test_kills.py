"""libcurl on the hub: fetches that are killed or timed out, at whatever turn."""

from __future__ import annotations

import gc

import gevent
import pycurl
import pytest
from gevent import get_hub
from greenlet import GreenletExit, greenlet

from app.fetching.curl_errors import TransferError
from app.fetching.curl_transport import CurlTransport
from tests.support.curl_on_hub import curl_session, get, made_piece_by_piece, nothing_left, stream, use_names
from tests.support.hubs import hub_until
from tests.support.processes import HANG_GUARD_S
from tests.support.raw_origin import RawOrigin


def test_a_kill_before_the_first_turn_takes_no_name_along(raw: RawOrigin, transport: CurlTransport) -> None:
    """The transfer that was to tell libcurl the addresses never began: the next one has to tell them."""
    names = use_names(transport, lambda name: ["127.0.0.1"])
    url = f"http://site.example:{raw.port}/ok"
    names.resolve("site.example")
    victim = greenlet(lambda: get(transport, url), get_hub())

    def begin_and_end() -> None:
        victim.switch()
        assert transport.hub_curl.in_flight == 1
        victim.throw(GreenletExit)

    get_hub().loop.run_callback(begin_and_end)
    hub_until(lambda: victim.dead, "it was ended")
    assert transport.statistics().transfers.stopped == 1, "it had begun"
    assert get(transport, url) == b"ok"
    nothing_left(transport)


def test_fetches_that_begin_together_all_know_the_name(raw: RawOrigin, transport: CurlTransport) -> None:
    """libcurl takes them up in an order of its own, not in that in which they began."""
    use_names(transport, lambda name: ["127.0.0.1"])
    for number in range(60):
        jobs = [gevent.spawn(get, transport, f"http://s{number}.example:{raw.port}/ok") for _ in range(20)]
        assert [job.get() for job in jobs] == [b"ok"] * 20
    nothing_left(transport)


@pytest.mark.parametrize("name", ["silent", "half", "large"])
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 20])
def test_kills_at_any_turn_leave_nothing(raw: RawOrigin, transport: CurlTransport, name: str, turns: int) -> None:
    victims = [gevent.spawn(get, transport, f"{raw.base}/{name}") for _ in range(10)]
    for _ in range(turns):
        gevent.sleep(0)
    gevent.killall(victims)
    nothing_left(transport)
    assert get(transport, f"{raw.base}/ok") == b"ok"


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 20, 60])
def test_kills_of_streams_at_any_turn_leave_nothing(raw: RawOrigin, transport: CurlTransport, turns: int) -> None:
    """While they are read, and while a body is made and sent."""

    def read() -> None:
        for _ in stream(raw, "large").iter_content(1_000):
            gevent.sleep(0)

    def send() -> None:
        curl_session().post(f"{raw.base}/silent", data=made_piece_by_piece(1_000_000), timeout=HANG_GUARD_S)

    victims = [gevent.spawn(job) for job in (read, send) * 5]
    for _ in range(turns):
        gevent.sleep(0)
    gevent.killall(victims)
    del victims
    gc.collect()
    gevent.sleep(0)
    nothing_left(transport)
    assert get(transport, f"{raw.base}/ok") == b"ok"


def test_the_hub_itself_waits_for_nothing(
    raw: RawOrigin, transport: CurlTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[object] = []
    monkeypatch.setattr(get_hub(), "handle_error", lambda *error: raised.append(error[1]))
    get_hub().loop.run_callback(get, transport, f"{raw.base}/ok")
    hub_until(lambda: raised, "it was refused")
    assert raised == [RuntimeError]
    nothing_left(transport)


def test_timeouts_are_told_from_each_other(raw: RawOrigin, transport: CurlTransport) -> None:
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.02):
        get(transport, f"{raw.base}/silent", timeout_s=HANG_GUARD_S)
    with pytest.raises(TransferError) as raised:
        get(transport, f"{raw.base}/silent", timeout_s=0.02)
    assert raised.value.code == pycurl.E_OPERATION_TIMEDOUT
    with pytest.raises(TransferError) as raised:
        get(transport, f"{raw.base}/silent", read_timeout_s=0.02)
    assert raised.value.code == pycurl.E_OPERATION_TIMEDOUT
    nothing_left(transport)
