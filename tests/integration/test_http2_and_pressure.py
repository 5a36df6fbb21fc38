"""Many streams of one HTTP/2 connection, and streams that are read slowly, over both versions of HTTP.

The server is nginx, which tells each answer's connection, and logs how much of a body it sent; for HTTP/1.1 also a
raw socket that counts what the kernel took.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
import requests

from app.fetching import CurlAdapter, Session
from app.fetching.curl_transport import CurlTransport
from app.hub.per_hub import close_this_hub
from tests.support.certificates import self_signed
from tests.support.hubs import hub_until
from tests.support.nginx import LISTEN, Nginx, running_nginx
from tests.support.processes import HANG_GUARD_S, ROOT, wait_until
from tests.support.raw_origin import Script, running_raw_origin

LARGE_BYTES = 300_000_000

# What lies in the kernel's buffers of both sides, in libcurl and in us; libcurl's HTTP/2 window alone is 10 MiB.
HELD_BYTES = 30_000_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder = self_signed(tmp_path_factory.mktemp("h2"))
    with (folder / "large").open("wb") as file:
        file.truncate(LARGE_BYTES)
    (folder / "slow").write_bytes(bytes(1_000_000))
    server = (
        f"server {{ listen {LISTEN} ssl http2; ssl_certificate {folder}/cert.pem; root {folder};"
        f" ssl_certificate_key {folder}/key.pem; http2_max_concurrent_streams 128;"
        " location /connection { return 200 $connection; } location /slow { limit_rate 1000; } }"
    )
    with running_nginx(server, folder / "nginx") as nginx:
        yield nginx


@pytest.fixture
def session(site: Nginx) -> Iterator[Session]:
    with gevent.Timeout(2 * HANG_GUARD_S):
        session = Session(ca_bundle=str(site.folder.parent / "cert.pem"))
        session.trust_env = False
        yield session
    close_this_hub()


def url(site: Nginx, path: str) -> str:
    return site.url(path).replace("http:", "https:")


def transport() -> CurlTransport:
    return CurlAdapter().transport()


def test_a_hundred_fetches_share_a_connection(site: Nginx, session: Session) -> None:
    """From the first: nobody makes a connection of his own while one is being made."""
    jobs = [gevent.spawn(session.fetch, url(site, "/connection")) for _ in range(100)]
    pages = [job.get() for job in jobs]
    assert len({page.body for page in pages}) == 1
    assert {page.timing.protocol for page in pages if page.timing} == {"HTTP/2"}


def test_kills_on_a_shared_connection_disturb_nobody(site: Nginx, session: Session) -> None:
    (before,) = {session.fetch(url(site, "/connection")).body}
    victims = [gevent.spawn(session.fetch, url(site, "/slow")) for _ in range(50)]
    others = [gevent.spawn(session.fetch, url(site, "/connection")) for _ in range(40)]
    gevent.sleep(0)
    gevent.killall(victims[:25])
    assert {job.get().body for job in others} == {before}
    gevent.killall(victims)
    assert session.fetch(url(site, "/connection")).body == before
    assert transport().statistics().transfers.in_flight == 0


def test_more_than_the_server_takes_at_once_wait_in_line(site: Nginx, session: Session) -> None:
    """libcurl opens no more than 100 streams on a connection; the rest get others, and none is forgotten."""
    jobs = [gevent.spawn(session.fetch, url(site, f"/connection?{n}")) for n in range(400)]
    assert len([job.get() for job in jobs]) == 400
    assert transport().statistics().transfers.in_flight == 0


def test_without_http2_the_first_answer_holds_up_nobody() -> None:
    """Over plain HTTP and a server that is silent to the first who asks."""
    with running_raw_origin() as origin, gevent.Timeout(HANG_GUARD_S):
        origin.serve(Script.of(b"", "hold"), "silent")
        origin.serve(Script.of(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "keep"), "ok")
        session = Session()
        silent = gevent.spawn(session.fetch, f"{origin.base}/silent")
        jobs = [gevent.spawn(session.fetch, f"{origin.base}/ok") for _ in range(20)]
        assert [job.get().body for job in jobs] == [b"ok"] * 20
        silent.kill()
        close_this_hub()


def test_a_stream_that_is_not_read_holds_up_no_other(site: Nginx, session: Session) -> None:
    before = session.fetch(url(site, "/connection")).body
    large = session.get(url(site, "/large"), stream=True)
    for _ in range(50):
        assert session.fetch(url(site, "/connection")).body == before
    assert len(large.raw.read(1_000_000)) == 1_000_000
    large.close()
    assert session.fetch(url(site, "/connection")).body == before


@pytest.mark.parametrize("http", ["1.1", "2"])
def test_who_reads_slowly_holds_the_server_back(site: Nginx, http: str) -> None:
    session = Session(ca_bundle=str(site.folder.parent / "cert.pem"), http=http)  # type: ignore[arg-type]
    session.trust_env = False
    path = f"/large?{http}"
    with gevent.Timeout(2 * HANG_GUARD_S):
        large = session.get(url(site, path), stream=True)
        stream = large.raw._fp._stream
        for _ in range(20):
            assert len(large.raw.read(100_000)) == 100_000
            # Turns of the loop in which more could come.
            for _ in range(50):
                gevent.sleep(0)
            assert stream._arrived_bytes < 1_000_000
        held = CurlAdapter().transport().statistics().transfers.in_flight
        large.close()
    assert held == 1
    if http == "2":
        # libcurl tells the server that a stream was closed early when the connection is used next (decision 11).
        session.fetch(url(site, "/connection"))
    line = wait_until(lambda: [one for one in site.access_log() if path in one], "nginx logged it")[0]
    assert 2_000_000 <= int(line.split('" 200 ')[1].split()[0]) < HELD_BYTES, line
    assert transport().statistics().transfers.in_flight == 0
    close_this_hub()


def test_a_server_is_held_back_and_let_go_on(site: Nginx) -> None:
    """HTTP/1.1 without TLS: the server's own count stops, goes on when we read, and ends when we close."""
    piece = b"t" * 1_000_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (300 * len(piece))
    with running_raw_origin() as origin, gevent.Timeout(2 * HANG_GUARD_S):
        origin.serve(Script((head, *[piece] * 300), "hold"), "large")
        stock = requests.Session()
        stock.trust_env = False
        stock.mount("http://", CurlAdapter())
        large = stock.get(f"{origin.base}/large", stream=True)
        large.raw.read(1)
        stream = large.raw._fp._stream
        hub_until(lambda: stream.is_paused, "libcurl was told to wait")
        assert origin.bytes_sent["large"] < HELD_BYTES
        assert len(large.raw.read(2 * HELD_BYTES)) == 2 * HELD_BYTES
        hub_until(lambda: stream.is_paused, "libcurl was told to wait again")
        assert 2 * HELD_BYTES < origin.bytes_sent["large"] < 3 * HELD_BYTES
        large.close()
        assert transport().statistics().transfers.in_flight == 0
        close_this_hub()
        wait_until(lambda: not origin.talking, "the server has given up")
        assert origin.bytes_sent["large"] < 3 * HELD_BYTES


