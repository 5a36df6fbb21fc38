"""libcurl on the hub: what must hold whoever is killed, closed, collected, raised or started at whatever instant."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pycurl
import pytest
import requests
from gevent import get_hub
from greenlet import GreenletExit, greenlet

from app.errors import FetchError
from app.fetching import CurlAdapter, Session
from app.fetching.curl_errors import TransferError
from app.fetching.curl_transport import CurlTransport
from app.fetching.hub_curl import HubCurl
from app.fetching.names import Names
from app.fetching.transfer import Profile
from app.hub.per_hub import close_this_hub
from app.policy.addresses import AddressPolicy
from tests.support.processes import HANG_GUARD_S, ROOT, wait_until
from tests.support.raw_origin import RawOrigin, Script, running_raw_origin

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PROFILE = Profile()


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


def get(transport: CurlTransport, url: str, **more: Any) -> bytes:
    host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
    return transport.exchange(PROFILE, more.pop("method", "GET"), url, host, int(port), (), **more).body


def stream(origin: RawOrigin, name: str) -> requests.Response:
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", CurlAdapter())
    return session.get(f"{origin.base}/{name}", stream=True, timeout=HANG_GUARD_S)


def nothing_left(transport: CurlTransport) -> None:
    transfers = transport.statistics().transfers
    assert (transfers.in_flight, transfers.sockets) == (0, 0), transfers
    assert transfers.started == transfers.succeeded + transfers.failed + transfers.stopped


# --- kills -------------------------------------------------------------------------------------------------------


def test_a_kill_before_the_first_turn_takes_no_name_along(raw: RawOrigin, transport: CurlTransport) -> None:
    """The transfer that was to tell libcurl the addresses never began: the next one has to tell them."""
    transport._names.close()
    transport._names = Names(look_up=lambda name: ["127.0.0.1"])
    url = f"http://site.example:{raw.port}/ok"
    transport._names.resolve("site.example")
    victim = greenlet(lambda: get(transport, url), get_hub())

    def begin_and_end() -> None:
        victim.switch()
        assert transport.hub_curl.in_flight == 1
        victim.throw(GreenletExit)

    get_hub().loop.run_callback(begin_and_end)
    while not victim.dead:
        gevent.sleep(0)
    assert transport.statistics().transfers.stopped == 1, "it had begun"
    assert get(transport, url) == b"ok"
    nothing_left(transport)


def test_fetches_that_begin_together_all_know_the_name(raw: RawOrigin, transport: CurlTransport) -> None:
    """libcurl takes them up in an order of its own, not in that in which they began."""
    transport._names.close()
    transport._names = Names(look_up=lambda name: ["127.0.0.1"])
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
        _session().post(f"{raw.base}/silent", data=_made(1_000_000), timeout=HANG_GUARD_S)

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
    while not raised:
        gevent.sleep(0)
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


# --- re-entrancy ---------------------------------------------------------------------------------------------------


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
    while len(done) < 61:
        gevent.sleep(0)
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
    while not all(one.dead for one in bare):
        gevent.sleep(0)
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


# --- the loop ----------------------------------------------------------------------------------------------------


def test_the_loop_ends_when_nothing_is_under_way(raw: RawOrigin, transport: CurlTransport) -> None:
    """gevent.wait() returns although connections are kept; and whoever waits for an answer is no deadlock."""
    script = f"""
        import gevent
        from app.fetching import Session
        session = Session()
        gevent.spawn(session.fetch, {raw.base + "/ok"!r})
        print(gevent.wait(timeout=20))
        print(session.fetch({raw.base + "/ok"!r}).status_code)
    """
    assert _python(script) == "True\n200\n"


def test_a_program_ends_in_silence_whatever_is_under_way(raw: RawOrigin) -> None:
    script = f"""
        import gevent, requests
        from app.fetching import CurlAdapter, Session
        session = Session()
        stock = requests.Session()
        stock.mount("http://", CurlAdapter())
        half = stock.get({raw.base + "/half"!r}, stream=True)
        dropped = stock.get({raw.base + "/large"!r}, stream=True)
        del dropped
        gevent.spawn(session.fetch, {raw.base + "/silent"!r})
        session.fetch({raw.base + "/ok"!r})
        print("end")
    """
    assert _python(script) == "end\n"


def _python(script: str) -> str:
    """Its standard output; it must end well and say nothing on standard error."""
    command = [sys.executable, "-c", textwrap.dedent(script)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=4 * HANG_GUARD_S)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


# --- finalizers --------------------------------------------------------------------------------------------------


def test_a_finalizer_inside_a_callback_waits_for_libcurl(raw: RawOrigin, transport: CurlTransport) -> None:
    """Any callback may set off the collector, and that the closing of any response."""
    half = stream(raw, "half")
    transfer = half.raw._fp._stream
    inside: list[int] = []

    def collected(*_: object) -> None:
        half.close()
        inside.append(transport.hub_curl.in_flight)

    other = transport._take(PROFILE)
    other.curl.setopt(pycurl.HEADERFUNCTION, collected)
    other.prepare("GET", f"{raw.base}/ok", ())
    other.is_numeric = True
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
    while transport.hub_curl.in_flight:
        gevent.sleep(0.001)
    nothing_left(transport)


def test_streams_that_are_dropped_are_ended_by_the_collector(raw: RawOrigin, transport: CurlTransport) -> None:
    for _ in range(10):
        half = stream(raw, "half")
        half.kept = half  # type: ignore[attr-defined]  # a cycle
    assert transport.hub_curl.in_flight >= 1
    del half
    gc.collect()
    while transport.hub_curl.in_flight:
        gevent.sleep(0)
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


# --- threads and hubs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("closes_first", [True, False])
def test_each_thread_has_connections_of_its_own_and_leaves_none(raw: RawOrigin, closes_first: bool) -> None:
    """Once its hub is destroyed, with transfers under way or not."""

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    def work(results: list[bytes]) -> None:
        session = Session()
        jobs = [gevent.spawn(session.fetch, f"{raw.base}/ok?n={n}") for n in range(20)]
        results += [job.get().body for job in jobs]
        left = gevent.spawn(session.fetch, f"{raw.base}/silent")
        gevent.sleep(0)
        if closes_first:
            left.kill()
            close_this_hub()
        get_hub().destroy(destroy_loop=True)

    def round_of_threads() -> None:
        results: list[list[bytes]] = [[] for _ in range(4)]
        threads = [threading.Thread(target=work, args=(result,)) for result in results]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG_GUARD_S)
        assert results == [[b"ok"] * 20] * 4

    round_of_threads()
    gc.collect()
    wait_until(lambda: not any("converse" in one.name for one in threading.enumerate()), "the server let go")
    before = descriptors()
    for _ in range(3):
        round_of_threads()
    gc.collect()
    wait_until(lambda: descriptors() <= before, f"no more than {before} descriptors")


# --- forks -------------------------------------------------------------------------------------------------------

FORK = """
    from gevent import monkey
    if {patched}: monkey.patch_all()
    import os, sys, threading, gevent, requests
    from app.fetching import CurlAdapter, Session
    base = {base!r}
    session = Session()
    stock = requests.Session()
    stock.mount("http://", CurlAdapter())
    assert session.fetch(base + "/ok").body == b"ok"
    half = stock.get(base + "/half", stream=True, timeout=20)
    def wait_at_gate():
        try:
            return session.fetch(base + "/gate").body
        except Exception as error:
            return str(error)
    waiting = gevent.spawn(wait_at_gate)
    gevent.sleep(0.01)
    before = CurlAdapter().transport()
    pid = os.fork()
    if pid == 0:
        # At once, before the loop has turned, and after.
        fresh = CurlAdapter().transport()
        assert fresh is not before and before.is_closed
        assert session.fetch(base + "/ok").body == b"ok"
        assert "forked" in waiting.get(), waiting.get()
        jobs = [gevent.spawn(session.fetch, base + "/ok") for _ in range(20)]
        assert [job.get().body for job in jobs] == [b"ok"] * 20
        half.close()
        import gc; gc.collect()
        assert fresh is CurlAdapter().transport()
        sys.stdout.flush()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
    assert CurlAdapter().transport() is before
    assert session.fetch(base + "/ok").body == b"ok"
    session.get(base + "/open")
    assert waiting.get() == b"ok", waiting.get()
    print(before.statistics().transfers.in_flight, "in flight")
