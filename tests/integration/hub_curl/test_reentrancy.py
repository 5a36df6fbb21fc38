"""libcurl on the hub: who is woken, interrupted or collected inside of one of its callbacks."""

from __future__ import annotations

import gc
import threading
from typing import Any

import gevent
import pycurl
import pytest
from gevent import get_hub
from greenlet import greenlet

from app.fetching import CurlAdapter
from app.fetching.curl_errors import TransferError
from app.fetching.curl_transport import CurlTransport
from app.hub.per_hub import close_this_hub
from tests.support.curl_on_hub import PROFILE, get, nothing_left, stream
from tests.support.hubs import hub_until
from tests.support.raw_origin import RawOrigin


def test_who_is_woken_may_close_everything(raw: RawOrigin, transport: CurlTransport) -> None:
    """Inside the turn that woke it; the others fail, and what comes afterwards gets a new multi handle."""
    others = [gevent.spawn(get, transport, f"{raw.base}/silent") for _ in range(20)]

    def fetch_and_close() -> None:
        get(transport, f"{raw.base}/ok")
        close_this_hub()

    gevent.spawn(fetch_and_close).get()
    for other in others:
        with pytest.raises(TransferError, match="closed"):
            other.get()
    with pytest.raises(TransferError, match="closed"):
        get(transport, f"{raw.base}/ok")
    assert transport.statistics().transfers.in_flight == 0
    assert get(CurlAdapter().transport(), f"{raw.base}/ok") == b"ok"


def test_who_is_woken_may_stop_others_and_begin_more(raw: RawOrigin, transport: CurlTransport) -> None:
    victims = [gevent.spawn(get, transport, f"{raw.base}/silent") for _ in range(10)]
    done: list[bytes] = []

    def chain(left: int) -> None:
        done.append(get(transport, f"{raw.base}/ok"))
        if victims:
            victims.pop().kill(block=False)
        if left:
            gevent.spawn(chain, left - 1)
            gevent.spawn(chain, 0)

    gevent.spawn(chain, 30)
    hub_until(lambda: len(done) == 61, "all have been fetched")
    assert not victims
    nothing_left(transport)


