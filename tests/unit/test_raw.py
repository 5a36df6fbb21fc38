from __future__ import annotations

import gc
import io
import weakref
from typing import Any

import pytest
import requests
import urllib3
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar

from app.fetching.raw import BufferedBody, HTTPResponse, _ReadResponse, raw_response, read_response

HEAD = [
    b"HTTP/1.1 203 Fine\r\n",
    b"Content-Type: text/html\r\n",
    b"X-A: 1\r\n",
    b"x-a: 2\r\n",
    b"Content-Length: 4\r\n",
    b"\r\n",
]
WITH_COOKIE = [*HEAD[:-1], b"SET-Cookie: c=1\r\n", b"\r\n"]


def is_made(response: urllib3.HTTPResponse) -> bool:
    return type(response) is HTTPResponse


def test_what_was_read_is_made_at_the_first_look() -> None:
    response = read_response(HEAD, "GET", "http://h.test/")
    assert isinstance(response, urllib3.HTTPResponse)
    assert (response.closed, is_made(response)) == (True, False)
    assert response.status == 203
    assert is_made(response)


def test_it_is_then_as_one_that_was_made_at_once() -> None:
    late = read_response(HEAD, "GET", "http://h.test/")
    at_once = raw_response(HEAD, BufferedBody(b""), "GET", "http://h.test/")
    assert late.status == at_once.status
    assert vars(late).keys() == vars(at_once).keys()
    plain = [name for name, value in vars(at_once).items() if isinstance(value, (int, str, type(None)))]
    assert len(plain) > 10
    assert [getattr(late, name) for name in plain] == [getattr(at_once, name) for name in plain]
    assert late.headers == at_once.headers
    assert late._original_response is not None
    assert late._original_response.msg is late.headers
    assert (late.read(), late.closed, late.url) == (at_once.read(), at_once.closed, at_once.url)


@pytest.mark.parametrize("look", [lambda raw: raw.read(), lambda raw: raw.getheaders(), lambda raw: raw.release_conn()])
def test_methods_are_looks_too(look: Any) -> None:
    response = read_response(HEAD, "GET", "http://h.test/")
    look(response)
    assert (is_made(response), response.headers.getlist("X-A")) == (True, ["1", "2"])


def test_what_is_set_stays() -> None:
    response: Any = read_response(HEAD, "GET", "http://h.test/")
    response.decode_content = True
    response.mine = "yes"
    assert (response.status, response.decode_content, response.mine) == (203, True, "yes")


def test_what_is_not_there_is_said_so() -> None:
    response = read_response(HEAD, "GET", "http://h.test/")
    with pytest.raises(AttributeError, match="no_such"):
        response.no_such  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(("head", "cookies"), [(HEAD, {}), (WITH_COOKIE, {"c": "1"})])
def test_cookies_are_found_without_a_look_at_the_rest(head: list[bytes], cookies: dict[str, str]) -> None:
    response, jar = read_response(head, "GET", "http://h.test/"), RequestsCookieJar()
    assert bool(response._original_response) == bool(cookies)
    extract_cookies_to_jar(jar, requests.Request("GET", "http://h.test/").prepare(), response)
    assert (jar.get_dict(), is_made(response)) == (cookies, False)


def test_a_body_that_is_still_to_be_read_may_be_closed() -> None:
    body = io.BytesIO(b"abc")
    response = raw_response(HEAD, body, "GET", "http://h.test/")
    original = response._original_response
    assert original is not None
    assert (bool(original), original.isclosed()) == (True, False)
    original.close()
    assert (body.closed, original.isclosed()) == (True, True)


def test_nobody_looks_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(_ReadResponse, "_become", seen.append)
    # The interpreter asks a file that is dropped whether it is closed, and else closes it.
    gone = weakref.ref(read_response(HEAD, "GET", "http://h.test/"))
    gc.collect()
    assert (gone(), seen) == (None, [])
