"""Session's verbs give what requests.Session's give: what a server sees, and what the caller sees.

Random calls are made in four ways: requests over its own adapter, which is the measure; requests over CurlAdapter; our
Session; and our Session over requests' transport. PERCORE_TEST_EXAMPLES sets how many.

The tolerated differences are these, and no others:

    where        what                                             why
    the wire     Content-Length and Transfer-Encoding             framing is the transport's; the body is compared
    the wire     Host is the first header, Connection the last    libcurl writes them there, and no empty Connection
    the session  default User-Agent                               it says who we are (set to requests' own here)

Not asked for, since it is known to differ: a host with an empty label (InvalidURL here, ConnectionError over
requests' transport, with requests urllib3's LocationParseError escapes); several different Location headers (libcurl
refuses them, requests joins them by a comma); a redirect to a host beyond ASCII (requests escapes it and looks that
up, here it is InvalidURL); a NUL in a header and an empty method, HEAD with a body (ValueError here, sent by
requests); what a second reading of a body that broke off gives; which of two mistakes in one call is named.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import pytest
import requests
import urllib3
from hypothesis import HealthCheck, given, settings
from requests.adapters import HTTPAdapter
from requests.cookies import create_cookie

from app.fetching import CurlAdapter, Session, names
from tests.support import seen
from tests.support.mirror import Mirror, Pairs, running_mirror
from tests.support.requests_calls import Case, Recipe, cases

_EXAMPLES = int(os.environ.get("PERCORE_TEST_EXAMPLES", "150"))

_FRAMING = ("content-length", "transfer-encoding")


def _set_up(session: requests.Session, settings_: dict[str, Any]) -> requests.Session:
    session.headers = requests.utils.default_headers()
    for name, value in settings_.items():
        if name == "headers":
            session.headers.update(value)
        elif name == "cookies":
            for cookie in value:
                session.cookies.set_cookie(create_cookie(**cookie))
        elif name == "hooks":
            session.hooks = {**session.hooks, **value}
        else:
            setattr(session, name, value)
    return session


def _run(session: requests.Session, case: Case, mirror: Mirror) -> dict[str, Any]:
    _set_up(session, case.session)
    told: dict[str, Any] = {"calls": []}
    for _ in range(case.times):
        mirror.will_answer(case.replies)
        options = {name: value.make() if isinstance(value, Recipe) else value for name, value in case.options.items()}
        told["calls"].append(_call(session, case, options))
        told["calls"][-1]["asked"] = [
            (asked.method, asked.target, _tolerated(asked.headers), asked.body) for asked in mirror.asked
        ]
        told["calls"][-1]["session"] = {
            "cookies": seen.of_jar(session.cookies),
            "headers": list(session.headers.items()),
        }
    return told


def _tolerated(headers: Pairs) -> Pairs:
    told = [pair for pair in headers if pair[0].lower() not in _FRAMING]
    told = [pair for pair in told if (pair[0].lower(), pair[1]) != ("connection", "")]
    return sorted(told, key=lambda pair: {"host": 0, "connection": 2}.get(pair[0].lower(), 1))


def _call(session: requests.Session, case: Case, options: dict[str, Any]) -> dict[str, Any]:
    try:
        if case.way == "request":
            response = session.request(case.method, case.url, **options)
        else:
            how = {name: options.pop(name) for name in list(options) if name in _SENDING}
            options.pop("no_such_option", None)
            request = requests.Request(case.method, case.url, **options)
            response = session.send(session.prepare_request(request), **how)
    except Exception as error:
        return seen.of_exception(error)
    told = seen.of_response(response)
    if _can_be_pickled(response) and not isinstance(told["content"], str):
        told["pickled"] = seen.of_pickled(response)
    return told


def _can_be_pickled(response: requests.Response) -> bool:
    bodies = [each.request.body for each in (response, *response.history)]
    return all(isinstance(body, bytes | str | None) for body in bodies)


_SENDING = ("timeout", "allow_redirects", "stream", "verify", "proxies")


@pytest.fixture(scope="module")
def mirror() -> Iterator[Mirror]:
    with running_mirror() as mirror:
        yield mirror


@pytest.fixture(autouse=True, scope="module")
def _names_of_ours() -> Iterator[None]:
    """No name leads out of this machine, and none is asked for."""
    real = socket.getaddrinfo

    def fake(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else host
        if "%" not in text and text.lower().rstrip(".").endswith((".test", "localhost")):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port or 0))]
        if text.rstrip(".").endswith(".invalid") or (not text[:1].isdigit() and ":" not in text):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return real(host, port, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.lower().endswith("_proxy") or name == "NETRC":
                patch.delenv(name)
        patch.setenv("HOME", "/nonexistent")
        patch.setattr(socket, "getaddrinfo", fake)
        patch.setattr(names, "_getaddrinfo", fake)
        patch.setattr(urllib3.filepost, "choose_boundary", lambda: "boundary")
        # Guessing an encoding takes longer than all else here, and we have no part in it.
        patch.setattr(requests.models.chardet, "detect", lru_cache(None)(requests.models.chardet.detect))
        yield


def _stock_over(adapter: Any) -> requests.Session:
    session = requests.Session()
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


@pytest.fixture(scope="module")
def ways() -> dict[str, Callable[[], requests.Session]]:
    measure, over_curl = HTTPAdapter(), CurlAdapter()
    plain = Session(transport="requests")

    def ours_over_requests() -> requests.Session:
        session = Session(transport="requests")
        session.adapters = plain.adapters
        return session

    return {
        "requests": lambda: _stock_over(measure),
        "requests over CurlAdapter": lambda: _stock_over(over_curl),
        "Session": Session,
        "Session over requests": ours_over_requests,
    }


def test_every_way_gives_the_same(mirror: Mirror, ways: dict[str, Callable[[], requests.Session]]) -> None:
    chosen = [name for name in ways if os.environ.get("PERCORE_TEST_WAY", name) == name]

    @settings(
        max_examples=_EXAMPLES,
        derandomize="PERCORE_TEST_EXAMPLES" not in os.environ, deadline=None, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(cases(mirror.port))
    def check(case: Case) -> None:
        expected = _run(ways["requests"](), case, mirror)
        for name in chosen:
            if name != "requests":
                assert (name, _run(ways[name](), case, mirror)) == (name, expected)

    check()
