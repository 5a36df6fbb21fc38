"""What steers the origin, what it counts, and how it is started."""

from __future__ import annotations

import socket
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.origin import (
    Origin,
    body_of,
    running_origin,
    server,  # noqa: F401  (importing it fills this process's registry)
)
from tests.support.origin.registry import all_faults
from tests.support.processes import HANG_GUARD_S, running_process
from tests.support.raw_http import connect, request, talk, until_end


def test_counts_are_by_path_and_leave_out_what_steers(origin: Origin) -> None:
    for number in range(3):
        talk(origin, f"/ok?n={number}")
    talk(origin, "/drop")
    origin.open("any")
    counts = origin.counts()
    assert counts.requests == {"/ok": 3, "/drop": 1}
    assert counts.total == 4
    assert counts.connections == 4
    assert counts.most_connections == counts.most_in_flight == 1
    origin.reset()
    assert origin.counts().requests == {}


def test_the_most_at_once_is_remembered_by_path(origin: Origin) -> None:
    connections = [connect(origin) for _ in range(5)]
    for number, connection in enumerate(connections):
        connection.sendall(request("/gate/most" if number < 3 else "/stage/most"))
    origin.wait_waiting("most", 5)
    origin.open("most")
    for connection in connections:
        until_end(connection)
        connection.close()
    counts = origin.counts()
    assert counts.most_in_flight == counts.most_connections == 5
    assert counts.most_in_flight_by_path == {"/gate/most": 3, "/stage/most": 2}


def test_hits_show_requests_in_order(origin: Origin) -> None:
    talk(origin, "/ok?n=1", headers="X-Mark: first\r\nConnection: close\r\n")
    talk(origin, "/json")
    talk(origin, "/ok?n=2", "HEAD")
    hits = origin.hits("/ok")
    assert [(hit.method, hit.target) for hit in hits] == [("GET", "/ok?n=1"), ("HEAD", "/ok?n=2")]
    assert ("x-mark", "first") in hits[0].headers
    assert all(before.at_s <= after.at_s for before, after in pairwise(origin.hits()))
    assert len(origin.hits()) == 3


def test_wrong_paths_get_honest_answers(origin: Origin) -> None:
    for path in ("/no-such-fault", "/robots.txt", "/_nothing"):
        assert talk(origin, path)[0].startswith(b"HTTP/1.1 404 ")
    for path in ("/status", "/status/abc", "/status/99", "/ok/-1", "/ok/1/2", "/delay/nan", "/delay/inf", "/charset/x"):
        assert talk(origin, path)[0].startswith(b"HTTP/1.1 400 "), path


# The long one is as long as it takes to be refused, no byte more: unread bytes would turn the closing into a reset.
@pytest.mark.parametrize("nonsense", [b"hello\r\n\r\n", b"GET http://x/ HTTP/1.1\r\n\r\n", b"x" * (65_536 + 4)])
def test_nonsense_from_a_client_gets_400(origin: Origin, nonsense: bytes) -> None:
    with closing(connect(origin)) as connection:
        connection.sendall(nonsense)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 400 ")


def test_hundreds_of_connections_at_once(origin: Origin) -> None:
    connections = [connect(origin) for _ in range(400)]
    for connection in connections:
        connection.sendall(request("/gate/crowd"))
    origin.wait_waiting("crowd", 400)
    origin.open("crowd")
    for connection in connections:
        assert until_end(connection).endswith(body_of(2_000))
        connection.close()
    assert origin.counts().most_connections == 400


def test_the_list_names_every_fault(origin: Origin) -> None:
    listed = talk(origin, "/")[1].decode()
    assert len(all_faults()) > 40
    for fault in all_faults():
        assert f"{fault.usage} " in listed


def test_the_command_line(tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    with running_process(
        [sys.executable, "-m", "tests.support.origin", "--port", "0", "--port-file", port_file]
    ) as process:
        port = int(process.wait_for_line("", stream="stdout"))
        assert port_file.read_text() == f"{port}\n"
        with closing(socket.create_connection(("127.0.0.1", port), timeout=HANG_GUARD_S)) as connection:
            connection.sendall(request("/ok/3"))
            assert until_end(connection).endswith(body_of(3))
    with running_origin() as other:
        command = [sys.executable, "-m", "tests.support.origin", "--port", str(other.port)]
        with running_process(command) as process:
            assert process.wait() == 1
            assert "can't listen on 127.0.0.1" in process.stderr


def test_it_listens_on_ipv6_where_there_is_any() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with running_origin("::1") as origin:
        assert origin.base.startswith("http://[::1]:")
        assert talk(origin, "/ok/5")[1] == body_of(5)
