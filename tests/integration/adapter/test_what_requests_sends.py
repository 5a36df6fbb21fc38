"""What goes over the wire where the caller said nothing of it, and what is wrong with what he said. The same on every
transport.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from urllib3.exceptions import InsecureRequestWarning

from app.errors import FetchError
from app.fetching import Session
from app.hub.per_hub import close_this_hub
from app.model.outcome import ErrorKind
from tests.integration.adapter.conftest import Certificate
from tests.support.nginx import LISTEN, running_nginx
from tests.support.origin import Origin


@pytest.fixture(scope="module")
def secure_url(certificates: dict[str, Certificate], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = (
        f"server {{ listen {LISTEN} ssl; ssl_certificate {certificates['server'].cert};"
        f" ssl_certificate_key {certificates['server'].key};"
        ' location / { add_header X-Sni "$ssl_server_name"; return 200 safe; } }'
    )
    with running_nginx(server, tmp_path_factory.mktemp("nginx")) as nginx:
        yield nginx.url("/").replace("http:", "https:")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("method", "length"), [("PUT", "0"), ("PATCH", "0"), ("PURGE", "0"), ("DELETE", None)])
def test_a_body_that_a_redirect_took_away_is_said_to_be_empty(
    session: requests.Session, origin: Origin, method: str, length: str | None, stream: bool
) -> None:
    """Some servers refuse a PUT with 411 if nothing is said of its length."""
    url = origin.url("/redirect-to?status=301&url=/echo")
    echoed = session.request(method, url, data=b"text", stream=stream).json()
    assert (echoed["method"], echoed["body"]) == (method, "")
    assert dict(echoed["headers"]).get("content-length") == length


def test_so_is_one_that_was_never_there(session: requests.Session, origin: Origin) -> None:
    prepared = session.prepare_request(requests.Request("POST", origin.url("/echo")))
    del prepared.headers["Content-Length"]
    assert dict(session.send(prepared).json()["headers"])["content-length"] == "0"


@pytest.mark.parametrize("headers", [{"Näme": "x"}, {"Name": "✓"}])
def test_a_header_that_has_no_bytes_is_not_sent(
    session: requests.Session, origin: Origin, headers: dict[str, str]
) -> None:
    for stream in (False, True):
        with pytest.raises(UnicodeEncodeError):
            session.get(origin.url("/echo"), headers=headers, stream=stream)
    assert origin.counts().total == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_certificate_that_is_of_no_use_is_tls_failing(
    session: requests.Session, secure_url: str, certificates: dict[str, Certificate], tmp_path: Path, stream: bool
) -> None:
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("no certificate\n")
    mine, other = certificates["client"], certificates["other"]
    session.verify = str(certificates["server"].cert)
    for cert in [str(mine.cert), (str(mine.cert), str(other.key)), (str(mine.cert), str(no_pem)), str(no_pem)]:
        with pytest.raises(requests.exceptions.SSLError):
            session.get(secure_url, cert=cert, stream=stream)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("always:Unverified HTTPS")
@pytest.mark.parametrize(("host", "said"), [("localhost", "localhost"), ("127.0.0.1", None)])
def test_the_name_is_said_before_the_certificate_is_shown(
    session: requests.Session, secure_url: str, host: str, said: str | None
) -> None:
    """Server Name Indication (RFC 6066 section 3): of names, not of addresses."""
    session.verify = False
    with pytest.warns(InsecureRequestWarning, match=f"host '{host}'") as warned:
        assert session.get(secure_url.replace("127.0.0.1", host)).headers.get("X-Sni") == said
    assert len(warned) == 1


@pytest.mark.parametrize("path", ["/a/../echo", "/a/%2e%2e/echo", "/./echo", "/a//../echo", "/echo/.", "/echo/%2E"])
def test_a_path_is_sent_as_requests_puts_it(
    session: requests.Session, nothing_around: None, origin: Origin, path: str
) -> None:
    """libcurl by itself takes dots out of it once more, those that are percent-encoded too."""
    url = origin.url(path)
    sent = requests.Request("GET", url).prepare().path_url
    session.get(url)
    with Session() as ours:
        ours.fetch(url)
    assert [hit.target for hit in origin.hits()] == [sent, sent]


def test_so_it_is_in_a_record(nothing_around: None, secure_url: str, certificates: dict[str, Certificate]) -> None:
    session = Session(ca_bundle=str(certificates["server"].cert))
    session.cert = (str(certificates["client"].cert), str(certificates["other"].key))
    with pytest.raises(FetchError) as raised:
        session.fetch(secure_url)
    assert raised.value.kind is ErrorKind.TLS_FAILED


def test_the_phases_of_a_fetch_over_tls(
    nothing_around: None, secure_url: str, certificates: dict[str, Certificate]
) -> None:
    with Session(ca_bundle=str(certificates["server"].cert)) as session:
        first, second = (session.fetch(secure_url).timing for _ in range(2))
    close_this_hub()
    assert first is not None
    assert second is not None
    assert 0 < first.connect_s < first.tls_s <= first.first_byte_s <= first.total_s
    assert (first.is_reused, second.is_reused) == (False, True)
    assert (second.connect_s, second.tls_s) == (0, 0)
    assert 0 < second.first_byte_s <= second.total_s
