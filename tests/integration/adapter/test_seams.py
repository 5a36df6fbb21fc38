"""Where others take hold of requests: what is put in place of a step is gone through, and objects can be kept."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import requests
from requests.adapters import HTTPAdapter

from app.fetching import CurlAdapter, Session
from app.hub.per_hub import close_this_hub
from app.policy.addresses import AddressPolicy
from tests.support.origin import Origin


@pytest.fixture(autouse=True)
def hub_left_empty(nothing_around: None) -> Iterator[None]:
    yield
    close_this_hub()


def test_it_passes_for_requests_adapter() -> None:
    assert isinstance(CurlAdapter(), HTTPAdapter)


def test_a_double_of_the_adapters_send_is_asked(curl_session: requests.Session, origin: Origin) -> None:
    made = requests.Response()
    made.status_code, made._content = 299, b"double"
    with mock.patch.object(CurlAdapter, "send", return_value=made):
        assert curl_session.get(origin.url("/ok")).content == b"double"
        assert curl_session.post(origin.url("/ok"), data="a").content == b"double"
    assert origin.counts().total == 0
    assert curl_session.get(origin.url("/ok")).status_code == 200


def test_build_response_may_be_another(session: requests.Session, origin: Origin) -> None:
    adapter: Any = session.get_adapter(origin.base)
    own = adapter.build_response

    def build(*args: Any) -> requests.Response:
        made: requests.Response = own(*args)
        made.headers["x-seen"] = "yes"
        return made

    adapter.build_response = build
    for stream in (False, True):
        answer = session.get(origin.url("/redirect/1"), stream=stream)
        assert [page.headers.get("x-seen") for page in [*answer.history, answer]] == ["yes", "yes"]


@pytest.mark.parametrize("stream", [False, True])
def test_headers_may_be_put_into_what_is_prepared(session: requests.Session, origin: Origin, stream: bool) -> None:
    prepared = session.prepare_request(requests.Request("POST", origin.url("/echo"), data=b"body"))
    headers: Any = prepared.headers
    for value, seen in ((7, "7"), (True, "True"), (b"bytes", "bytes"), (bytearray(b"more"), "more")):
        headers["X-Put"] = value
        assert dict(session.send(prepared, stream=stream).json()["headers"])["x-put"] == seen


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("name", "value", "raised"),
    [
        ("X-Put", None, TypeError),
        ("X-Put", 1.5, TypeError),
        ("X-Put", ["a"], TypeError),
        ("X-Put", "a\r\nX-More: b", ValueError),
        ("X-Put", b"a\nb", ValueError),
        ("X-Put\r\nX-More", "b", ValueError),
        ("X-P\xfct", "a", UnicodeEncodeError),
        ("X-Put", "\u2713", UnicodeEncodeError),
    ],
)
def test_headers_that_can_not_be_sent_are_refused_as_requests_does(
    session: requests.Session, origin: Origin, name: str, value: Any, raised: type[Exception], stream: bool
) -> None:
    prepared = session.prepare_request(requests.Request("GET", origin.url("/echo")))
    prepared.headers[name] = value
    with pytest.raises(raised) as caught:
        session.send(prepared, stream=stream)
    assert type(caught.value) is raised
    assert origin.counts().total == 0


class Signed(CurlAdapter):
    """Adds a header to whatever goes through it."""

    def add_headers(self, request: requests.PreparedRequest, **_: Any) -> None:
        request.headers["X-Signed"] = "by us"


@pytest.mark.parametrize("make", [requests.Session, Session])
def test_a_subclass_may_add_headers(make: type[requests.Session], origin: Origin) -> None:
    with make() as session:
        session.mount("http://", Signed())
        for stream in (False, True):
            echoed = session.get(origin.url("/echo"), stream=stream).json()
            assert ["x-signed", "by us"] in echoed["headers"]


def test_netrc_may_be_another(session: requests.Session, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("requests.sessions.get_netrc_auth", lambda *_: ("ann", "word"))
    echoed = session.get(origin.url("/echo")).json()
    assert dict(echoed["headers"])["authorization"] == requests.auth._basic_auth_str("ann", "word")


def test_a_request_must_be_prepared(session: requests.Session, origin: Origin) -> None:
    with pytest.raises(ValueError, match="You can only send PreparedRequests"):
        session.send(requests.Request("GET", origin.url("/ok")))  # type: ignore[arg-type]
    assert session.send(requests.Request("GET", origin.url("/ok")).prepare()).status_code == 200


def test_a_calls_cookie_goes_before_the_sessions(session: requests.Session, origin: Origin) -> None:
    session.cookies["flavour"] = "ginger"
    for cookies in ({"flavour": "salt"}, requests.cookies.cookiejar_from_dict({"flavour": "salt"})):
        echoed = session.get(origin.url("/echo"), cookies=cookies).json()
        assert dict(echoed["headers"])["cookie"] == "flavour=salt"
    assert session.cookies.get_dict() == {"flavour": "ginger"}


def test_an_adapter_is_closed_once() -> None:
    with mock.patch.object(CurlAdapter, "close") as close:
        Session().close()
    close.assert_called_once_with()


@pytest.mark.parametrize("transport", ["curl", "requests"])
def test_sessions_can_be_pickled(transport: Any, origin: Origin) -> None:
    policy = AddressPolicy.public_only()
    session = Session(policy=policy, http="1.1", transport=transport, max_body_bytes=7, per_origin=3, origins=5)
    session.headers["X-Kept"] = "yes"
    session.cookies["kept"] = "too"
    again = pickle.loads(pickle.dumps(session))
    assert (again.policy, again.transport, again.max_body_bytes) == (policy, transport, 7)
    with pytest.raises(requests.ConnectionError):
        again.get(origin.url("/ok"))
    again = pickle.loads(pickle.dumps(Session(transport=transport)))
    again.headers["X-Kept"] = "yes"
    assert ["x-kept", "yes"] in again.get(origin.url("/echo")).json()["headers"]
    assert again.fetch(origin.url("/ok")).status_code == 200
    again.close()


def test_adapters_can_be_pickled(origin: Origin) -> None:
    made = CurlAdapter(policy=AddressPolicy.allow_all(), http="1.1", max_idle_connections=3)
    again = pickle.loads(pickle.dumps(made))
    assert (again.policy, again.http, again.max_idle_connections) == (made.policy, "1.1", 3)
    session = requests.Session()
    session.mount("http://", again)
    assert session.get(origin.url("/ok")).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_head_that_breaks_off_is_no_answer(curl_session: requests.Session, origin: Origin, stream: bool) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        curl_session.get(origin.url("/drop-in-headers"), stream=stream)
