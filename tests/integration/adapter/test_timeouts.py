"""Time-outs: what each limits, and what it is called when it is over. The same on every transport.

Nothing here asserts on how long something took: what is waited for never comes.
"""

from __future__ import annotations

import socket

import pytest
import requests
import urllib3

from app.errors import FetchError
from app.fetching import Session
from app.fetching.curl_errors import TransferError
from app.hub.per_hub import close_this_hub
from tests.support.origin import Origin, body_of
from tests.support.ports import unanswered_port
from tests.support.processes import HANG_GUARD_S, wait_until

SHORT_S = 0.1
HEAD_S = 0.5
"""In which a head has to come, and a body does not."""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "timeout", [SHORT_S, (SHORT_S, None), (SHORT_S, HANG_GUARD_S), urllib3.Timeout(connect=SHORT_S, read=HANG_GUARD_S)]
)
def test_connecting(session: requests.Session, stream: bool, timeout: object) -> None:
    with unanswered_port() as port, pytest.raises(requests.ConnectTimeout):
        session.get(f"http://127.0.0.1:{port}/", timeout=timeout, stream=stream)


def test_agreeing_on_tls_is_connecting_here(curl_session: requests.Session) -> None:
    # requests calls it a ReadTimeout.
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(requests.ConnectTimeout):
        curl_session.get(f"https://127.0.0.1:{silent.getsockname()[1]}/", timeout=(SHORT_S, HANG_GUARD_S))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "timeout", [SHORT_S, (None, SHORT_S), urllib3.Timeout(read=SHORT_S), urllib3.Timeout(total=SHORT_S)]
)
def test_waiting_for_an_answer(session: requests.Session, origin: Origin, stream: bool, timeout: object) -> None:
    session.get(origin.url("/ok"))  # so that there is a connection
    with pytest.raises(requests.ReadTimeout, match="Read timed out"):
        session.get(origin.url("/gate/never"), timeout=timeout, stream=stream)
    wait_until(lambda: origin.counts().in_flight == 0, "the server saw the end")


def test_waiting_for_the_rest_of_a_body(session: requests.Session, origin: Origin) -> None:
    # requests calls it a ConnectionError once the head is here.
    session.get(origin.url("/ok"))  # so that there is a connection
    with pytest.raises(requests.ConnectionError, match="Read timed out"):
        session.get(origin.url("/stage/never"), timeout=HEAD_S)
    with session.get(origin.url("/stage/never"), timeout=HEAD_S, stream=True) as answer:
        assert answer.status_code == 200
        with pytest.raises(requests.ConnectionError, match="Read timed out"):
            list(answer.iter_content(100))
    wait_until(lambda: origin.counts().in_flight == 0, "the server saw the end")


def test_raw_says_it_in_urllib3s_words(session: requests.Session, origin: Origin) -> None:
    answer = session.get(origin.url("/stage/never"), timeout=HEAD_S, stream=True)
    with answer, pytest.raises(urllib3.exceptions.ReadTimeoutError):
        answer.raw.read()


def test_no_limit_is_no_limit(session: requests.Session, origin: Origin) -> None:
    for timeout in (None, (None, None), urllib3.Timeout(connect=None, read=None)):
        assert session.get(origin.url("/ok/3"), timeout=timeout).content == body_of(3)


@pytest.mark.parametrize("timeout", [(1, 2, 3), "soon", 0, -1, (1, 0), True])
def test_what_is_no_limit(session: requests.Session, origin: Origin, timeout: object) -> None:
    with pytest.raises(ValueError):
        session.get(origin.url("/ok"), timeout=timeout)  # type: ignore[arg-type]
    assert origin.counts().total == 0


def test_the_cause_is_what_libcurl_said(curl_session: requests.Session, origin: Origin) -> None:
    curl_session.get(origin.url("/ok"))  # so that there is a connection
    with pytest.raises(requests.ReadTimeout) as raised:
        curl_session.get(origin.url("/gate/never"), timeout=SHORT_S)
    assert isinstance(raised.value.__cause__, TransferError)
    assert raised.value.request is not None
    assert raised.value.request.url == origin.url("/gate/never")


def test_a_fetch_that_is_one_of_several_attempts_tells_the_limit_of_them_all(
    nothing_around: None, origin: Origin
) -> None:
    for url in (origin.url("/gate/never-opened"), origin.url("/redirect-to?url=/gate/never-opened")):
        with pytest.raises(FetchError, match=r"^no whole answer within 7 s$"):
            Session().fetch(url, timeout_s=SHORT_S, limit_s=7.0)
        with pytest.raises(FetchError, match=r"^no whole answer within 0\.1 s$"):
            Session().fetch(url, timeout_s=SHORT_S)
    close_this_hub()
