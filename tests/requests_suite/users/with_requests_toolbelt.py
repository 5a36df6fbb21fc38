"""requests-toolbelt: uploads in parts and their progress, answers in parts, sessions with a base, dumps, downloads."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
import requests
from requests_toolbelt import MultipartDecoder, MultipartEncoder, MultipartEncoderMonitor, StreamingIterator
from requests_toolbelt.downloadutils import tee
from requests_toolbelt.sessions import BaseUrlSession
from requests_toolbelt.utils import dump

from app.fetching import Session
from tests.requests_suite.users.conftest import on_curl
from tests.support.origin import Origin, body_of

BIG = body_of(2_000_000)


@pytest.fixture(params=["adapter", "session"])
def session(request: pytest.FixtureRequest) -> requests.Session:
    return on_curl(requests.Session()) if request.param == "adapter" else Session()


def encoder() -> MultipartEncoder:
    return MultipartEncoder({"field": "value", "file": ("big.bin", io.BytesIO(BIG), "application/x-thing")})


def came(answer: requests.Response) -> tuple[bytes, dict[str, str]]:
    echoed = answer.json()
    return base64.b64decode(echoed["body_base64"]), dict(echoed["headers"])


def test_multipart_encoder(session: requests.Session, origin: Origin) -> None:
    data = encoder()
    body, headers = came(session.post(origin.url("/echo"), data=data, headers={"Content-Type": data.content_type}))
    assert headers["content-length"] == str(len(body))
    assert "transfer-encoding" not in headers
    parts = MultipartDecoder(body, headers["content-type"]).parts
    assert [part.content for part in parts] == [b"value", BIG]


def test_multipart_encoder_monitor(session: requests.Session, origin: Origin) -> None:
    read: list[int] = []
    data = MultipartEncoderMonitor(encoder(), lambda monitor: read.append(monitor.bytes_read))
    body, _ = came(session.post(origin.url("/echo"), data=data, headers={"Content-Type": data.content_type}))
    assert read == sorted(read)
    assert read[-1] == len(body)
    # It is read while it is sent, not at once.
    assert len(read) > 10


def test_streaming_iterator(session: requests.Session, origin: Origin) -> None:
    data = StreamingIterator(len(BIG), (BIG[start : start + 70_000] for start in range(0, len(BIG), 70_000)))
    body, headers = came(session.post(origin.url("/echo"), data=data))
    assert body == BIG
    assert headers["content-length"] == str(len(BIG))


def test_multipart_decoder(session: requests.Session, origin: Origin) -> None:
    parts = MultipartDecoder.from_response(session.get(origin.url("/multipart"))).parts
    assert [part.text for part in parts] == ["one", '{"two": 2}']
    assert [part.headers[b"x-part"] for part in parts] == [b"one", b'{"t']


class OurBaseUrlSession(BaseUrlSession, Session):  # type: ignore[misc]
    """The tool on our Session."""


@pytest.mark.parametrize("kind", [BaseUrlSession, OurBaseUrlSession])
def test_base_url_session(kind: Any, origin: Origin) -> None:
    session = kind(base_url=origin.url("/redirect/"))
    if kind is BaseUrlSession:
        on_curl(session)
    answer = session.get("2")
    assert [page.url for page in [*answer.history, answer]] == [origin.url(f"/redirect/{hops}") for hops in (2, 1, 0)]
    assert session.post("/echo", data="text").json()["body"] == "text"


def test_dump(session: requests.Session, origin: Origin) -> None:
    answer = session.get(origin.url("/redirect/1"))
    dumped = dump.dump_all(answer).decode("latin-1")
    assert "< GET /redirect/1 HTTP/1.1" in dumped
    assert "> HTTP/1.1 302 Found" in dumped
    assert "> HTTP/1.1 200 OK" in dumped
    assert answer.text in dumped


def test_tee(session: requests.Session, origin: Origin) -> None:
    into = io.BytesIO()
    with session.get(origin.url("/big-chunked/300000"), stream=True) as answer:
        pieces = list(tee.tee(answer, into))
    assert b"".join(pieces) == into.getvalue() == body_of(300_000)
