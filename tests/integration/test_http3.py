"""HTTP/3 over QUIC, against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
import requests

from app.errors import FetchError
from app.fetching import CurlAdapter, Session
from app.model.outcome import ErrorKind
from tests.support.certificates import self_signed
from tests.support.ports import refused_port
from tests.support.quic import running_quic


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("quic"))


@pytest.fixture(scope="module")
def site(certificate: Path) -> Iterator[str]:
    with running_quic(certificate / "cert.pem", certificate / "key.pem") as port:
        yield f"https://127.0.0.1:{port}"


def test_fetches_share_one_connection(site: str, certificate: Path) -> None:
    session = Session(http="3", ca_bundle=str(certificate / "cert.pem"))
    first = session.fetch(f"{site}/1")
    assert first.timing is not None
    assert (first.timing.protocol, first.timing.is_reused) == ("HTTP/3", False)
    fetches = [gevent.spawn(session.fetch, f"{site}/{size}") for size in range(0, 100_000, 5_000)]
    pages = [fetch.get() for fetch in fetches]
    assert [len(page.body) for page in pages] == list(range(0, 100_000, 5_000))
    assert sorted(int(page.headers["x-before"]) for page in pages) == list(range(1, 21))


def test_the_adapter_offers_it_too(site: str, certificate: Path) -> None:
    session = requests.Session()
    session.mount("https://", CurlAdapter(http="3"))
    session.verify = str(certificate / "cert.pem")
    session.trust_env = False
    with session.get(f"{site}/300000", stream=True) as response:
        assert response.raw.version == 30
        assert sum(map(len, response.iter_content(10_000))) == 300_000


def test_certificates_are_verified_over_quic(site: str) -> None:
    with pytest.raises(FetchError) as caught:
        Session(http="3").fetch(f"{site}/1", timeout_s=20)
    # libcurl tries TCP too, where nobody listens; which of the two refusals it names is its affair.
    assert caught.value.kind in {ErrorKind.TLS_FAILED, ErrorKind.CONNECT_FAILED}


def test_nobody_there_is_said() -> None:
    with refused_port() as port, pytest.raises(FetchError) as caught:
        Session(http="3").fetch(f"https://127.0.0.1:{port}/", timeout_s=20)
    assert caught.value.kind is ErrorKind.CONNECT_FAILED
