"""TLS against a real nginx: who is believed, who we say we are, and which version of HTTP is agreed on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from app.fetching import CurlAdapter, Session
from app.hub.per_hub import close_this_hub
from tests.integration.adapter.conftest import Certificate, over_curl
from tests.support.nginx import LISTEN, Nginx, running_nginx

Certificates = dict[str, Certificate]


@pytest.fixture(scope="module")
def site(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """HTTP/2 and HTTP/1.1; what client certificate was shown is said in a header."""
    server = f"""server {{
        listen {LISTEN} ssl http2;
        ssl_certificate {certificates["server"].cert};
        ssl_certificate_key {certificates["server"].key};
        ssl_client_certificate {certificates["client"].cert};
        ssl_verify_client optional;
        location / {{
            add_header X-Client "$ssl_client_s_dn|$ssl_client_verify";
            add_header X-Groups "$ssl_curves";
            return 200 safe;
        }}
        location /members {{ if ($ssl_client_verify != SUCCESS) {{ return 403; }} return 200 welcome; }}
    }}"""
    with running_nginx(server, tmp_path_factory.mktemp("nginx")) as nginx:
        yield nginx


@pytest.fixture
def url(site: Nginx) -> str:
    return site.url("/").replace("http:", "https:")


def test_nobody_is_believed_by_default(session: requests.Session, url: str) -> None:
    for stream in (False, True):
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url, stream=stream)


def test_a_file_of_authorities(session: requests.Session, url: str, certificates: Certificates) -> None:
    assert session.get(url, verify=str(certificates["server"].cert)).text == "safe"
    with pytest.raises(requests.exceptions.SSLError):
        session.get(url, verify=str(certificates["other"].cert))


def test_a_folder_of_authorities(
    session: requests.Session, url: str, certificates: Certificates, tmp_path: Path
) -> None:
    # Named by hash, as openssl looks them up.
    command = ["openssl", "x509", "-noout", "-hash", "-in", certificates["server"].cert]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    os.symlink(certificates["server"].cert, tmp_path / f"{name}.0")
    assert session.get(url, verify=str(tmp_path)).text == "safe"


def test_a_bundle_from_the_environment(
    session: requests.Session, url: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates["server"].cert))
    assert session.get(url).text == "safe"


def test_a_bundle_that_is_not_there(session: requests.Session, url: str) -> None:
    with pytest.raises(OSError, match="invalid path: /nowhere"):
        session.get(url, verify="/nowhere")


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_unverified_if_so_told_and_never_for_those_who_verify(
    session: requests.Session, url: str, certificates: Certificates
) -> None:
    """What one request was let off serves no other: neither its connection nor its TLS session."""
    for _ in range(2):
        assert session.get(url, verify=False).text == "safe"
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url)
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url, verify=str(certificates["other"].cert))
        assert session.get(url, verify=str(certificates["server"].cert)).text == "safe"


def test_the_name_is_verified(session: requests.Session, url: str, certificates: Certificates) -> None:
    # The same server, by a name that is not in its certificate.
    with pytest.raises(requests.exceptions.SSLError):
        session.get(url.replace("127.0.0.1", "localhost"), verify=str(certificates["server"].cert))


def test_a_certificate_of_our_own(
    session: requests.Session, url: str, certificates: Certificates, tmp_path: Path
) -> None:
    """Nor does a connection on which we have said who we are serve a request that does not say so."""
    mine, session.verify = certificates["client"], str(certificates["server"].cert)
    both = tmp_path / "both.pem"
    both.write_text(mine.cert.read_text() + mine.key.read_text())
    for _ in range(2):
        shown = session.get(url, cert=(str(mine.cert), str(mine.key)))
        assert shown.headers["x-client"] == "CN=client|SUCCESS"
        assert session.get(url + "members", cert=str(both)).text == "welcome"
        assert session.get(url + "members").status_code == 403
        assert session.get(url).headers["x-client"] == "|NONE"
    session.cert = (str(mine.cert), str(mine.key))
    assert session.get(url + "members").text == "welcome"


def test_a_certificate_that_is_not_there(session: requests.Session, url: str, certificates: Certificates) -> None:
    session.verify = str(certificates["server"].cert)
    with pytest.raises(OSError, match=r"certificate file, invalid path: /no\.pem"):
        session.get(url, cert="/no.pem")
    with pytest.raises(OSError, match=r"key file, invalid path: /no\.key"):
        session.get(url, cert=(str(certificates["client"].cert), "/no.key"))


@pytest.mark.parametrize("make", [over_curl, Session], ids=["adapter", "session"])
@pytest.mark.parametrize(("http", "version"), [("2", 20), ("1.1", 11)])
def test_http_2_by_alpn(
    nothing_around: None, make: type[Session], http: str, version: int, url: str, certificates: Certificates
) -> None:
    session = make(http=http)  # type: ignore[arg-type]
    session.verify = str(certificates["server"].cert)
    try:
        for stream in (False, True):
            answer = session.get(url, stream=stream)
            assert (answer.raw.version, answer.text) == (version, "safe")
            assert answer.reason == ("" if version == 20 else "OK")
    finally:
        session.close()
        close_this_hub()


def test_http_2_takes_bodies(curl_session: requests.Session, url: str, certificates: Certificates) -> None:
    curl_session.verify = str(certificates["server"].cert)
    for data in (b"bytes", iter([b"some", b"chunks"])):
        answer = curl_session.post(url, data=data)
        assert (answer.raw.version, answer.status_code) == (20, 200)


def test_one_adapter_for_http_2_only(nothing_around: None, url: str, certificates: Certificates) -> None:
    """Adapters differ by prefix, as requests' do."""
    session = requests.Session()
    session.mount("https://", CurlAdapter())
    session.mount(url + "old", CurlAdapter(http="1.1"))
    session.verify = str(certificates["server"].cert)
    assert [session.get(url + path).raw.version for path in ("new", "old", "new")] == [20, 11, 20]
    close_this_hub()


def test_key_exchange_groups_are_openssls_or_those_that_one_names(url: str, certificates: Certificates) -> None:
    trusted = str(certificates["server"].cert)
    named = Session(tls_groups="P-384:P-256", ca_bundle=trusted)
    plain = Session(ca_bundle=trusted)
    stock = requests.Session()
    stock.mount("https://", CurlAdapter(tls_groups="P-384:P-256"))
    offered = [
        named.get(url, verify=trusted).headers["X-Groups"],
        named.fetch(url).headers["X-Groups"],
        stock.get(url, verify=trusted).headers["X-Groups"],
    ]
    assert len(set(offered)) == 1
    assert offered[0] == "secp384r1:prime256v1"
    assert len(plain.fetch(url).headers["X-Groups"].split(":")) > 2
