"""libcurl on the hub: the end of the loop, of the program, of threads with hubs of their own; and forks."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading

import gevent
import pycurl
import pytest
from gevent import get_hub

from app.fetching import Session
from app.fetching.curl_errors import TransferError
from app.fetching.curl_transport import CurlTransport
from app.fetching.hub_curl import HubCurl
from app.hub.per_hub import close_this_hub
from tests.support.curl_on_hub import OK
from tests.support.processes import HANG_GUARD_S, ROOT, wait_until
from tests.support.raw_origin import RawOrigin, Script, running_raw_origin


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
    before = CurlAdapter().transport()
    while before.hub_curl.in_flight < 2:
        gevent.sleep(0.001)
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