def test_an_exception_of_a_woken_greenlet_keeps_nobody_asleep(
    raw: RawOrigin, transport: CurlTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[object] = []
    monkeypatch.setattr(get_hub(), "handle_error", lambda *error: raised.append(error[2]))
    bare = []
    for _ in range(5):
        one = greenlet(lambda: (get(transport, f"{raw.base}/ok"), 1 / 0), get_hub())
        get_hub().loop.run_callback(one.switch)
        bare.append(one)
    jobs = [gevent.spawn(get, transport, f"{raw.base}/ok") for _ in range(20)]
    assert [job.get() for job in jobs] == [b"ok"] * 20
    hub_until(lambda: all(one.dead for one in bare), "all have ended")
    assert [type(one) for one in raised] == [ZeroDivisionError] * 5
    nothing_left(transport)


class _Interrupted(BaseException):
    """As KeyboardInterrupt, which a signal may raise in any bytecode."""


@pytest.mark.parametrize("method", ["register", "modify"])
def test_an_interrupt_inside_a_callback_breaks_nothing(
    raw: RawOrigin, transport: CurlTransport, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """libcurl would give up the whole multi handle; and the interrupt must not be swallowed."""
    raised: list[object] = []
    monkeypatch.setattr(get_hub(), "handle_error", lambda *error: raised.append(error[1]))
    transport.hub_curl._sockets._epoll = _Interrupting(transport.hub_curl._sockets._epoll, method)  # type: ignore[assignment]
    jobs = [gevent.spawn(get, transport, f"{raw.base}/ok") for _ in range(10)]
    assert [job.get() for job in jobs] == [b"ok"] * 10
    assert get(transport, f"{raw.base}/ok") == b"ok"
    assert raised == [_Interrupted]
    nothing_left(transport)


class _Interrupting:
    """An epoll set whose `method` is interrupted once before its work."""

    def __init__(self, epoll: Any, method: str) -> None:
        self._epoll = epoll
        self._method = method

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            self._method = ""

            def interrupted(*_: object) -> None:
                raise _Interrupted

            return interrupted
        return getattr(self._epoll, name)


def test_a_socket_that_cannot_be_watched_harms_only_itself(raw: RawOrigin, transport: CurlTransport) -> None:
    """The kernel has a limit on watches (ENOSPC)."""

    class Full:
        def __init__(self, epoll: Any) -> None:
            self._epoll, self.left = epoll, 1

        def register(self, *arguments: object) -> None:
            self.left -= 1
            if self.left == 0:
                raise OSError(28, "No space left on device")
            self._epoll.register(*arguments)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._epoll, name)

    transport.hub_curl._sockets._epoll = Full(transport.hub_curl._sockets._epoll)  # type: ignore[assignment]
    with pytest.raises(TransferError) as raised:
        get(transport, f"{raw.base}/silent", timeout_s=0.05)
    assert raised.value.code == pycurl.E_OPERATION_TIMEDOUT
    assert get(transport, f"{raw.base}/ok") == b"ok"
    nothing_left(transport)


def test_a_multi_handle_that_libcurl_gives_up_is_replaced(raw: RawOrigin, transport: CurlTransport) -> None:
    waiting = gevent.spawn(get, transport, f"{raw.base}/silent")
    gevent.sleep(0)

    class Broken:
        def socket_action(self, *_: object) -> None:
            raise pycurl.error(11, "aborted by callback")

        def __getattr__(self, name: str) -> Any:
            return getattr(multi, name)

    multi, transport.hub_curl._multi = transport.hub_curl._multi, Broken()  # type: ignore[assignment]
    with pytest.raises(TransferError):
        get(transport, f"{raw.base}/ok")
    with pytest.raises(TransferError):
        waiting.get()
    assert get(CurlAdapter().transport(), f"{raw.base}/ok") == b"ok"


def test_a_finalizer_inside_a_callback_waits_for_libcurl(raw: RawOrigin, transport: CurlTransport) -> None:
    """Any callback may set off the collector, and that the closing of any response."""
    half = stream(raw, "half")
    transfer = half.raw._fp._stream
    inside: list[int] = []

    def collected(*_: object) -> None:
        half.close()
        inside.append(transport.hub_curl.in_flight)

    other = transport._handles.take(PROFILE)
    other.curl.setopt(pycurl.HEADERFUNCTION, collected)
    other.prepare("GET", f"{raw.base}/ok", (), is_numeric=True)
    other.run()
    assert other.chunks == [b"ok"]
    assert inside
    assert transfer.code == pycurl.E_ABORTED_BY_CALLBACK
    gevent.sleep(0)
    nothing_left(transport)
    assert get(transport, f"{raw.base}/ok") == b"ok"
    nothing_left(transport)


def test_a_finalizer_in_another_thread_touches_nothing(raw: RawOrigin, transport: CurlTransport) -> None:
    half = stream(raw, "half")
    inside: list[int] = []

    def close() -> None:
        half.close()
        inside.append(transport.hub_curl.in_flight)

    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    assert inside == [1], "libcurl may be at work in its own thread meanwhile"
    hub_until(lambda: not transport.hub_curl.in_flight, "it was ended in its own thread")
    nothing_left(transport)


def test_streams_that_are_dropped_are_ended_by_the_collector(raw: RawOrigin, transport: CurlTransport) -> None:
    for _ in range(10):
        half = stream(raw, "half")
        half.kept = half  # type: ignore[attr-defined]  # a cycle
    assert transport.hub_curl.in_flight >= 1
    del half
    gc.collect()
    hub_until(lambda: not transport.hub_curl.in_flight, "all were ended")
    nothing_left(transport)


def test_an_answer_read_in_another_thread_says_so(raw: RawOrigin, transport: CurlTransport) -> None:
    large = stream(raw, "large")
    raised: list[BaseException] = []

    def read() -> None:
        try:
            large.raw.read(900_000)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert "thread" in str(raised[0])
    large.close()
