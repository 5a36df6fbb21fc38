"""`bin/bench fetch`, as small as it gets and with clients that need nothing but the project's own environment."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
import msgspec
import pytest

from benchmarks.common.contestant import environment_of
from benchmarks.common.cpus import client_and_origin
from benchmarks.fetch.client_run import ClientFailed, Measured, run_client
from benchmarks.fetch.contestants import CONTESTANTS
from benchmarks.fetch.origins import Origin, origin_of
from benchmarks.fetch.regimes import REGIMES, Regime
from benchmarks.fetch.rounds import Rounds, launchers
from benchmarks.site import serving
from tests.support import needs
from tests.support.processes import is_alive, running_process, wait_until

BODY = b"<title>tide</title>"
CPU = min(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def _programs() -> None:
    needs.nginx()
    needs.require_program("openssl", how="apt install openssl")


def small(name: str, *clients: str, **changes: Any) -> Regime:
    """One of the regimes, with these clients and hardly any time."""
    regime = next(one for one in REGIMES if one.name == name)
    return msgspec.structs.replace(
        regime, clients=clients, **{"concurrency": 4, "warm_up_s": 0.1, "duration_s": 0.5, **changes}
    )


def run(regime: Regime) -> Rounds:
    rounds = Rounds(regime, launchers([regime]), rounds=1, seed=1)
    rounds.run(*client_and_origin())
    return rounds


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file with the URL of a page that holds BODY."""
    needs.nginx()
    root = tmp_path_factory.mktemp("site")
    (root / "page.html").write_bytes(BODY)
    with serving(root) as port:
        file = root / "urls.txt"
        file.write_text(f"http://127.0.0.1:{port}/page.html\n")
        yield file


def measure(client: str, urls: Path, body_bytes: int, *more: str) -> Measured:
    module = f"benchmarks.clients.{CONTESTANTS[client].program}"
    options = ["--urls", str(urls), "--body-bytes", str(body_bytes), "--concurrency", "4", *more]
    command = [sys.executable, "-m", module, *options, "--warm-up-s", "0.1", "--duration-s", "0.5"]
    return run_client(command, environment_of(CONTESTANTS[client]), cpu=CPU, timeout_s=60)


@pytest.mark.parametrize("client", ["percore-fetch", "percore-get", "requests-threads", "requests-gevent", "pycurl"])
def test_clients_count_right_answers_only(client: str, urls: Path) -> None:
    right = measure(client, urls, len(BODY))
    assert right.fetches > 0
    assert (right.errors, right.first_error) == (0, "")
    assert right.body_bytes == right.fetches * len(BODY)
    assert right.wall_s > 0
    assert right.cpu_s > 0
    wrong = measure(client, urls, len(BODY) + 1)
    assert wrong.fetches == 0
    assert wrong.errors > 0
    assert f"{len(BODY)} bytes" in wrong.first_error


@pytest.mark.parametrize("client", ["percore-fetch", "percore-get", "requests-threads", "requests-gevent", "pycurl"])
def test_clients_verify_certificates(client: str, tmp_path: Path) -> None:
    regime = small("handshakes")
    with origin_of(regime, CPU) as origin:
        urls = tmp_path / "urls.txt"
        urls.write_text(origin.urls[0])
        ours = measure(client, urls, regime.body_bytes, "--ca-bundle", origin.ca_bundle)
        assert (ours.errors, ours.first_error) == (0, "")
        assert ours.fetches > 0
        without_ours = measure(client, urls, regime.body_bytes, "--ca-bundle", certifi.where())
        assert without_ours.fetches == 0
        assert "certificate" in without_ours.first_error.lower()


def test_every_client_has_its_run_in_every_round() -> None:
    regime = small("small", "percore-fetch", "pycurl", duration_s=1.5)
    rounds = Rounds(regime, launchers([regime]), rounds=2, seed=1)
    rounds.run(*client_and_origin())
    seen = sorted((run.round, run.client) for run in rounds.runs)
    assert seen == [(0, "percore-fetch"), (0, "pycurl"), (1, "percore-fetch"), (1, "pycurl")]
    assert all(run.rate > 0 for run in rounds.runs)
    assert "pycurl" in rounds.versions


def test_thousands_of_hosts_in_small() -> None:
    rounds = run(small("hosts", "pycurl", concurrency=20, warm_up_s=0.5, duration_s=1.2))
    assert rounds.note == ""
    assert [(run.failure, run.errors) for run in rounds.runs] == [("", 0)]
    assert rounds.runs[0].done > 0


def test_the_batch_is_measured_by_its_records() -> None:
    (batch,) = run(small("engine", "fetch-batch", duration_s=1.0)).runs
    assert (batch.failure, batch.errors) == ("", 0)
    assert batch.done >= 500


def connect(origin: Origin, *protocols: str) -> ssl.SSLSocket:
    url = urlsplit(origin.urls[0])
    context = ssl.create_default_context(cafile=origin.ca_bundle)
    context.set_alpn_protocols(protocols)
    return context.wrap_socket(socket.create_connection((url.hostname, url.port)), server_hostname=url.hostname)


