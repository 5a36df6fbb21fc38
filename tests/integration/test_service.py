"""POST /v1/fetch and its neighbours on the real service, with a real origin behind it.

Order is made by the origin's gates and read off its counts; nothing here depends on how fast anything is.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fetch_service import JSON, call, fetch, fetch_service, next_record, start_fetch
from tests.support.gunicorn_service import Service
from tests.support.origin import Origin, body_of
from tests.support.processes import wait_until

MAX_REQUESTS = 300


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with fetch_service(folder, MAX_REQUESTS=str(MAX_REQUESTS), TIMEOUT_S="600", PER_ORIGIN="100") as service:
        yield service


@pytest.fixture
def connection(service: Service) -> Iterator[http.client.HTTPConnection]:
    with service.connection() as connection:
        yield connection


# One request -------------------------------------------------------------------------------------------------


def test_one_request_gives_one_record(connection: http.client.HTTPConnection, origin: Origin) -> None:
    body = {
        "url": origin.url("/html/one"),
        "id": "mine",
        "meta": {"any": [1, None]},
        "stages": ["title", "sha256"],
        "options": {"body": "text", "headers": {"X-Job": "7"}},
    }
    status, headers, raw = call(connection, "POST", "/v1/fetch", json.dumps(body).encode(), JSON)
    assert (status, headers["content-type"]) == (200, "application/json")
    record = json.loads(raw)
    assert (record["index"], record["id"], record["meta"]) == (0, "mine", {"any": [1, None]})
    assert (record["ok"], record["status"], record["attempts"], record["error"]) == (True, 200, 1, None)
    assert record["stages"]["title"] == "Page one of the origin"
    assert record["stages"]["sha256"] == hashlib.sha256(record["body"].encode()).hexdigest()
    [hit] = origin.hits("/html/one")
    assert ("x-job", "7") in hit.headers


def test_every_field_of_a_request_object_is_used(connection: http.client.HTTPConnection, origin: Origin) -> None:
    body = {
        "url": origin.url("/echo"),
        "method": "PUT",
        "headers": {"X-One": "1"},
        "body": "grüße",
        "timeout_s": 30,
        "stages": ["json"],
    }
    [record] = fetch(connection, body)
    seen = record["stages"]["json"]
    assert (seen["method"], seen["body"]) == ("PUT", "grüße")
    assert ["x-one", "1"] in seen["headers"]


def test_a_failed_outcome_is_a_record_and_not_a_problem(connection: http.client.HTTPConnection, origin: Origin) -> None:
    for url, kind, status in [
        (origin.url("/status/404"), "http_status", 404),
        ("gopher://127.0.0.1/", "unsupported_scheme", None),
        ("no url at all", "invalid_request", None),
    ]:
        [record] = fetch(connection, {"url": url})
        assert (record["ok"], record["error"]["kind"], record["status"]) == (False, kind, status)


# A list ------------------------------------------------------------------------------------------------------


def test_a_list_gives_a_record_for_each_element_whatever_it_is(
    connection: http.client.HTTPConnection, origin: Origin
) -> None:
    requests = [
        origin.url("/ok/10"),
        {"url": origin.url("/ok/20"), "id": 7},
        17,
        None,
        "",
        ["http://127.0.0.1/"],
        {"link": "http://127.0.0.1/"},
        {"url": origin.url("/ok/30"), "method": "TWO WORDS"},
        {"url": origin.url("/ok/30"), "timeout_s": 601},
        {"url": origin.url("/ok/30"), "headers": {"X": "a\r\nInjected: b"}},
        {"url": "ftp://127.0.0.1/file"},
        origin.url("/status/500?n=last"),
    ]
    start_fetch(connection, {"requests": requests, "stages": ["sha256"], "options": {"retries": 0}})
    response = connection.getresponse()
    assert (response.status, response.getheader("Content-Type")) == (200, "application/x-ndjson")
    assert response.getheader("X-Accel-Buffering") == "no"
    records = {record["index"]: record for record in map(json.loads, response.read().splitlines())}
    assert sorted(records) == list(range(len(requests)))
    assert records[0]["stages"]["sha256"] == hashlib.sha256(body_of(10)).hexdigest()
    assert (records[1]["ok"], records[1]["id"], records[1]["bytes"]) == (True, 7, 20)
    kinds = [records[index]["error"]["kind"] for index in range(2, len(requests))]
    assert kinds == ["invalid_request"] * 8 + ["unsupported_scheme", "http_status"]
    assert "601" in records[8]["error"]["message"]
    assert origin.counts().requests == {"/ok/10": 1, "/ok/20": 1, "/status/500": 1}


def test_each_record_is_sent_as_soon_as_it_is_there(connection: http.client.HTTPConnection, origin: Origin) -> None:
    start_fetch(connection, {"requests": [origin.url("/gate/slow"), origin.url("/ok/1"), origin.url("/gate/slow")]})
    response = connection.getresponse()
    assert next_record(response)["index"] == 1
    origin.open("slow")
    assert {next_record(response)["index"], next_record(response)["index"]} == {0, 2}
    assert response.read() == b""


def test_the_longest_list_that_is_taken(connection: http.client.HTTPConnection, origin: Origin) -> None:
    requests = [origin.url(f"/ok/{n % 50}?n={n}") for n in range(MAX_REQUESTS)]
    records = fetch(connection, {"requests": requests, "stages": ["sha256"]})
    assert sorted(record["index"] for record in records) == list(range(MAX_REQUESTS))
    for record in records:
        assert record["url"] == requests[record["index"]]
        assert record["stages"]["sha256"] == hashlib.sha256(body_of(record["index"] % 50)).hexdigest()


# Bad calls ---------------------------------------------------------------------------------------------------

URL = "http://127.0.0.1:1/never"

BAD_BODIES: list[tuple[Any, int, str]] = [
    (b"", 400, "malformed_json"),
    (b"{", 400, "malformed_json"),
    (b"nonsense", 400, "malformed_json"),
    (b'{"url": "\xff"}', 400, "malformed_json"),
    (b'{"requests": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "malformed_json"),
    ([], 422, "invalid_call"),
    ("http://127.0.0.1/", 422, "invalid_call"),
    ({}, 422, "invalid_call"),
    ({"stages": ["title"]}, 422, "invalid_call"),
    ({"url": 1}, 422, "invalid_call"),
    ({"url": None}, 422, "invalid_call"),
    ({"url": URL, "nonsense": 1}, 422, "invalid_call"),
    ({"url": URL, "requests": [URL]}, 422, "invalid_call"),
    ({"url": URL, "method": "TWO WORDS"}, 422, "invalid_call"),
    ({"url": URL, "timeout_s": 0}, 422, "invalid_call"),
    ({"url": URL, "timeout_s": 601}, 422, "invalid_call"),
    ({"url": URL, "headers": {"X": 1}}, 422, "invalid_call"),
    ({"url": URL, "stages": "title"}, 422, "invalid_call"),
    ({"url": URL, "options": []}, 422, "invalid_call"),
    ({"requests": []}, 422, "invalid_call"),
    ({"requests": URL}, 422, "invalid_call"),
    ({"requests": [URL], "nonsense": 1}, 422, "invalid_call"),
    ({"requests": [URL] * (MAX_REQUESTS + 1)}, 422, "too_many_requests"),
    ({"requests": [URL], "stages": ["nonsense"]}, 422, "unknown_stage"),
    ({"requests": [URL], "stages": ["title", "title"]}, 422, "unknown_stage"),
    ({"requests": [URL], "stages": ["os:getcwd"]}, 422, "unknown_stage"),
    ({"requests": [URL], "options": {"nonsense": 1}}, 422, "invalid_option"),
    ({"requests": [URL], "options": {"timeout_s": "1"}}, 422, "invalid_option"),
    ({"requests": [URL], "options": {"timeout_s": 601}}, 422, "invalid_option"),
    ({"requests": [URL], "options": {"retries": 3}}, 422, "invalid_option"),
    ({"requests": [URL], "options": {"retries": -1}}, 422, "invalid_option"),
    ({"requests": [URL], "options": {"body": "all"}}, 422, "invalid_option"),
    (b"x" * (16 * 1024 * 1024 + 1), 413, "body_too_large"),
]


def check_problem(status: int, headers: dict[str, str], raw: bytes, expected_status: int, kind: str) -> dict[str, Any]:
    problem: dict[str, Any] = json.loads(raw)
    assert (status, problem["kind"]) == (expected_status, kind), problem
    assert headers["content-type"] == "application/problem+json"
    assert sorted(problem) == ["detail", "kind", "status", "title", "type"]
    assert problem["status"] == status
    assert problem["type"] == f"urn:percore:problem:{kind}"
    assert problem["title"]
    assert problem["detail"]
    return problem


@pytest.mark.parametrize(("body", "status", "kind"), BAD_BODIES)
def test_a_bad_call_is_a_problem(service: Service, body: Any, status: int, kind: str) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with service.connection() as connection:
        check_problem(*call(connection, "POST", "/v1/fetch", raw, JSON), status, kind)


def test_a_bad_call_fetches_nothing(connection: http.client.HTTPConnection, origin: Origin) -> None:
    good = [origin.url("/ok")]
    for fault in ({"stages": ["nonsense"]}, {"options": {"retries": 99}}, {"more": 1}):
        answer = call(connection, "POST", "/v1/fetch", json.dumps({"requests": good} | fault).encode(), JSON)
        assert answer[0] == 422
    assert origin.counts().total == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_only_plain_json_is_read(connection: http.client.HTTPConnection, headers: dict[str, str]) -> None:
    answer = call(connection, "POST", "/v1/fetch", b'{"url": "http://127.0.0.1:1/"}', headers)
    check_problem(*answer, 415, "unsupported_media_type")


def test_a_chunked_body_is_read_and_limited(service: Service, origin: Origin) -> None:
    with service.connection() as connection:
        pieces = [b'{"url": ', json.dumps(origin.url("/ok/5")).encode(), b"}"]
        connection.request("POST", "/v1/fetch", iter(pieces), JSON, encode_chunked=True)
        response = connection.getresponse()
        assert json.loads(response.read())["bytes"] == 5
    with service.connection() as connection:
        connection.request("POST", "/v1/fetch", (b" " * 1_000_000 for _ in range(17)), JSON, encode_chunked=True)
        response = connection.getresponse()
        assert response.status == 413
        assert json.loads(response.read())["kind"] == "body_too_large"


def test_a_body_that_breaks_off_is_a_problem(service: Service) -> None:
    with service.connection() as connection:
        head = b"POST /v1/fetch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
        connection.sock.sendall(head + b'{"url"')
        connection.sock.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection.sock)
        response.begin()
        assert (response.status, json.loads(response.read())["kind"]) == (400, "incomplete_body")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
# Port 1 of this machine takes no connections; the address is not a name, so nothing is looked up.
urls = st.sampled_from(["http://127.0.0.1:1/", "", "http://", "//x", "http://[::1/", "http://127.0.0.1:99999/", "é"])
elements = urls | json_values | st.fixed_dictionaries({"url": urls}, optional={"meta": json_values, "id": json_values})
bodies = json_values | st.fixed_dictionaries(
    {},
    optional={
        "url": urls | json_values,
        "requests": st.lists(elements, max_size=4) | json_values,
        "stages": st.lists(st.sampled_from(["title", "json", "x"]), max_size=2) | json_values,
        "options": st.just({"retries": 0}) | json_values,
        "meta": json_values,
        "headers": st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
        "method": st.sampled_from(["GET", "get", "", "A B"]),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies)
def test_no_json_is_answered_by_a_defect(service: Service, body: Any) -> None:
    if isinstance(body, dict):
        body = {"options": {"retries": 0}} | body  # unless the options are what is random: no pauses
    with service.connection() as connection:
        status, headers, raw = call(connection, "POST", "/v1/fetch", json.dumps(body).encode(), JSON)
    assert status in (200, 400, 422), raw
    if status == 200:
        records = [json.loads(line) for line in raw.splitlines()]
        count = len(body["requests"]) if "requests" in body else 1
        assert sorted(record["index"] for record in records) == list(range(count))
        assert not any((record["error"] or {}).get("kind") == "internal_error" for record in records), records
    else:
        check_problem(status, headers, raw, status, json.loads(raw)["kind"])


# Callers that leave, or don't read ---------------------------------------------------------------------------


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


# The other resources -----------------------------------------------------------------------------------------


def test_health_and_readiness(connection: http.client.HTTPConnection) -> None:
    for path, body in (("/healthz", {"status": "ok"}), ("/readyz", {"status": "ready"})):
        status, headers, raw = call(connection, "GET", path)
        assert (status, json.loads(raw), headers["cache-control"]) == (200, body, "no-store")


def test_stages_are_listed_with_a_line_each(connection: http.client.HTTPConnection) -> None:
    status, headers, raw = call(connection, "GET", "/v1/stages")
    assert (status, headers["content-type"]) == (200, "application/json")
    listed = json.loads(raw)
    assert [item["name"] for item in listed][:5] == ["sha256", "title", "links", "text", "json"]
    assert all(item["doc"] and "\n" not in item["doc"] for item in listed[:5])


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v1/stages"])
def test_head_is_get_without_its_body(connection: http.client.HTTPConnection, path: str) -> None:
    status, got, body = call(connection, "GET", path)
    head_status, head, nothing = call(connection, "HEAD", path)
    assert (head_status, nothing) == (status, b"")
    assert (head["content-length"], head["content-type"]) == (str(len(body)), got["content-type"])


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/fetch", {"POST", "OPTIONS"}),
        ("DELETE", "/v1/fetch", {"POST", "OPTIONS"}),
        ("POST", "/healthz", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/v1/stages", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_other_methods_are_refused_with_what_is_allowed(
    connection: http.client.HTTPConnection, method: str, path: str, allow: set[str]
) -> None:
    answer = call(connection, method, path)
    check_problem(*answer, 405, "method_not_allowed")
    assert set(answer[1]["allow"].split(", ")) == allow
    status, headers, _ = call(connection, "OPTIONS", path)
    assert (status, set(headers["allow"].split(", "))) == (200, allow - {"OPTIONS"})


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/fetch/", "/v1/jobs", "/%00%ff"])
def test_unknown_paths_are_not_found(connection: http.client.HTTPConnection, path: str) -> None:
    check_problem(*call(connection, "GET", path), 404, "not_found")


# Draining, several workers -----------------------------------------------------------------------------------


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
