"""What a program of requests does beyond single calls: the environment's proxies in all their forms, cookies over
several hosts, greenlets that are killed, several hubs. The same on every transport that can do it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from urllib.parse import quote

import gevent
import pytest
import requests
from gevent import get_hub

from app.fetching import Session
from app.fetching.session import Transport
from app.hub.per_hub import close_this_hub
from tests.support.origin import Origin, body_of
from tests.support.processes import HANG_GUARD_S, wait_until
from tests.support.proxies import Proxy, running_proxy


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with running_proxy(hosts={"127.0.0.1": "127.0.0.1"}) as running:
        yield running


NO_PROXY = {
    "": True,
    "127.0.0.1": False,
    "127.0.0.0/8": False,
    "localhost, 127.0.0.1 ": False,
    "10.0.0.0/8,.test": True,
    "127.0.0.1:PORT": True,  # requests looks at ports of names only
    "127.0.0.1:1": True,
    "*": False,
}


@pytest.mark.parametrize(("named", "is_proxied"), NO_PROXY.items())
def test_no_proxy_in_all_its_forms(
    session: requests.Session,
    origin: Origin,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    named: str,
    is_proxied: bool,
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url("http"))
    monkeypatch.setenv("no_proxy", named.replace("PORT", str(origin.port)))
    for stream in (False, True):
        assert session.get(origin.url("/ok/3"), stream=stream).content == body_of(3)
    assert len(proxy.asked) == (2 if is_proxied else 0)


@pytest.mark.parametrize("transport", ["curl", "requests"])
def test_fetch_is_told_of_proxies_by_the_environment_too(
    nothing_around: None, origin: Origin, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, transport: Transport
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url("http"))
    with Session(transport=transport) as session:
        assert session.fetch(origin.url("/redirect/1")).status_code == 200
        assert [asked.how for asked in proxy.asked] == ["GET", "GET"]
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert session.fetch(origin.url("/redirect/1")).status_code == 200
        assert len(proxy.asked) == 2
    close_this_hub()


def test_cookies_stay_with_their_hosts_over_redirects(session: requests.Session, origin: Origin) -> None:
    """There and back again: each host has its own, and gets no other's."""
    other = f"http://localhost:{origin.port}"
    back = quote(origin.url("/echo"), safe="")
    there = quote(f"{other}/set-cookie?b=2&to={quote(f'{other}/redirect-to?url={back}', safe='')}", safe="")
    answer = session.get(origin.url(f"/set-cookie?a=1&to={there}"))
    assert [page.status_code for page in [*answer.history, answer]] == [302, 302, 302, 200]
    assert dict(answer.json()["headers"])["cookie"] == "a=1"
    (hop,) = origin.hits("/redirect-to")
    assert dict(hop.headers)["cookie"] == "b=2"
    assert sorted((cookie.domain, cookie.name) for cookie in session.cookies) == [
        ("127.0.0.1", "a"),
        ("localhost.local", "b"),
    ]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/gate/never", "/stage/never"])
def test_who_is_killed_or_out_of_time_leaves_nothing(
    curl_session: requests.Session, origin: Origin, path: str, stream: bool
) -> None:
    def read() -> bytes:
        return curl_session.get(origin.url(path), stream=stream).content

    job = gevent.spawn(read)
    wait_until(lambda: gevent.sleep(0.001) or origin.counts().in_flight == 1, "the request came")  # type: ignore[func-returns-value]
    job.kill()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.2):
        read()
    wait_until(lambda: gevent.sleep(0.001) or origin.counts().in_flight == 0, "the server saw the end")  # type: ignore[func-returns-value]
    assert curl_session.get(origin.url("/ok")).status_code == 200


def test_a_session_serves_several_hubs_at_once(curl_session: requests.Session, origin: Origin) -> None:
    told: list[list[int]] = []

    def work() -> None:
        jobs = [gevent.spawn(curl_session.get, origin.url(f"/ok/{size}")) for size in range(20)]
        told.append([len(job.get(timeout=HANG_GUARD_S).content) for job in jobs])
        get_hub().destroy(destroy_loop=True)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_GUARD_S)
    assert told == [list(range(20))] * 3
    wait_until(lambda: origin.counts().connections_open == 0, "their connections ended with their hubs")