def status_and_connection(origin: Origin) -> tuple[int, str | None, int]:
    url = urlsplit(origin.urls[0])
    context = ssl.create_default_context(cafile=origin.ca_bundle)
    connection = http.client.HTTPSConnection(url.netloc, context=context)
    try:
        connection.request("GET", url.path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Connection"], len(answer.read())
    finally:
        connection.close()


def test_origins_hold_what_their_regimes_promise() -> None:
    with origin_of(small("tls"), CPU) as origin:
        with connect(origin, "h2", "http/1.1") as connection:
            assert connection.selected_alpn_protocol() == "http/1.1"
        assert status_and_connection(origin) == (200, "keep-alive", small("tls").body_bytes)
    with origin_of(small("http2"), CPU) as origin:
        with connect(origin, "h2", "http/1.1") as connection:
            assert connection.selected_alpn_protocol() == "h2"
        assert status_and_connection(origin)[0] == 505
    with origin_of(small("handshakes"), CPU) as origin:
        assert status_and_connection(origin) == (200, "close", small("handshakes").body_bytes)
        with connect(origin) as connection:
            connection.sendall(b"GET /page.html HTTP/1.1\r\nHost: x\r\n\r\n")
            while connection.recv(65536):
                pass
            # A server that would resume this session has told so by now (TLS 1.3: a ticket; 1.2: in the handshake).
            assert connection.session is None or not connection.session.has_ticket


@pytest.mark.parametrize(
    ("name", "algorithm"),
    # The object identifiers id-ecPublicKey (RFC 5480) and rsaEncryption (RFC 3279), as they are in a certificate.
    [("handshakes", "2a8648ce3d0201"), ("handshakes-rsa", "2a864886f70d010101")],
)
def test_a_certificate_has_the_key_that_the_regime_names(name: str, algorithm: str) -> None:
    with origin_of(small(name), CPU) as origin, connect(origin) as connection:
        certificate = connection.getpeercert(binary_form=True)
        assert certificate is not None
        assert bytes.fromhex(algorithm) in certificate


def test_the_bundle_is_a_full_one() -> None:
    with origin_of(small("handshakes"), CPU) as origin:
        assert Path(origin.ca_bundle).read_text().count("BEGIN CERTIFICATE") > 100


@pytest.mark.parametrize("reason", [subprocess.TimeoutExpired("it", 5), KeyboardInterrupt()])
def test_a_client_is_ended_with_its_children(
    reason: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"

    def interrupted(*_: object, **__: object) -> None:
        wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"), "the client and its child run")
        raise reason

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises((ClientFailed, KeyboardInterrupt)) as raised:
        run_client(["sh", "-c", f"sleep 600 & echo $! $$ > {pids}; wait"], os.environ, cpu=CPU, timeout_s=5)
    assert isinstance(raised.value, KeyboardInterrupt) or str(raised.value) == "not done after 5 s"
    for pid in pids.read_text().split():
        wait_until(lambda pid=int(pid): not is_alive(pid), f"{pid} ended")


def test_the_time_of_a_client_is_bounded() -> None:
    with pytest.raises(ClientFailed, match=r"not done after 0\.1 s"):
        run_client(["sleep", "600"], os.environ, cpu=CPU, timeout_s=0.1)


def test_a_client_that_fails_says_why() -> None:
    with pytest.raises(ClientFailed, match="ended with 3: no such thing"):
        run_client(["sh", "-c", "echo no such thing >&2; exit 3"], os.environ, cpu=CPU, timeout_s=60)
    with pytest.raises(ClientFailed, match="no line of figures"):
        run_client(["echo", "hello"], os.environ, cpu=CPU, timeout_s=60)


def mentioning(text: str) -> list[int]:
    """Processes with that text on their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_leaves_nothing_running(number: signal.Signals, tmp_path: Path) -> None:
    """Its temporary files lie in `tmp_path`, so whatever it starts has that on its command line."""
    command = [sys.executable, "-m", "benchmarks", "fetch", "--quick", "--rounds", "1000", "--regime", "page"]
    figures = tmp_path / "figures.json"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with running_process([*command, "--only", "pycurl", "--json", figures], env=environment) as bench:
        bench.wait_for_line("round 2: pycurl")
        wait_until(lambda: len(mentioning(f"{tmp_path}/bench-")) > 1, "a client runs beside nginx")
        bench.signal(number)
        assert bench.wait() == 128 + number
    wait_until(lambda: not mentioning(f"{tmp_path}/bench-"), "all that it started ended")
    assert not list(tmp_path.glob("bench-*"))
    if number == signal.SIGINT:
        assert re.search("^interrupted:", bench.stdout, re.MULTILINE)
        assert len(json.loads(figures.read_text())["regimes"][0]["runs"]) >= 2


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    for options, line in (
        (["--only", "curl"], "curl: choose from percore-fetch"),
        (["--only", "wrk", "--regime", "http2"], "none of these clients takes part in these regimes"),
        (["--rounds", "0"], "at least 1"),
    ):
        with running_process([sys.executable, "-m", "benchmarks", "fetch", *options]) as bench:
            assert bench.wait() in (1, 2)
        assert line in bench.stderr
        assert "Traceback" not in bench.stderr
