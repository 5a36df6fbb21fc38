"""Callers that leave, hurry or do not read, a worker that drains, two that share the listener."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal

import pytest

from tests.support.fetch_service import call, fetch, fetch_service, next_record, start_fetch
from tests.support.gunicorn_service import Service
from tests.support.origin import Origin
from tests.support.processes import wait_until


@pytest.mark.parametrize("form", ["single", "list", "list with a record sent"])
def test_a_caller_that_leaves_ends_its_fetches(service: Service, origin: Origin, form: str) -> None:
    with service.connection() as connection:
        if form == "single":
            start_fetch(connection, {"url": origin.url("/gate/never")})
            origin.wait_waiting("never", 1)
        else:
            first = [origin.url("/ok/1")] if form == "list with a record sent" else []
            start_fetch(connection, {"requests": first + [origin.url("/gate/never")] * 5})
            origin.wait_waiting("never", 5)
            if first:
                next_record(response := connection.getresponse())
                response.close()  # it holds the socket too
    wait_until(lambda: origin.counts().in_flight == 0, "the fetches of the caller that left had ended")
    with service.connection() as connection:
        assert fetch(connection, {"url": origin.url("/ok/2")})[0]["ok"]
    assert "Traceback" not in service.running.stderr
    assert "ERROR" not in service.running.stderr


def test_a_caller_that_sends_its_next_request_early_has_not_left(service: Service, origin: Origin) -> None:
    def head(body: bytes) -> bytes:
        return (
            b"POST /v1/fetch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )

    with service.connection() as connection:
        connection.sock.sendall(head(json.dumps({"url": origin.url("/gate/early")}).encode()))
        origin.wait_waiting("early")
        # Not before: the server would read both requests at once, and nothing would lie in the socket.
        connection.sock.sendall(head(json.dumps({"url": origin.url("/ok/3")}).encode()))
        # A whole exchange of somebody else: the worker has been round its hub since.
        with service.connection() as other:
            fetch(other, {"url": origin.url("/ok/4")})
        origin.open("early")
        answers = connection.sock.makefile("rb")
        records = []
        for _ in range(2):
            assert answers.readline().startswith(b"HTTP/1.1 200")
            length = 0
            while line := answers.readline().strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            records.append(json.loads(answers.read(length)))
        assert [record["url"] for record in records] == [origin.url("/gate/early"), origin.url("/ok/3")]
        assert all(record["ok"] for record in records)


def test_all_calls_together_keep_within_the_workers_concurrency(
    tmp_path_factory: pytest.TempPathFactory, origin: Origin
) -> None:
    with (
        fetch_service(tmp_path_factory.mktemp("bounded"), CONCURRENCY="3", PER_ORIGIN="100") as service,
        contextlib.ExitStack() as stack,
    ):
        connections = [stack.enter_context(service.connection()) for _ in range(4)]
        for connection in connections:
            start_fetch(connection, {"requests": [origin.url("/gate/all")] * 5})
        origin.wait_waiting("all", 3)
        with service.connection() as other:
            for _ in range(50):  # chances for one too many to show itself
                assert call(other, "GET", "/healthz")[0] == 200
                assert origin.counts().in_flight == 3
        origin.open("all")
        for connection in connections:
            assert len(connection.getresponse().read().splitlines()) == 5
    counts = origin.counts()
    assert (counts.requests["/gate/all"], counts.most_in_flight_by_path["/gate/all"]) == (20, 3)


def test_who_does_not_read_keeps_nobody_else_waiting(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> None:
    folder = tmp_path_factory.mktemp("slow")
    with fetch_service(folder, CONCURRENCY="2", PER_ORIGIN="2") as service, contextlib.ExitStack() as stack:
        lazy, busy = (stack.enter_context(service.connection()) for _ in range(2))
        # 40 records of 1 MB: more than the sockets between us hold, so the first ones fill all that may be kept.
        options = {"body": "text"}
        start_fetch(lazy, {"requests": [origin.url("/ok/1000000")] * 40, "options": options})
        wait_until(lambda: origin.counts().requests.get("/ok/1000000", 0) >= 2, "the lazy caller's fetches began")
        for _ in range(10):
            assert fetch(busy, {"url": origin.url("/ok/1")})[0]["ok"]
        assert origin.counts().requests["/ok/1000000"] < 40
        assert len(lazy.getresponse().read().splitlines()) == 40


def test_a_draining_worker_is_not_ready_and_finishes_its_calls(
    tmp_path_factory: pytest.TempPathFactory, origin: Origin
) -> None:
    folder = tmp_path_factory.mktemp("drain")
    with fetch_service(folder, DRAIN_TIMEOUT_S="600") as service, contextlib.ExitStack() as stack:
        idle, asking, waiting = (stack.enter_context(service.connection()) for _ in range(3))
        start_fetch(waiting, {"requests": [origin.url("/gate/drain"), origin.url("/ok/1")]})
        response = waiting.getresponse()
        assert next_record(response)["index"] == 1
        # Half a request, so that it is this worker that answers it, after its drain has begun. Two exchanges on
        # another connection: the worker has taken this one up since.
        asking.sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n")
        for _ in range(2):
            assert call(idle, "GET", "/readyz")[0] == 200
        for worker in service.worker_pids():
            os.kill(worker, signal.SIGTERM)
        assert idle.sock.recv(1) == b"", "an idle connection ends when the drain begins"
        asking.sock.sendall(b"\r\n")
        answer = http.client.HTTPResponse(asking.sock)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["kind"]) == (503, "draining")
        origin.open("drain")
        assert next_record(response)["index"] == 0
        assert response.read() == b""


def test_two_workers_share_the_listener(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> None:
    with (
        fetch_service(tmp_path_factory.mktemp("two"), WORKERS="2", PER_ORIGIN="100") as service,
        contextlib.ExitStack() as stack,
    ):
        assert len(service.worker_pids()) == 2
        connections = [stack.enter_context(service.connection()) for _ in range(20)]
        for connection in connections:
            start_fetch(connection, {"requests": [origin.url("/gate/two"), origin.url("/ok/1")]})
        responses = [connection.getresponse() for connection in connections]
        assert all(next_record(response)["index"] == 1 for response in responses)
        origin.open("two")
        assert all(next_record(response)["index"] == 0 for response in responses)