"""


@pytest.mark.parametrize("patched", [True, False])
def test_a_fork_leaves_the_parent_its_connections(patched: bool) -> None:
    gate = threading.Event()

    def make(name: str) -> Script | None:
        if name == "gate":
            gate.wait(HANG_GUARD_S)
        elif name == "open":
            gate.set()
        return Script.of(OK, "keep")

    with running_raw_origin(make=make) as origin:  # type: ignore[arg-type]
        origin.serve(Script.of(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "hold"), "half")
        assert _python(FORK.format(patched=patched, base=origin.base)) == "1 in flight\n"
        assert origin.requests["gate"] == 1
        # The parent: one for /ok and then /half, one that waits at the gate, one for /ok once more.
        assert origin.connections == 3 + 20, "no connection of the parent served the child, or the reverse"


def test_a_closed_hub_curl_starts_nothing() -> None:
    hub_curl = HubCurl()
    hub_curl.close()
    hub_curl.close()

    class One:
        curl = pycurl.Curl()

    with pytest.raises(TransferError, match="closed"):
        hub_curl.start(One())  # type: ignore[arg-type]
    assert hub_curl.statistics().started == 0


# --- what must not be done twice ---------------------------------------------------------------------------------


@pytest.fixture
def dying(raw: RawOrigin) -> RawOrigin:
    """/die on a connection that has served before: the request is read, and the connection closed without a byte."""
    raw.serve(Script.of(b"", "close"), "die")
    return raw


Post = Callable[[RawOrigin], object]


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", CurlAdapter())
    return session


@pytest.mark.parametrize(
    "post",
    [
        lambda o: _session().post(f"{o.base}/die", data=b"once"),
        lambda o: _session().post(f"{o.base}/die"),
        lambda o: _session().post(f"{o.base}/die", stream=True),
        lambda o: _session().post(f"{o.base}/die", data=b"once", stream=True),
        lambda o: _session().post(f"{o.base}/die", data=iter([b"on", b"ce"])),
        lambda o: _session().post(f"{o.base}/die", data=iter([])),
        lambda o: _session().patch(f"{o.base}/die", data=b"once" * 100_000),
        lambda o: _session().request("PURGE", f"{o.base}/die"),
        lambda o: Session().post(f"{o.base}/die", json={"once": 1}),
        lambda o: CurlAdapter().transport().exchange(
            PROFILE, "POST", f"{o.base}/die", "127.0.0.1", o.port, (), body=None
        ),
    ],
)  # fmt: skip
def test_what_may_have_been_done_is_not_done_again(dying: RawOrigin, transport: CurlTransport, post: Post) -> None:
    get(transport, f"{dying.base}/ok")  # a connection to be reused
    with pytest.raises((requests.ConnectionError, TransferError)):
        post(dying)
    assert dying.requests["die"] == 1
    nothing_left(transport)


def test_a_session_sends_a_post_once(dying: RawOrigin, transport: CurlTransport) -> None:
    from app.model.request import Request

    session = Session()
    session.fetch(f"{dying.base}/ok")
    with pytest.raises(FetchError):
        session.fetch(Request(url=f"{dying.base}/die", method="POST", body="once"))
    with pytest.raises(FetchError):
        session.fetch(Request(url=f"{dying.base}/die", method="POST"))
    assert dying.requests["die"] == 2


def test_a_get_on_a_connection_that_was_dead_is_sent_again(dying: RawOrigin, transport: CurlTransport) -> None:
    get(transport, f"{dying.base}/ok")
    with pytest.raises(TransferError):
        get(transport, f"{dying.base}/die")
    assert dying.requests["die"] == 2, "once on the old connection, once on a new one"


@pytest.mark.parametrize("how", ["whole", "stream"])
def test_any_number_of_dead_connections_is_no_failure(raw: RawOrigin, transport: CurlTransport, how: str) -> None:
    """A server that was started anew has closed them all. libcurl tries five of them and gives up."""
    gates = [gevent.spawn(get, transport, f"{raw.base}/ok?{number}") for number in range(8)]
    gevent.joinall(gates, raise_error=True)
    # Each of the eight connections is closed when the next request has come on it; a new one is not.
    raw.scripts["ok"] = Script.of(b"", "close")
    raw.first["ok"] = Script.of(OK, "keep")
    if how == "whole":
        assert get(transport, f"{raw.base}/ok") == b"ok"
    else:
        assert stream(raw, "ok").content == b"ok"
    assert raw.requests["ok"] == 8 + 6 + 1
    nothing_left(transport)


# --- bodies that are made while they are sent --------------------------------------------------------------------


class _Answering:
    """A server for one request: answers after the head, then does `then` with the connection."""

    def __init__(self, answer: bytes, then: Callable[[socket.socket, bytearray], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self.body = bytearray()
        self._answer, self._then = answer, then
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener, self._listener.accept()[0] as connection:
            connection.settimeout(HANG_GUARD_S)
            while b"\r\n\r\n" not in self.body:
                self.body += connection.recv(1_000)
            connection.sendall(self._answer)
            self._then(connection, self.body)

    def end(self) -> bytes:
        self._thread.join(HANG_GUARD_S)
        assert not self._thread.is_alive()
        return bytes(self.body)


def _made(pieces: int) -> Iterator[bytes]:
    for _ in range(pieces):
        gevent.sleep(0)
        yield b"x" * 50_000


def test_a_body_is_sent_to_its_end_though_the_answer_has_begun(transport: CurlTransport) -> None:
    def read_on(connection: socket.socket, body: bytearray) -> None:
        while not body.endswith(b"\r\n0\r\n\r\n"):
            body += connection.recv(1 << 20)
        connection.sendall(b"done")

    server = _Answering(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", read_on)
    assert _session().post(server.url, data=_made(60), timeout=HANG_GUARD_S).content == b"done"
    assert server.end().count(b"x") == 60 * 50_000
    nothing_left(transport)


@pytest.mark.parametrize("connection", [b"", b"Connection: close\r\n"])
@pytest.mark.parametrize("status", [b"413 Too Large", b"307 Moved\r\nX: y"])
def test_a_body_that_is_refused_is_sent_no_further(transport: CurlTransport, status: bytes, connection: bytes) -> None:
    def leave_it(connection: socket.socket, body: bytearray) -> None:
        while connection.recv(1 << 20):
            pass

    answer = b"HTTP/1.1 %b\r\n%bContent-Length: 4\r\n\r\nfull" % (status, connection)
    server = _Answering(answer, leave_it)
    made: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            gevent.sleep(0)
            made.append(1)
            yield b"x" * 50_000

    response = _session().post(server.url, data=endless(), timeout=HANG_GUARD_S, allow_redirects=False)
    assert response.content == b"full"
    assert response.status_code == int(status[:3])
    server.end()
    nothing_left(transport)


def test_what_a_body_raises_is_raised(raw: RawOrigin, transport: CurlTransport) -> None:
    def broken() -> Iterator[bytes]:
        yield b"some"
        gevent.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _session().post(f"{raw.base}/silent", data=broken())
    nothing_left(transport)


def test_a_policy_that_is_limited_refuses_a_socket_that_was_not_vetted(raw: RawOrigin) -> None:
    """The second judgement, when the socket is opened: here of an address that a tampered table let pass."""
    transport = CurlTransport(AddressPolicy.public_only(ports=None))
    try:
        transport._literals.add("127.0.0.1")
        with pytest.raises(TransferError) as raised:
            get(transport, f"{raw.base}/ok")
        assert raised.value.code == pycurl.E_COULDNT_CONNECT
        assert raw.requests["ok"] == 0
    finally:
        transport.close()


def test_libcurl_never_looks_a_name_up(raw: RawOrigin, transport: CurlTransport) -> None:
    transport._names.close()
    transport._names = Names(look_up=lambda name: ["127.0.0.1"])
    transport._told.clear()
    transfer = transport._take(PROFILE)
    transfer.prepare("GET", f"http://localhost:{raw.port}/ok", ())
    transfer.run()
    assert transfer.code, "our answer to its question is no"
    assert raw.requests["ok"] == 0
