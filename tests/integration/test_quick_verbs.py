"""Which calls go the quick way, and that whatever has a word to say about a call is heard."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import requests
from requests.adapters import HTTPAdapter

from app.errors import FetchError, InvalidRequest
from app.fetching import CurlAdapter, Page, Session
from app.model.request import Request
from app.policy.addresses import AddressPolicy
from tests.support.mirror import Mirror, Reply, running_mirror


@pytest.fixture(scope="module")
def running() -> Iterator[Mirror]:
    with running_mirror() as mirror:
        yield mirror


@pytest.fixture
def mirror(running: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mirror:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("NETRC", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    running.will_answer([Reply(body=b"here")])
    return running


@pytest.fixture
def url(mirror: Mirror) -> str:
    return f"http://127.0.0.1:{mirror.port}/a"


def _is_quick(call: Callable[[], requests.Response]) -> bool:
    """Only requests' own way gets at its own `send`."""
    # Not `send` itself: that somebody has replaced it is noticed, and the quick way is left.
    with (
        mock.patch.object(CurlAdapter, "_whole", autospec=True, side_effect=CurlAdapter._whole) as whole,
        mock.patch.object(CurlAdapter, "_streamed", autospec=True, side_effect=CurlAdapter._streamed) as streamed,
    ):
        call()
    return not (whole.called or streamed.called)


QUICK: dict[str, Callable[[Session, str], requests.Response]] = {
    "get": lambda session, url: session.get(url),
    "head": lambda session, url: session.head(url),
    "delete": lambda session, url: session.delete(url),
    "options": lambda session, url: session.options(url),
    "request": lambda session, url: session.request("odd", url),
    "timeout": lambda session, url: session.get(url, timeout=20),
    "two timeouts": lambda session, url: session.get(url, timeout=(20, 20)),
    "headers": lambda session, url: session.get(url, headers={"X-A": "1", "Accept": None}),
    "params": lambda session, url: session.get(url, params={"a": ["1", "2"]}),
    "cookies": lambda session, url: session.get(url, cookies={"a": "1"}),
    "bytes": lambda session, url: session.post(url, data=b"bytes"),
    "text": lambda session, url: session.put(url, data="text"),
    "form": lambda session, url: session.post(url, data={"a": "1"}),
    "pairs": lambda session, url: session.patch(url, data=[("a", "1")]),
    "json": lambda session, url: session.post(url, json={"a": 1}),
    "nothing given": lambda session, url: session.get(
        url, stream=None, auth=None, proxies=None, verify=None, hooks=None
    ),
    "escapes, fragment": lambda session, url: session.get(url + "/ü %zz#top"),
    "prepared": lambda session, url: session.send(session.prepare_request(requests.Request("GET", url))),
}


@pytest.mark.parametrize("name", QUICK)
def test_plain_calls_are_quick(url: str, name: str) -> None:
    session = Session()
    assert _is_quick(lambda: QUICK[name](session, url))


def test_cookies_and_redirects_are_quick(mirror: Mirror, url: str) -> None:
    session = Session()
    session.cookies.set("a", "1")
    replies = [Reply(302, [("Location", "/b"), ("Set-Cookie", "b=2")]), Reply(307, [("Location", "c")]), Reply()]
    mirror.will_answer(replies)
    assert _is_quick(lambda: session.post(url, data=b"x"))
    assert [(asked.method, asked.target) for asked in mirror.asked] == [("POST", "/a"), ("GET", "/b"), ("GET", "/c")]
    assert [dict(asked.headers)["Cookie"] for asked in mirror.asked] == ["a=1", "a=1; b=2", "a=1; b=2"]


SLOW: dict[str, Callable[[Session, str], requests.Response]] = {
    "stream": lambda session, url: session.get(url, stream=True),
    "generator": lambda session, url: session.post(url, data=(piece for piece in (b"a", b"b"))),
    "prepared stream": lambda session, url: session.send(
        session.prepare_request(requests.Request("POST", url, data=(piece for piece in (b"a",))))
    ),
}


@pytest.mark.parametrize("name", SLOW)
def test_what_streams_is_not(url: str, name: str) -> None:
    session = Session()
    assert not _is_quick(lambda: SLOW[name](session, url))


# --- who puts something in place of a step is heard ----------------------------------------------------------------

_STEPS = [
    "send", "prepare_request", "merge_environment_settings", "resolve_redirects", "get_redirect_target",
    "rebuild_method", "rebuild_auth", "rebuild_proxies", "should_strip_auth", "get_adapter", "request",
]  # fmt: skip


def _spied(name: str, seen: list[str], of: type[requests.Session]) -> Any:
    original = getattr(of, name)

    def spy(self: Any, *args: Any, **options: Any) -> Any:
        seen.append(name)
        return original(self, *args, **options)

    return spy


