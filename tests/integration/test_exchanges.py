"""What is kept of an exchange is what was on the wire: compared with what a raw server gets and sends."""

from __future__ import annotations

import gzip
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.fetching import Page, Session
from app.fetching.exchanges import exchanges_of
from app.hub.per_hub import close_this_hub
from app.model.request import Request
from tests.support.certificates import self_signed
from tests.support.nginx import LISTEN, running_nginx
from tests.support.pages import make_page
from tests.support.processes import HANG_GUARD_S, ROOT
from tests.support.raw_origin import RawOrigin, Script, running_raw_origin

FINE = Script.of(b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok", "keep")


@pytest.fixture(scope="module")
def origin() -> Iterator[RawOrigin]:
    with running_raw_origin() as origin:
        yield origin


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = Session()
    session._environment_proxies = {}
    yield session
    close_this_hub()


def kept(page: Page) -> tuple[bytes, bytes, bytes]:
    (exchange,) = exchanges_of(page)
    return exchange.request, exchange.head, exchange.body


NAMES = st.sampled_from(
    ["X-A", "x-b", "User-Agent", "accept", "Accept-Encoding", "Host", "Connection", "Cookie", "Authorization", "Expect"]
)
VALUES = st.sampled_from(["", "1", "a: b:", "x;", ":", "é", "close", "site.example"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "delete", "OPTIONS", "PATCH", "ODD"]),
    headers=st.dictionaries(NAMES, VALUES, max_size=4),
    body=st.none() | st.sampled_from(["", "x", "é" * 40]),
    tail=st.sampled_from(["", "/", "/a%20b?c=d&e", "?q", "/é", "#f", "/a/../b", "/[x]"]),
    user=st.sampled_from(["", "me:secret@"]),
)
def test_the_request_is_what_was_sent(
    origin: RawOrigin,
    session: Session,
    method: str,
    headers: dict[str, str],
    body: str | None,
    tail: str,
    user: str,
) -> None:
    if headers.get("Expect"):
        headers["Expect"] = ""  # nobody here would answer it
    if method == "HEAD":
        body = None
    url = origin.serve(FINE, "sent").replace("http://", f"http://{user}") + tail
    page = session.fetch(Request(url=url, method=method, headers=headers, body=body), timeout_s=HANG_GUARD_S)
    if page.request.url is None or "/sent" not in page.request.url:
        return
    sent, head, _ = kept(page)
    assert sent == origin.heads["sent"] + b"\r\n\r\n" + (body or "").encode()
    assert head == b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize("host", ["127.1", "2130706433", "LOCALHOST"])
def test_hosts_that_libcurl_writes_in_its_own_way(origin: RawOrigin, session: Session, host: str) -> None:
    url = origin.serve(FINE, "host").replace("127.0.0.1", host)
    sent = kept(session.fetch(url, timeout_s=HANG_GUARD_S))[0]
    assert sent == origin.heads["host"] + b"\r\n\r\n"


def test_the_answer_is_what_came(origin: RawOrigin, session: Session) -> None:
    head = b"HTTP/1.1 200 Fine\r\ncontent-ENCODING:  gzip\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Odd:\t\xe9 \r\n"
    packed = gzip.compress(b"hello" * 100)
    head += b"Content-Length: %d\r\n\r\n" % len(packed)
    page = session.fetch(origin.serve(Script.of(b"HTTP/1.1 103 Early\r\nX: y\r\n\r\n" + head + packed)))
    assert page.body == b"hello" * 100
    assert kept(page)[1:] == (head, packed)
    assert exchanges_of(page)[0].is_coded


def test_an_undone_transfer_coding_is_named_otherwise(origin: RawOrigin, session: Session) -> None:
    chunks = b"2\r\nab\r\n1;x=y\r\nc\r\n0\r\nX-Trailer: 1\r\n\r\n"
    script = Script.of(b"HTTP/1.1 200 OK\r\nServer: s\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    page = session.fetch(origin.serve(script))
    head = b"HTTP/1.1 200 OK\r\nServer: s\r\nX-Crawler-Transfer-Encoding: chunked\r\n\r\n"
    assert kept(page)[1:] == (head, b"abc")


def test_every_hop_is_there(session: Session) -> None:
    moved = b"HTTP/1.1 302 There\r\nLocation: /last#f\r\nContent-Length: 4\r\nSet-Cookie: a=1\r\n\r\ngone"
    with running_raw_origin() as origin:
        last = origin.serve(FINE, "last")
        page = session.fetch(Request(url=origin.serve(Script.of(moved, "keep"), "first"), method="POST", body="x"))
    first, final = exchanges_of(page)
    assert (first.url, final.url) == (f"{origin.base}/first", last)
    assert first.request == origin.heads["first"] + b"\r\n\r\nx"
    assert first.head + first.body == moved
    assert final.request == origin.heads["last"] + b"\r\n\r\n"
    assert b"Cookie: a=1" in final.request
    assert final.body == b"ok"
    assert (first.protocol, final.protocol) == ("HTTP/1.1", "HTTP/1.1")


def test_http2_is_written_as_http1(tmp_path: Path) -> None:
    folder = self_signed(tmp_path / "tls")
    server = (
        f"server {{ listen {LISTEN} ssl http2; ssl_certificate {folder}/cert.pem;"
        f" ssl_certificate_key {folder}/key.pem; location / {{ return 200 here; }} }}"
    )
    with running_nginx(server, tmp_path / "nginx") as nginx:
        session = Session(ca_bundle=str(folder / "cert.pem"))
        session._environment_proxies = {}
        page = session.fetch(nginx.url("/a").replace("http:", "https:"), timeout_s=HANG_GUARD_S)
        (exchange,) = exchanges_of(page)
        close_this_hub()
    assert exchange.protocol == "HTTP/2"
    assert exchange.head.startswith(b"HTTP/1.1 200 \r\nserver: nginx")
    assert exchange.head.endswith(b"\r\n\r\n")
    assert exchange.body == b"here"
    assert exchange.request.startswith(b"GET /a HTTP/1.1\r\nHost: ")
    assert b"connection" not in exchange.request.lower()


def test_a_page_of_requests_own_transport_is_kept_as_decoded(origin: RawOrigin) -> None:
    packed = gzip.compress(b"hello")
    head = b"HTTP/1.1 200 Fine\r\nContent-Encoding: gzip\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
    url = origin.serve(Script.of(head + b"Content-Length: %d\r\n\r\n" % len(packed) + packed))
    script = f"""
        from gevent import monkey; monkey.patch_all()
        from app.fetching import Session
        from app.fetching.exchanges import exchanges_of
        (exchange,) = exchanges_of(Session(transport="requests").fetch({url!r}))
        print(repr((exchange.head, exchange.body, exchange.request.partition(b'1.1')[0], exchange.is_coded)))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=HANG_GUARD_S, check=True).stdout
    renamed = head.replace(b"Content-Encoding", b"X-Crawler-Content-Encoding")
    renamed += b"X-Crawler-Content-Length: %d\r\n\r\n" % len(packed)
    assert eval(said) == (renamed, b"hello", b"GET " + url[len(origin.base) :].encode() + b" HTTP/", False)


def test_a_page_made_by_hand() -> None:
    page = make_page(b"x", headers={"X-A": "1"})
    page.request = requests.Request("GET", "http://site.example/dir/page.html").prepare()
    (exchange,) = exchanges_of(page)
    assert exchange.head == b"HTTP/1.1 200 \r\nX-A: 1\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    assert exchange.request.startswith(b"GET /dir/page.html HTTP/1.1\r\nHost: site.example\r\n")
