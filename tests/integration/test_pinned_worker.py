"""The worker class under real gunicorn: how it ends, and what its connections see.

Where a time limit must not be what ended something, the limit is set to an hour: the test would hang.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.support.gunicorn_service import Service, gunicorn_running, service
from tests.support.processes import is_alive, wait_until

HOUR = "3600"


def requested(running: Service, path: str, name: str) -> http.client.HTTPConnection:
    """A connection whose request has got into the application. The caller closes it."""
    address = running.address
    assert isinstance(address, tuple)
    connection = http.client.HTTPConnection(*address, timeout=30)
    connection.request("GET", f"/{path}/{name}")
    running.wait_for(f"{name}.in")
    return connection


# INT and QUIT ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGINT])
def test_a_quick_stop_does_not_wait_for_a_stage_that_swallows_everything(tmp_path: Path, number: int) -> None:
    with service(tmp_path, DRAIN_TIMEOUT_S=HOUR, DEADMAN_S=HOUR) as running:
        connection = requested(running, "compute", "endless")
        [worker] = running.worker_pids()
        running.running.signal(number)
        assert running.running.wait() == 0
        assert not is_alive(worker)
        assert "SIGKILL" not in running.running.stderr
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            connection.getresponse()
        connection.close()


def test_one_worker_that_is_told_to_quit_is_replaced(tmp_path: Path) -> None:
    with service(tmp_path, DRAIN_TIMEOUT_S=HOUR, DEADMAN_S=HOUR) as running:
        connection = requested(running, "compute", "endless")
        [worker] = running.worker_pids()
        os.kill(worker, signal.SIGQUIT)
        wait_until(lambda: not is_alive(worker), "the worker was gone")
        assert running.me()["pid"] != worker
        assert "exited with code" not in running.running.stderr
        connection.close()


# TERM ------------------------------------------------------------------------------------------------------


def test_a_drain_ends_idle_connections_and_finishes_the_others(tmp_path: Path) -> None:
    with service(tmp_path, DRAIN_TIMEOUT_S=HOUR) as running, running.connection() as idle:
        idle.request("GET", "/me")
        first = idle.getresponse()
        first.read()
        assert first.getheader("Connection") is None
        busy = requested(running, "hold", "gate")
        [worker] = running.worker_pids()
        running.running.signal(signal.SIGTERM)
        assert idle.sock.recv(1) == b""  # while the other is still held
        assert is_alive(worker)
        assert running.has(f"drain.{worker}")
        running.allow("gate")
        answer = busy.getresponse()
        assert (answer.status, answer.getheader("Connection"), answer.read()) == (200, "close", b"held")
        busy.close()
        assert running.running.wait() == 0
        assert "exited with code" not in running.running.stderr
        assert "cutting off" not in running.running.stderr


def test_a_stream_that_had_begun_is_finished_by_the_drain(tmp_path: Path) -> None:
    with service(tmp_path, DRAIN_TIMEOUT_S=HOUR) as running:
        busy = requested(running, "stream", "slow")
        answer = busy.getresponse()
        assert answer.readline() == b"first\n"
        running.running.signal(signal.SIGTERM)
        [worker] = running.worker_pids()
        running.wait_for(f"drain.{worker}")
        running.allow("slow")
        assert answer.read() == b"second\n"
        assert running.running.wait() == 0
        busy.close()


def test_a_drain_begins_and_ends_without_polling(tmp_path: Path) -> None:
    """No heartbeat falls into the test, so that only events can move the worker on."""
    more = """
def pre_fork(server, worker):
    ours["pre_fork"](server, worker)
    worker.heartbeat_s = 600
