"""Proxies, against some of our own: who is asked for what, with which credentials, and what a policy makes of them."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator

import pytest
import requests

from app.errors import FetchError
from app.fetching import Session
from app.hub.per_hub import close_this_hub
from app.model.outcome import ErrorKind
from app.policy.addresses import AddressPolicy
from tests.integration.adapter.conftest import Certificate, over_curl
from tests.support.nginx import LISTEN, Nginx, running_nginx
from tests.support.origin import Origin, body_of
from tests.support.ports import refused_port
from tests.support.proxies import Proxy, running_proxy

HOSTS = {"origin.test": "127.0.0.1"}


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with running_proxy(hosts=HOSTS) as running:
        yield running


@pytest.fixture
def strict_proxy() -> Iterator[Proxy]:
    """Asks for credentials with what has to be encoded in a URL."""
    with running_proxy(hosts=HOSTS, credentials=("ann", "p@ss:word")) as running:
        yield running


CREDENTIALS = "ann:p%40ss%3Aword"


@pytest.fixture(scope="module")
def site(certificates: dict[str, Certificate], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    server = (
        f"server {{ listen {LISTEN} ssl http2; ssl_certificate {certificates['server'].cert};"
        f" ssl_certificate_key {certificates['server'].key};"
        " location / { add_header X-Seen $http_proxy_authorization; return 200 safe; } }"
    )
    with running_nginx(server, tmp_path_factory.mktemp("nginx")) as nginx:
        yield nginx


@pytest.fixture
def secure_url(site: Nginx) -> str:
    return site.url("/").replace("http:", "https:")


def by_name(origin: Origin, path: str) -> str:
    """A name that only the proxies know."""
    return f"http://origin.test:{origin.port}{path}"


# --- http ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_http_goes_to_the_proxy_with_its_whole_url(
    session: requests.Session, origin: Origin, proxy: Proxy, stream: bool
) -> None:
    answer = session.get(by_name(origin, "/ok/9"), proxies={"http": proxy.url("http")}, stream=stream)
    assert answer.content == body_of(9)
    (asked,) = proxy.asked
    assert (asked.how, asked.host, asked.port, asked.credentials) == ("GET", "origin.test", origin.port, None)
    assert dict(asked.headers)["host"] == f"origin.test:{origin.port}"


def test_uploads_go_through_the_proxy(session: requests.Session, origin: Origin, proxy: Proxy) -> None:
    session.proxies = {"http": proxy.url("http")}
    assert session.post(by_name(origin, "/echo"), data="text").json()["body"] == "text"
    assert session.post(by_name(origin, "/echo"), data=iter([b"a", b"b"])).json()["body"] == "ab"


def test_credentials_go_to_the_proxy_once(session: requests.Session, origin: Origin, strict_proxy: Proxy) -> None:
    session.proxies = {"http": strict_proxy.url("http", CREDENTIALS)}
    answer = session.get(by_name(origin, "/echo"))
    (asked,) = strict_proxy.asked
    assert asked.credentials == ("ann", "p@ss:word")
    assert [name for name, _ in asked.headers].count("proxy-authorization") == 1
    assert "proxy-authorization" not in dict(answer.json()["headers"])


def test_a_proxy_that_refuses_has_answered(session: requests.Session, origin: Origin, strict_proxy: Proxy) -> None:
    assert session.get(by_name(origin, "/ok"), proxies={"http": strict_proxy.url("http")}).status_code == 407
    assert origin.counts().total == 0


# --- CONNECT ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_https_goes_through_a_tunnel(
    session: requests.Session, secure_url: str, proxy: Proxy, certificates: dict[str, Certificate], stream: bool
) -> None:
    options = {"proxies": {"https": proxy.url("http")}, "verify": str(certificates["server"].cert), "stream": stream}
    assert session.get(secure_url, **options).text == "safe"  # type: ignore[arg-type]
    (asked,) = proxy.asked
    assert (asked.how, asked.host) == ("CONNECT", "127.0.0.1")
    # It is the server's own certificate that is verified, at the end of the tunnel.
    with pytest.raises(requests.exceptions.SSLError):
        session.get(secure_url, proxies=options["proxies"], verify=str(certificates["other"].cert))  # type: ignore[arg-type]


def test_credentials_stay_outside_of_the_tunnel(
    session: requests.Session, secure_url: str, strict_proxy: Proxy, certificates: dict[str, Certificate]
) -> None:
    session.proxies, session.verify = {"https": strict_proxy.url("http", CREDENTIALS)}, str(certificates["server"].cert)
    for data in (None, iter([b"piece"])):
        answer = session.post(secure_url, data=data, headers={"X-Secret": "1", "Cookie": "secret=1"})
        assert (answer.text, answer.headers.get("x-seen")) == ("safe", None)
    for asked in strict_proxy.asked:
        assert asked.credentials == ("ann", "p@ss:word")
        assert not {"x-secret", "cookie", "accept"} & dict(asked.headers).keys()


def test_a_tunnel_that_is_refused(session: requests.Session, secure_url: str, strict_proxy: Proxy) -> None:
    for stream in (False, True):
        with pytest.raises(requests.exceptions.ProxyError):
            session.get(secure_url, proxies={"https": strict_proxy.url("http")}, stream=stream)


def test_a_proxy_that_is_spoken_to_in_tls_is_verified(
    curl_session: requests.Session, origin: Origin, secure_url: str, certificates: dict[str, Certificate]
) -> None:
    with running_proxy(hosts=HOSTS, tls=in_tls(certificates["server"])) as proxy:
        curl_session.proxies = {"http": proxy.url("https"), "https": proxy.url("https")}
        right, wrong = str(certificates["server"].cert), str(certificates["other"].cert)
        # requests would verify no proxy where the URL is http.
        assert curl_session.get(by_name(origin, "/ok"), verify=right).status_code == 200
        assert curl_session.get(secure_url, verify=right).text == "safe"
        assert [asked.how for asked in proxy.asked] == ["GET", "CONNECT"]
        for url in (by_name(origin, "/ok"), secure_url):
            with pytest.raises(requests.exceptions.SSLError):
                curl_session.get(url, verify=wrong)


def test_a_fetch_trusts_the_proxy_by_the_sessions_bundle(
    nothing_around: None,
    origin: Origin,
    secure_url: str,
    certificates: dict[str, Certificate],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the scheme of what is fetched."""
    right, wrong = str(certificates["server"].cert), str(certificates["other"].cert)
    with running_proxy(hosts=HOSTS, tls=in_tls(certificates["server"])) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url("https"))
        monkeypatch.setenv("https_proxy", proxy.url("https"))
        for url in (by_name(origin, "/ok"), secure_url):
            assert Session(ca_bundle=right).fetch(url).status_code == 200
            for bundle in (wrong, ""):
                with pytest.raises(FetchError) as failed:
                    Session(ca_bundle=bundle).fetch(url)
                assert failed.value.kind is ErrorKind.TLS_FAILED
        assert [asked.how for asked in proxy.asked] == ["GET", "CONNECT"]
    close_this_hub()


