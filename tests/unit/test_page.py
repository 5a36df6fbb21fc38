from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import timedelta

import pytest
import requests

from app.fetching.answer import Answer
from app.fetching.page import Page
from app.model.timing import Timing

_HEAD = [
    b"HTTP/1.1 200 Fine\r\n",
    b"Content-Type: text/html; charset=utf-8\r\n",
    b"X-A: 1\r\n",
    b"x-a: 2\r\n",
    b"Set-Cookie: c=1\r\n",
    b"\r\n",
]
_MADE = ("headers", "reason", "encoding", "cookies", "raw", "request", "history", "timing", "memo", "_next")


def _request() -> requests.PreparedRequest:
    return requests.Request("GET", "http://h.test/").prepare()


def _page(make_request: Callable[[], requests.PreparedRequest] = _request, body: bytes = b"body") -> Page:
    answer = Answer(_HEAD, body, None, Timing(0.0, 0.0, 0.0, 0.25, 0.5, True, "HTTP/1.1"))
    return Page.of_answer(answer, "GET", "http://h.test/", make_request)


def test_what_nobody_asks_for_is_not_made() -> None:
    def never() -> requests.PreparedRequest:
        raise AssertionError("nobody asked for the request")

    page = _page(never)
    assert (page.status_code, page.url, page.content, page.body) == (200, "http://h.test/", b"body", b"body")
    assert not set(_MADE) & set(vars(page))
    assert page.ok
    page.close()
    assert page.text == "body"
    assert "raw" not in vars(page)


def test_what_is_asked_for_is_made_once() -> None:
    page = _page()
    for name in _MADE:
        assert getattr(page, name) is getattr(page, name)
    assert dict(page.headers) == {"Content-Type": "text/html; charset=utf-8", "X-A": "1, 2", "Set-Cookie": "c=1"}
    assert page.raw.headers.getlist("x-a") == ["1", "2"]
    assert (page.reason, page.encoding, page.cookies["c"]) == ("Fine", "utf-8", "1")
    assert (page.elapsed.total_seconds(), page.history, page.next) == (0.25, [], None)
    assert (page.raw.read(), page.raw.closed) == (b"", True)


def test_elapsed_is_until_the_answer_began_whatever_a_session_measures() -> None:
    page, cached = _page(), Page.of_answer(Answer(_HEAD, b"", None, Timing(*[0.0] * 5, True, "")), "GET", "")
    for each in (page, cached):
        each.elapsed = timedelta(seconds=9)
    assert (page.elapsed.total_seconds(), cached.elapsed.total_seconds()) == (0.25, 9.0)


@pytest.mark.parametrize("name", ["headers", "reason", "encoding", "raw", "request", "history", "memo", "status_code"])
def test_everything_can_be_set(name: str) -> None:
    page = _page()
    value = object()
    setattr(page, name, value)
    assert getattr(page, name) is value


def test_what_is_not_there_is_said_so() -> None:
    page = _page()
    with pytest.raises(AttributeError, match=r"'Page' object has no attribute 'no_such'"):
        page.no_such  # noqa: B018
    assert not hasattr(page, "__deepcopy__")


@pytest.mark.parametrize("again", [lambda page: pickle.loads(pickle.dumps(page)), copy.copy, copy.deepcopy])
def test_a_copy_has_all_that_a_copy_of_a_response_has(again: Callable[[Page], Page]) -> None:
    copied = again(_page())
    assert type(copied) is Page
    assert (copied.content, copied.text, copied.headers["x-a"], copied.request.url) == (
        b"body",
        "body",
        "1, 2",
        "http://h.test/",
    )
    assert (copied.raw, copied.cookies["c"], copied.elapsed.total_seconds()) == (None, "1", 0.25)
    copied.memo["tree"] = 1
    assert (copied.memo, copied.timing) == ({"tree": 1}, None)


def test_a_response_taken_over() -> None:
    response = requests.Response()
    response._content = b"x"
    response.status_code = 201
    page = Page.of(response)
    assert (page.body, page.status_code, page.memo, page.timing) == (b"x", 201, {}, None)