def _call_with_everything(session: requests.Session, mirror: Mirror) -> None:
    mirror.will_answer([Reply(302, [("Location", "/b")]), Reply()])
    session.get(f"http://127.0.0.1:{mirror.port}/a", headers={"Authorization": "x"})


@pytest.mark.parametrize("name", _STEPS)
def test_a_subclass_is_heard(mirror: Mirror, name: str) -> None:
    seen: list[str] = []
    _call_with_everything(type("Mine", (Session,), {name: _spied(name, seen, Session)})(), mirror)
    assert seen


@pytest.mark.parametrize("name", _STEPS)
def test_what_is_set_on_the_session_is_heard(mirror: Mirror, name: str) -> None:
    seen: list[str] = []
    session = Session()
    setattr(session, name, _spied(name, seen, Session).__get__(session))
    _call_with_everything(session, mirror)
    assert seen


@pytest.mark.parametrize("name", _STEPS)
def test_what_is_set_on_requests_own_class_is_heard(mirror: Mirror, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    seen: list[str] = []
    session = Session()
    monkeypatch.setattr(requests.Session, name, _spied(name, seen, requests.Session))
    _call_with_everything(session, mirror)
    assert seen


def test_a_redirect_that_only_a_subclass_sees_is_followed(mirror: Mirror, url: str) -> None:
    class Refreshing(Session):
        def get_redirect_target(self, resp: requests.Response) -> str | None:
            return resp.headers.get("Refresh")

    mirror.will_answer([Reply(200, [("Refresh", "/b")]), Reply()])
    assert Refreshing().get(url).url.endswith("/b")


def test_a_mounted_adapter_gets_its_requests(url: str) -> None:
    class Local(HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
            response = requests.Response()
            response.status_code, response._content, response.request = 299, b"", request
            response.url = str(request.url)
            return response

    session = Session()
    session.mount(url, Local())
    assert session.get(url).status_code == 299
    assert session.get(url + "/below").status_code == 299
    assert session.get(url[:-1]).status_code == 200


def test_a_redirect_to_a_mounted_adapter(mirror: Mirror, url: str) -> None:
    seen: list[str] = []

    class Local(CurlAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
            seen.append(str(request.url))
            return super().send(request, *args, **options)

    session = Session()
    session.mount(url[:-1] + "there", Local())
    mirror.will_answer([Reply(302, [("Location", "/there")]), Reply(302, [("Location", "/on")]), Reply()])
    response = session.get(url)
    assert seen == [url[:-1] + "there"]
    assert [each.url for each in [*response.history, response]] == [url, url[:-1] + "there", url[:-1] + "on"]


def test_mocks_of_the_adapter_that_requests_has_see_the_request(mirror: Mirror, url: str) -> None:
    answer = requests.Response()
    answer.status_code, answer._content, answer.url = 298, b"", url
    with mock.patch("requests.adapters.HTTPAdapter.send", autospec=True, return_value=answer) as sent:
        assert Session().get(url).status_code == 298
    assert isinstance(sent.call_args.args[0], HTTPAdapter)
    assert not mirror.asked


def test_under_such_a_mock_the_policy_still_holds(url: str) -> None:
    session = Session(policy=AddressPolicy())
    with (
        mock.patch("requests.adapters.HTTPAdapter.send", HTTPAdapter.send),
        pytest.raises(requests.exceptions.ConnectionError),
    ):
        session.get(url)
    with pytest.raises((requests.exceptions.ConnectionError, FetchError)):
        session.get(url)


# --- settings are heard ----------------------------------------------------------------------------------------------


def test_auth_hooks_params_and_proxies_are_heard(mirror: Mirror, url: str) -> None:
    session = Session()
    session.auth = ("u", "p")
    session.params = {"s": "1"}
    heard: list[Any] = []
    session.hooks["response"].append(lambda response, **_: heard.append(response.status_code))
    session.get(url)
    session.get(url, hooks={"response": lambda response, **_: heard.append("own")})
    assert heard == [200, "own"]
    assert mirror.asked[0].target == "/a?s=1"
    assert ("Authorization", "Basic " + base64.b64encode(b"u:p").decode()) in mirror.asked[0].headers
    session.proxies = {"http": f"http://127.0.0.1:{mirror.port}"}
    session.get("http://elsewhere.invalid/")
    assert mirror.asked[-1].target == "http://elsewhere.invalid/?s=1"


def test_the_environment_is_heard(mirror: Mirror, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    session = Session()
    session.get(url)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{mirror.port}")
    session.get("http://elsewhere.invalid/")
    assert mirror.asked[-1].target == "http://elsewhere.invalid/"
    monkeypatch.delenv("http_proxy")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login u password p\n")
    monkeypatch.setenv("NETRC", str(netrc))
    session.get(url)
    assert "Authorization" in dict(mirror.asked[-1].headers)
    session.trust_env = False
    session.get(url)
    assert "Authorization" not in dict(mirror.asked[-1].headers)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
    session.trust_env = True
    with pytest.raises(OSError, match="/no/such/file"):
        session.get(url.replace("http:", "https:"))


def test_what_changes_in_the_session_is_heard_by_the_next_call(mirror: Mirror, url: str) -> None:
    session = Session()
    session.get(url)
    session.headers["X-A"] = "1"
    session.cookies.set("c", "1")
    session.get(url)
    next(iter(session.cookies)).value = "2"
    session.headers = {"X-B": "2"}  # type: ignore[assignment]
    session.get(url)
    first, second, third = [dict(asked.headers) for asked in mirror.asked]
    assert not {"X-A", "Cookie"} & first.keys()
    assert (second["X-A"], second["Cookie"]) == ("1", "c=1")
    assert (third["X-B"], third["Cookie"]) == ("2", "c=2")


def test_an_expired_cookie_is_not_sent_and_stays_in_the_jar(
    mirror: Mirror, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session()
    session.cookies.set("c", "1", expires=2_000_000_000)
    monkeypatch.setattr("time.time", lambda: 1_999_999_999.5)
    session.get(url)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    session.get(url)
    assert [dict(asked.headers).get("Cookie") for asked in mirror.asked] == ["c=1", None]
    assert len(session.cookies) == 1


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda session, url: session.get(url, no_such_option=None), TypeError),
        (lambda session, url: session.send(requests.Request("GET", url)), ValueError),
        (lambda session, url: session.send(requests.Request("GET", url).prepare(), no_such_option=1), TypeError),
        (lambda session, url: session.request("G T", url), ValueError),
        (lambda session, url: session.get(url, timeout="soon"), ValueError),
        (lambda session, url: session.get(url, headers={"X": "a\nb"}), requests.exceptions.InvalidHeader),
        (lambda session, url: session.get(url, headers={"X": "✓"}), UnicodeEncodeError),
        (lambda session, url: session.post(url, json=float("nan")), requests.exceptions.InvalidJSONError),
        (lambda session, url: session.get("x://y"), requests.exceptions.InvalidSchema),
    ],
)
def test_mistakes_are_named_as_by_requests(
    mirror: Mirror, url: str, call: Callable[[requests.Session, str], Any], error: type[Exception]
) -> None:
    for session in (requests.Session(), Session()):
        with pytest.raises(error):
            call(session, url)
    assert not mirror.asked


def test_a_page_of_a_quick_call(url: str) -> None:
    page = Session().get(url)
    assert isinstance(page, Page)
    assert page.request is page.request


@pytest.mark.parametrize("options", [{"data": b"x"}, {"json": {}}, {"data": {"a": None}}, {"data": iter([b"x"])}])
def test_head_with_a_body_is_refused_and_not_waited_for(mirror: Mirror, url: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="HEAD"):
        Session().head(url, **options)
    with pytest.raises(InvalidRequest, match="HEAD"):
        Session().fetch(Request(url=url, method="HEAD", body="x"))
    assert not mirror.asked


def test_a_redirect_to_another_host_gets_no_authorization(mirror: Mirror, url: str) -> None:
    elsewhere = f"http://localhost:{mirror.port}/b"
    mirror.will_answer([Reply(307, [("Location", "/same")]), Reply(307, [("Location", elsewhere)]), Reply()])
    response = Session().get(url, headers={"Authorization": "secret", "Proxy-Authorization": "secret"})
    assert ["Authorization" in dict(asked.headers) for asked in mirror.asked] == [True, True, False]
    assert ["Proxy-Authorization" in dict(asked.headers) for asked in mirror.asked] == [True, False, False]
    assert "Authorization" not in response.request.headers


def test_headers_of_a_second_hop_are_in_the_order_of_requests(mirror: Mirror, url: str) -> None:
    for session in (requests.Session(), Session()):
        session.cookies.set("c", "1")
        mirror.will_answer([Reply(307, [("Location", "/b")]), Reply()])
        session.post(url, json={})
        names = [name for name, _ in mirror.asked[1].headers]
        assert names.index("Content-Type") < names.index("Cookie")


def test_send_takes_verify_none_for_no_as_requests_does(mirror: Mirror, url: str) -> None:
    for session in (requests.Session(), Session()):
        session.verify = "/no/such/bundle"
        request = session.prepare_request(requests.Request("GET", url.replace("http:", "https:")))
        # There is no TLS, but it got so far.
        with pytest.raises(requests.exceptions.ConnectionError):
            session.send(request, verify=None)
        with pytest.raises(OSError, match="/no/such/bundle"):
            session.send(request)


def test_a_request_keeps_no_expired_cookie(url: str) -> None:
    session = Session()
    session.cookies.set("c", "1", expires=1)
    response = session.get(url, headers={"Cookie": "own=1"})
    assert list(response.request._cookies or ()) == []
    assert len(session.cookies) == 1