def in_tls(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.cert, certificate.key)
    return context


# --- where there is none ---------------------------------------------------------------------------------------------


def test_a_proxy_that_is_not_there(session: requests.Session, origin: Origin) -> None:
    with refused_port() as port:
        for stream in (False, True):
            with pytest.raises(requests.exceptions.ProxyError):
                session.get(origin.url("/ok"), proxies={"http": f"http://127.0.0.1:{port}"}, stream=stream)


@pytest.mark.parametrize("proxy_url", ["http://:8080", "http:///nowhere"])
def test_what_is_no_proxy(session: requests.Session, origin: Origin, proxy_url: str) -> None:
    with pytest.raises(requests.exceptions.InvalidProxyURL):
        session.get(origin.url("/ok"), proxies={"http": proxy_url})


def test_the_environment_names_one(
    session: requests.Session, origin: Origin, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url("http"))
    assert session.get(by_name(origin, "/ok")).status_code == 200
    assert len(proxy.asked) == 1
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert session.get(origin.url("/ok")).status_code == 200
    assert len(proxy.asked) == 1
    monkeypatch.delenv("no_proxy")
    session.trust_env = False
    assert session.get(origin.url("/ok")).status_code == 200
    assert len(proxy.asked) == 1


def test_proxies_by_host(session: requests.Session, origin: Origin, proxy: Proxy) -> None:
    session.proxies = {"http://origin.test": proxy.url("http")}
    assert session.get(origin.url("/ok")).status_code == 200
    assert proxy.asked == []
    assert session.get(by_name(origin, "/ok")).status_code == 200
    assert len(proxy.asked) == 1


