"""How the bytes of a call become entries, stages and options, or one problem. No network, no server."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from app.api.problems import Problem, ProblemKind
from app.api.schemas import Call, parse_call
from app.model.outcome import ErrorKind, Failure
from app.model.request import Request
from app.settings import Settings

SETTINGS = Settings(timeout_s=20.0, retries=1, max_requests=5)


def parse(body: Any) -> Call:
    return parse_call(body if isinstance(body, bytes) else json.dumps(body).encode(), SETTINGS)


def problem_of(body: Any) -> tuple[ProblemKind, str]:
    with pytest.raises(Problem) as caught:
        parse(body)
    return caught.value.kind, caught.value.description or ""


def test_the_single_form_is_a_request_object_with_the_calls_own_fields_beside() -> None:
    call = parse({"url": "http://a/", "method": "PUT", "id": 1, "meta": [2], "stages": ["title"], "options": {}})
    [entry] = call.entries()
    assert call.is_single
    assert entry.request == Request(url="http://a/", method="PUT", id=1, meta=[2])
    assert [stage.name for stage in call.stages] == ["title"]


def test_a_string_in_a_list_stands_for_a_request_object() -> None:
    call = parse({"requests": ['http://a/\u00fc?"', {"url": "http://b/"}]})
    assert not call.is_single
    first, second = call.entries()
    assert (first.index, first.request) == (0, Request(url='http://a/\u00fc?"'))
    assert (second.index, second.request) == (1, Request(url="http://b/"))


def test_a_faulty_element_is_its_own_failure_only() -> None:
    call = parse({"requests": [1, "http://a/", {"url": "http://b/", "timeout_s": 21}, {"x": 1}, "ftp://c/"]})
    entries = list(call.entries())
    kinds = [entry.request.kind if isinstance(entry.request, Failure) else None for entry in entries]
    bad = ErrorKind.INVALID_REQUEST
    assert kinds == [bad, None, bad, bad, ErrorKind.UNSUPPORTED_SCHEME]
    assert [entry.url for entry in entries] == ["1", "http://a/", "http://b/", '{"x": 1}', "ftp://c/"]


def test_a_faulty_element_keeps_the_callers_own_fields() -> None:
    own = {"url": "http://a/", "id": 7, "meta": {"a": 1}}
    late, broken, null = parse(
        {"requests": [own | {"timeout_s": 21}, own | {"colour": "red"}, own | {"timeout_s": 21, "id": None}]}
    ).entries()
    for entry in (late, broken):
        assert isinstance(entry.request, Failure)
        assert (entry.given_id, entry.given_meta) == (7, {"a": 1})
    assert null.given_id is UNSET


def test_what_the_call_leaves_open_comes_from_the_settings() -> None:
    assert (parse({"url": "x"}).options.timeout_s, parse({"url": "x"}).options.retries) == (20.0, 1)
    options = parse({"url": "x", "options": {"timeout_s": 3, "retries": 0, "body": "base64"}}).options
    assert (options.timeout_s, options.retries, options.body) == (3.0, 0, "base64")


def test_the_settings_are_upper_bounds() -> None:
    assert parse({"url": "x", "timeout_s": 20, "options": {"timeout_s": 20, "retries": 1}}).is_single
    for options in ({"timeout_s": 20.5}, {"retries": 2}):
        kind, detail = problem_of({"url": "x", "options": options})
        assert kind is ProblemKind.INVALID_OPTION
        assert "this service allows at most" in detail
    assert problem_of({"url": "x", "timeout_s": 20.5})[0] is ProblemKind.INVALID_CALL


def test_a_header_in_two_cases_is_given_twice() -> None:
    assert parse({"url": "x", "options": {"headers": {"X-A": "1", "x-b": "2"}}}).options.headers["x-b"] == "2"
    kind, detail = problem_of({"url": "x", "options": {"headers": {"X-A": "1", "b": "2", "x-a": "1"}}})
    assert kind is ProblemKind.INVALID_OPTION
    assert detail == "`options.headers` has `X-A` and `x-a`, which are the same header; give it once"


def test_who_runs_the_service_may_insist_on_robots_txt() -> None:
    assert parse({"url": "x"}).options.robots == "ignore"
    assert parse({"url": "x", "options": {"robots": "obey"}}).options.robots == "obey"
    strict = msgspec.structs.replace(SETTINGS, robots="obey")
    assert parse_call(b'{"url": "x"}', strict).options.robots == "obey"
    with pytest.raises(Problem) as caught:
        parse_call(b'{"url": "x", "options": {"robots": "ignore"}}', strict)
    assert caught.value.kind is ProblemKind.INVALID_OPTION
    assert problem_of({"url": "x", "options": {"robots": "maybe"}})[0] is ProblemKind.INVALID_OPTION


def test_a_list_may_be_as_long_as_the_settings_say() -> None:
    assert len(parse({"requests": ["x"] * 5}).requests) == 5
    assert problem_of({"requests": ["x"] * 6})[0] is ProblemKind.TOO_MANY_REQUESTS


def test_details_name_the_place() -> None:
    assert "$.stages[1]" in problem_of({"requests": ["x"], "stages": ["title", 2]})[1]
    assert "options.headers" in problem_of({"url": "x", "options": {"headers": 1}})[1]
    assert "`nonsense`" in problem_of({"url": "x", "nonsense": 1})[1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)
calls = st.fixed_dictionaries(
    {},
    optional={
        name: json_values | st.text() | st.lists(json_values, max_size=6)
        for name in ("url", "requests", "stages", "options", "id", "meta", "timeout_s", "headers", "body")
    },
)


@given(st.binary() | (json_values | calls).map(lambda value: json.dumps(value).encode()))
@example(b'{"requests": ["\xff", "\\ud800", {"url": "\xff"}]}')
@example(b'{"requests": ["\xff", {"url": "\xff"}, "\\u0000"]}')
@example(b'{"requests": [1e999, -1, {"url": "x", "id": 1e999}]}')
@example(b'{"url": "http://a/", "id": 1000000000000000000000000000000, "meta": 1e308}')
@example(b'{"url": ' + b"[" * 10_000)
@example(b'{"requests": [{"url": "http://a/", "meta": ' + b"[" * 300 + b"]" * 300 + b"}]}")
def test_any_bytes_are_a_call_or_a_problem(body: bytes) -> None:
    refused = None
    try:
        call = parse(body)
    except Problem as problem:
        refused = problem
    if refused is not None:
        assert refused.status_code in (400, 422)
        assert refused.description
        return
    entries = list(call.entries())
    assert [entry.index for entry in entries] == list(range(len(call.requests)))
    for entry in entries:
        msgspec.json.encode(entry)  # a record can carry whatever was let in
