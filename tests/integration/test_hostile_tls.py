"""TLS that is not what it should be, over both transports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.certificates import self_signed
from tests.support.fetch_child import Ask, Fetcher, How, running_fetcher
from tests.support.nginx import LISTEN, running_nginx
from tests.support.raw_origin import Script, running_raw_origin

HOWS: list[How] = ["fetch", "whole", "stream"]

# A record of the right form whose handshake message is cut: the head of a ServerHello that says 80 bytes follow.
CUT_HELLO = b"\x16\x03\x03\x00\x54\x02\x00\x00\x50\x03\x03" + b"\x5a" * 20


@pytest.fixture(scope="module", params=["curl", "requests"])
def fetcher(request: pytest.FixtureRequest) -> Iterator[Fetcher]:
    with running_fetcher(request.param) as running:
        yield running


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, str]]]:
    """Name -> URL and the CA bundle that vouches for it."""
    found: dict[str, tuple[str, str]] = {}
    with ExitStack() as stack:
        for name, names, days in (
            ("good", "IP:127.0.0.1", 2),
            ("other name", "DNS:elsewhere.example", 2),
            ("expired", "IP:127.0.0.1", -1),
        ):
            folder = self_signed(tmp_path_factory.mktemp("tls"), names=names, days=days)
            server = (
                f"server {{ listen {LISTEN} ssl; ssl_certificate {folder}/cert.pem;"
                f" ssl_certificate_key {folder}/key.pem; location / {{ return 200 safe; }} }}"
            )
            nginx = stack.enter_context(running_nginx(server, folder / "nginx"))
            found[name] = (nginx.url("/").replace("http:", "https:"), str(folder / "cert.pem"))
        yield found


def words(fetcher: Fetcher, url: str, verify: str = "", timeout_s: float = 20.0) -> list[str]:
    return [told.word for told in fetcher.fetch([Ask(url, how, verify=verify, timeout_s=timeout_s) for how in HOWS])]


REFUSED = ["tls_failed", "SSLError", "SSLError"]


def test_who_is_known_is_trusted(fetcher: Fetcher, sites: dict[str, tuple[str, str]]) -> None:
    assert words(fetcher, *sites["good"]) == ["200 b'safe'"] * 3


def test_who_is_not_known_is_refused(fetcher: Fetcher, sites: dict[str, tuple[str, str]]) -> None:
    assert words(fetcher, sites["good"][0]) == REFUSED


@pytest.mark.parametrize("name", ["other name", "expired"])
def test_a_certificate_for_another_name_or_time_is_refused(
    fetcher: Fetcher, sites: dict[str, tuple[str, str]], name: str
) -> None:
    assert words(fetcher, *sites[name]) == REFUSED


def test_a_connection_that_was_verified_is_not_used_for_who_trusts_less(
    fetcher: Fetcher, sites: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    """Nor the other way round: after a fetch that succeeded, one with another bundle is refused."""
    url, bundle = sites["good"]
    other = self_signed(tmp_path / "other")
    assert words(fetcher, url, bundle) == ["200 b'safe'"] * 3
    assert words(fetcher, url, str(other / "cert.pem")) == REFUSED
    assert words(fetcher, url, bundle) == ["200 b'safe'"] * 3


def test_plain_text_in_place_of_tls(fetcher: Fetcher) -> None:
    with running_raw_origin(greeting=Script.of(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")) as origin:
        assert words(fetcher, f"https://127.0.0.1:{origin.port}/") == REFUSED


@pytest.mark.parametrize("sent", [b"", CUT_HELLO, b"\x15\x03\x03\x00\x02\x02\x28"], ids=["nothing", "cut", "alert"])
@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_handshake_that_is_broken_off(fetcher: Fetcher, sent: bytes, ending: str) -> None:
    """urllib3 calls a reset within the handshake a broken connection; libcurl always calls it TLS's failure."""
    with running_raw_origin(greeting=Script.of(sent, ending)) as origin:  # type: ignore[arg-type]
        fetch, whole, stream = words(fetcher, f"https://127.0.0.1:{origin.port}/")
    is_lost = fetcher.transport == "requests" and fetch == "connection_lost"
    assert [fetch, whole, stream] == (["connection_lost", "ConnectionError", "ConnectionError"] if is_lost else REFUSED)
    assert not is_lost or ending == "reset" or not sent


def test_a_handshake_that_never_ends_is_ended_by_the_deadline(fetcher: Fetcher) -> None:
    with running_raw_origin(greeting=Script.of(b"", "hold")) as origin:
        fetch, whole, stream = words(fetcher, f"https://127.0.0.1:{origin.port}/", timeout_s=0.3)
    assert fetch == "timeout"
    # urllib3 has one timeout for connecting and reading, and calls it by the phase in which its own code was.
    assert {whole, stream} <= {"ConnectTimeout", "ReadTimeout"}


def test_plain_http_where_tls_is_spoken(fetcher: Fetcher, sites: dict[str, tuple[str, str]]) -> None:
    """nginx says so in an answer of its own."""
    assert fetcher.fetch([Ask(sites["good"][0].replace("https:", "http:"))])[0].status == 400