def test_a_redirect_chooses_its_proxy_anew(
    session: requests.Session, origin: Origin, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url("http"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    answer = session.get(origin.url(f"/redirect-to?url={by_name(origin, '/ok')}"))
    assert answer.status_code == 200
    assert [asked.host for asked in proxy.asked] == ["origin.test"]


# --- SOCKS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("scheme", "how", "asked_for"),
    [
        ("socks5h", "SOCKS", "localhost"),
        ("socks5", "SOCKS", "127.0.0.1"),
        ("socks4a", "SOCKS4", "localhost"),
        ("socks4", "SOCKS4", "127.0.0.1"),
    ],
)
def test_socks_by_name_and_by_address(
    curl_session: requests.Session, origin: Origin, scheme: str, how: str, asked_for: str, stream: bool
) -> None:
    url = f"http://localhost:{origin.port}/ok/5"
    with running_proxy(hosts={"localhost": "127.0.0.1"}) as proxy:
        assert curl_session.get(url, proxies={"http": proxy.url(scheme)}, stream=stream).content == body_of(5)
        assert [(asked.how, asked.host, asked.port) for asked in proxy.asked][-1:] == [(how, asked_for, origin.port)]


def test_a_name_that_only_the_socks_proxy_knows(curl_session: requests.Session, origin: Origin, proxy: Proxy) -> None:
    answer = curl_session.get(by_name(origin, "/echo"), proxies={"http": proxy.url("socks5h")})
    assert dict(answer.json()["headers"])["host"] == f"origin.test:{origin.port}"


def test_socks_carries_tls(
    curl_session: requests.Session, secure_url: str, proxy: Proxy, certificates: dict[str, Certificate]
) -> None:
    curl_session.verify = str(certificates["server"].cert)
    assert curl_session.get(secure_url, proxies={"https": proxy.url("socks5h")}).text == "safe"
    assert [asked.how for asked in proxy.asked] == ["SOCKS"]


def test_socks_with_credentials(curl_session: requests.Session, origin: Origin, strict_proxy: Proxy) -> None:
    proxies = {"http": strict_proxy.url("socks5h", CREDENTIALS)}
    assert curl_session.get(by_name(origin, "/ok"), proxies=proxies).status_code == 200
    assert strict_proxy.asked[0].credentials == ("ann", "p@ss:word")
    with pytest.raises(requests.ConnectionError):
        curl_session.get(by_name(origin, "/ok"), proxies={"http": strict_proxy.url("socks5h", "ann:wrong")})


@pytest.mark.parametrize("scheme", ["socks5h", "socks4a"])
def test_a_socks_proxy_that_can_not_reach_it(curl_session: requests.Session, proxy: Proxy, scheme: str) -> None:
    with pytest.raises(requests.ConnectionError):
        curl_session.get("http://nobody.test/", proxies={"http": proxy.url(scheme)})
    assert [asked.host for asked in proxy.asked] == ["nobody.test"]


# --- policy ----------------------------------------------------------------------------------------------------------


def policy(*networks: str) -> AddressPolicy:
    return AddressPolicy.public_only(allow=tuple(map(ipaddress.ip_network, networks)), ports=None)


@pytest.mark.parametrize("make", [over_curl, Session], ids=["adapter", "session"])
@pytest.mark.parametrize("scheme", ["http", "socks5h", "socks5"])
def test_a_policy_is_about_the_proxys_address_too(
    nothing_around: None, make: type[Session], scheme: str, origin: Origin, proxy: Proxy
) -> None:
    session = make(policy=policy())
    try:
        for stream in (False, True):
            with pytest.raises(requests.ConnectionError) as raised:
                session.get("http://203.0.113.1/", proxies={"http": proxy.url(scheme)}, stream=stream)
            assert isinstance(raised.value.__cause__, FetchError)
            assert raised.value.__cause__.kind is ErrorKind.ADDRESS_DENIED
        assert proxy.connections == 0
    finally:
        session.close()
        close_this_hub()


@pytest.mark.parametrize("make", [over_curl, Session], ids=["adapter", "session"])
def test_a_proxy_that_is_allowed_is_no_way_to_what_is_not(
    nothing_around: None, make: type[Session], origin: Origin, proxy: Proxy
) -> None:
    session = make(policy=policy("127.0.0.1/32"))
    session.proxies = {"http": proxy.url("http")}
    try:
        assert session.get(origin.url("/ok")).status_code == 200
        assert len(proxy.asked) == 1
        for url in ("http://127.0.0.2/", "http://10.0.0.1/", origin.url("/redirect-to?url=http://127.0.0.3/")):
            with pytest.raises(requests.ConnectionError) as raised:
                session.get(url)
            assert isinstance(raised.value.__cause__, FetchError)
        assert {asked.host for asked in proxy.asked} == {"127.0.0.1"}
    finally:
        session.close()
        close_this_hub()
