"""Calls that are none, each of which is a problem that says what to mend."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.service.conftest import MAX_REQUESTS
from tests.support.fetch_service import JSON, call
from tests.support.gunicorn_service import Service
from tests.support.origin import Origin

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
    ({"requests": [URL], "options": {"headers": {"X-A": "1", "x-a": "2"}}}, 422, "invalid_option"),
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
    if not headers:
        assert b"`Content-Type: application/json`, and has no type" in answer[2]


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
