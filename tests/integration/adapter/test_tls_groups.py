"""Which key exchange groups are offered, and for which a key share is sent: read from what goes over the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pycurl
import pytest
import requests

from app.errors import FetchError
from app.fetching import CurlAdapter, Session
from app.fetching.tls_groups import default_groups
from app.hub.per_hub import close_this_hub
from app.model.outcome import ErrorKind
from tests.integration.adapter.conftest import Certificate, over_curl
from tests.support.batch import records, run_batch
from tests.support.client_hellos import X25519, X25519_MLKEM768, reading_hellos
from tests.support.nginx import LISTEN, Nginx, running_nginx

X25519_BYTES = 32
X25519_MLKEM768_BYTES = 1184 + 32
"""draft-ietf-tls-ecdhe-mlkem section 4.1."""


@pytest.fixture(autouse=True)
def own_connections(nothing_around: None) -> Iterator[None]:
    yield
    close_this_hub()


@pytest.fixture
def needs_shares() -> None:
    if not default_groups(pycurl.version_info()[5]):
        pytest.skip("libcurl's TLS library does not know how to be told of key shares")


@pytest.fixture(scope="module")
def choosy(certificates: dict[str, Certificate], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """Speaks TLS 1.3 and P-256, and nothing else."""
    server = f"""server {{
        listen {LISTEN} ssl;
        ssl_certificate {certificates["server"].cert};
        ssl_certificate_key {certificates["server"].key};
        ssl_protocols TLSv1.3;
        ssl_ecdh_curve prime256v1;
        location / {{ return 200 "$ssl_protocol $ssl_curve"; }}
    }}"""
    with running_nginx(server, tmp_path_factory.mktemp("nginx")) as nginx:
        yield nginx


def fetch(url: str) -> object:
    return Session().fetch(url)


def get(url: str) -> object:
    return Session().get(url)


def get_over_adapter(url: str) -> object:
    return over_curl().get(url)


WAYS = pytest.mark.parametrize("way", [fetch, get, get_over_adapter])


@WAYS
def test_a_post_quantum_exchange_is_offered_first_and_its_share_not_made(
    way: Callable[[str], object], needs_shares: None
) -> None:
    with reading_hellos() as server, pytest.raises((FetchError, requests.RequestException)):
        way(server.url)
    hello = server.seen[0]
    assert hello.groups[:2] == [X25519_MLKEM768, X25519]
    assert hello.shares == {X25519: X25519_BYTES}


@WAYS
def test_a_server_that_asks_for_it_gets_its_share(way: Callable[[str], object], needs_shares: None) -> None:
    with reading_hellos(ask_for=X25519_MLKEM768) as server, pytest.raises((FetchError, requests.RequestException)):
        way(server.url)
    first, second = server.seen[:2]
    assert first.shares == {X25519: X25519_BYTES}
    assert second.shares == {X25519_MLKEM768: X25519_MLKEM768_BYTES}


def test_a_server_that_takes_another_group_only_is_understood(
    choosy: Nginx, certificates: dict[str, Certificate]
) -> None:
    """By its HelloRetryRequest: there was no share for P-256."""
    url, trusted = choosy.url("/").replace("http:", "https:"), str(certificates["server"].cert)
    assert Session(ca_bundle=trusted).fetch(url).text == "TLSv1.3 prime256v1"
    assert over_curl().get(url, verify=trusted).text == "TLSv1.3 prime256v1"


def test_a_list_of_ones_own_is_told_as_it_is() -> None:
    secp384r1 = 0x0018
    with reading_hellos() as server, pytest.raises(FetchError):
        Session(tls_groups="P-384:X25519").fetch(server.url)
    assert server.seen[0].groups == [secp384r1, X25519]
    assert list(server.seen[0].shares) == [secp384r1]


def test_a_group_that_nobody_knows_is_told_by_its_name(choosy: Nginx, tmp_path: Path) -> None:
    url = choosy.url("/").replace("http:", "https:")
    with pytest.raises(FetchError, match="X25519:P-999") as failed:
        Session(tls_groups="X25519:P-999").fetch(url)
    assert failed.value.kind is ErrorKind.TLS_FAILED
    stock = requests.Session()
    stock.mount("https://", CurlAdapter(tls_groups="X25519:P-999"))
    with pytest.raises(requests.exceptions.SSLError, match="X25519:P-999"):
        stock.get(url)
    (tmp_path / "urls.txt").write_text(f"{url}\n")
    run_batch(tmp_path / "urls.txt", "-o", tmp_path / "out.jsonl", "--retries", "0", PERCORE_TLS_GROUPS="X25519:P-999")
    (record,) = records(tmp_path / "out.jsonl")
    assert record["error"]["kind"] == "tls_failed"
    assert "X25519:P-999" in record["error"]["message"]