"""
    with service(tmp_path, more=more, DRAIN_TIMEOUT_S=HOUR, DEADMAN_S=HOUR) as running:
        busy = requested(running, "hold", "gate")
        [worker] = running.worker_pids()
        os.kill(worker, signal.SIGTERM)
        running.wait_for(f"drain.{worker}")
        running.allow("gate")
        assert busy.getresponse().read() == b"held"
        wait_until(lambda: not is_alive(worker), "the worker was gone")
        busy.close()


def test_a_drain_has_a_limit(tmp_path: Path) -> None:
    with service(tmp_path, DRAIN_TIMEOUT_S="0.2") as running:
        busy = requested(running, "hold", "never")
        running.running.signal(signal.SIGTERM)
        assert running.running.wait() == 0
        assert "cutting off 1 connection" in running.running.stderr
        assert "SIGKILL" not in running.running.stderr
        busy.close()


def test_a_worker_without_its_master_leaves(tmp_path: Path) -> None:
    with service(tmp_path, DRAIN_TIMEOUT_S=HOUR) as running:
        worker = running.me()["pid"]
        running.running.signal(signal.SIGKILL)
        wait_until(lambda: not is_alive(worker), "the worker was gone")


# The deadman -----------------------------------------------------------------------------------------------


def test_a_stuck_worker_says_where_and_is_replaced(tmp_path: Path) -> None:
    with service(tmp_path, DEADMAN_S="1.5") as running:
        connection = requested(running, "stuck", "c")
        running.running.wait_for_line("in get_stuck")
        running.running.wait_for_line("exited with code 1")
        assert running.me()["pid"] in running.worker_pids()
        assert "WORKER TIMEOUT" not in running.running.stderr  # gunicorn's own limit did not come first
        connection.close()


# Before the patching ---------------------------------------------------------------------------------------


def test_an_unpatched_import_is_a_clear_error_at_boot(tmp_path: Path) -> None:
    with gunicorn_running(tmp_path, more="import requests") as running:
        assert running.wait() == 3
        assert "requests" in running.stderr
        assert "imported before the worker could patch the standard library" in running.stderr


# What clients see ------------------------------------------------------------------------------------------


def test_items_of_a_stream_are_sent_as_they_come(tmp_path: Path) -> None:
    with service(tmp_path) as running:
        connection = requested(running, "stream", "live")
        answer = connection.getresponse()
        assert answer.getheader("Transfer-Encoding") == "chunked"
        assert answer.readline() == b"first\n"  # the second is not even made
        running.allow("live")
        assert answer.read() == b"second\n"
        connection.close()


def test_a_client_that_goes_away_closes_the_stream(tmp_path: Path) -> None:
    with service(tmp_path) as running:
        (tmp_path / "left.more").touch()
        connection = requested(running, "stream", "left")
        connection.close()
        running.allow("left")
        running.wait_for("left.closed")
        assert running.me()["pid"] in running.worker_pids()


def test_an_unexpected_error_is_logged_without_the_query(tmp_path: Path) -> None:
    with service(tmp_path) as running, running.connection() as connection:
        connection.request("GET", "/fail/x?token=hush")
        assert connection.getresponse().status == 500
        running.running.wait_for_line("ArithmeticError: the test's own failure")
        assert "Error handling GET '/fail/x'" in running.running.stderr
        assert "hush" not in running.running.stderr


def test_nonsense_is_a_bad_request_and_one_line_in_the_log(tmp_path: Path) -> None:
    with service(tmp_path) as running:
        assert isinstance(running.address, tuple)
        with socket.create_connection(running.address, timeout=30) as raw:
            raw.sendall(b"NONSENSE\r\n\r\n")
            assert raw.makefile("rb").read().startswith(b"HTTP/1.1 400 ")
        running.running.wait_for_line("[WARNING]")
        assert "Traceback" not in running.running.stderr


def test_an_idle_connection_is_ended_after_the_keep_alive(tmp_path: Path) -> None:
    with service(tmp_path, more="keepalive = 1") as running, running.connection() as idle:
        idle.request("GET", "/me")
        idle.getresponse().read()
        assert idle.sock.recv(1) == b""


def test_a_unix_socket_serves_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with service(tmp_path, BIND=f"unix:{path}") as running:
        assert running.me()["peer"] is None
        with running.connection() as kept:
            for _ in range(2):
                kept.request("GET", "/me")
                assert kept.getresponse().read()
            running.running.signal(signal.SIGTERM)
            assert kept.sock.recv(1) == b""
        assert running.running.wait() == 0
    assert not path.exists()