def test_a_stream_of_hundreds_of_megabytes_needs_little_memory(site: Nginx) -> None:
    """Read to its end, over both versions, in a process of its own whose peak is looked at."""
    script = f"""
        import resource
        from app.fetching import Session
        for http in ("1.1", "2"):
            session = Session(ca_bundle={str(site.folder.parent / "cert.pem")!r}, http=http)
            session.trust_env = False
            session.fetch({url(site, "/connection")!r})
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            size = 0
            with session.get({url(site, "/large")!r}, stream=True) as large:
                for piece in large.iter_content(100_000):
                    size += len(piece)
            print(size, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """
    for line in _python(script).splitlines():
        size, more_mb = map(int, line.split())
        assert size == LARGE_BYTES
        assert more_mb < 60


@pytest.mark.parametrize("is_in_use", [True, False])
def test_a_fork_leaves_the_parent_its_http2_connection(site: Nginx, is_in_use: bool) -> None:
    """Under way or idle; the child frees all that it can, and ends as an interpreter does."""
    script = f"""
        import gc, os, gevent
        from app.fetching import CurlAdapter, Session
        session = Session(ca_bundle={str(site.folder.parent / "cert.pem")!r})
        ours = session.fetch({url(site, "/connection")!r}).body

        def fetch_slowly():
            try:
                session.fetch({url(site, "/slow?fork")!r})
            except Exception as error:
                assert "forked" in str(error)

        if {is_in_use}:
            slow = gevent.spawn(fetch_slowly)
            while not CurlAdapter().transport().statistics().transfers.in_flight:
                gevent.sleep(0.001)
        pid = os.fork()
        if pid == 0:
            theirs = {{session.fetch({url(site, "/connection")!r}).body for _ in range(3)}}
            assert len(theirs) == 1 and ours not in theirs, (ours, theirs)
            gc.collect()
            raise SystemExit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert {{session.fetch({url(site, "/connection")!r}).body for _ in range(5)}} == {{ours}}
        assert not {is_in_use} or not slow.dead, "it is still under way, on the same connection"
        print("end")
    """
    assert _python(script) == "end\n"


def _python(script: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(ROOT),
        capture_output=True,
        text=True,
        timeout=4 * HANG_GUARD_S,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout
