"""POST /v1/fetch and its neighbours on the real service, with a real origin behind it.

Order is made by the origin's gates and read off its counts; nothing here depends on how fast anything is.
"""

from __future__ import annotations

import hashlib
import http.client
import json

import pytest

from tests.integration.service.conftest import MAX_REQUESTS
from tests.support.fetch_service import JSON, call, fetch, next_record, start_fetch
from tests.support.origin import Origin, body_of

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
