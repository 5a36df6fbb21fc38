"""HTTPS against a real nginx with a certificate of our own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.batch import records, run_batch
from tests.support.certificates import self_signed
from tests.support.nginx import LISTEN, Nginx, running_nginx


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cert.pem`, for 127.0.0.1, and its `key.pem`."""
    folder = tmp_path_factory.mktemp("tls")
    self_signed(folder)
    return folder


@pytest.fixture(scope="module")
def site(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    server = (
        f"server {{ listen {LISTEN} ssl; ssl_certificate {certificate}/cert.pem;"
        f" ssl_certificate_key {certificate}/key.pem; location / {{ return 200 safe; }} }}"
    )
    with running_nginx(server, tmp_path_factory.mktemp("nginx")) as nginx:
        yield nginx


def fetch(url: str, tmp_path: Path, **env: str) -> tuple[bool, str | None]:
    (tmp_path / "urls.txt").write_text(f"{url}\n")
    run_batch(tmp_path / "urls.txt", "-o", tmp_path / "out.jsonl", "--fresh", "--retries", "0", **env)
    (record,) = records(tmp_path / "out.jsonl")
    return record["ok"], record["error"] and record["error"]["kind"]


def test_certificates_are_verified(site: Nginx, certificate: Path, tmp_path: Path) -> None:
    url = site.url("/").replace("http:", "https:")
    assert fetch(url, tmp_path) == (False, "tls_failed")
    assert fetch(url, tmp_path, PERCORE_CA_BUNDLE=str(certificate / "cert.pem")) == (True, None)


def test_names_are_verified(site: Nginx, certificate: Path, tmp_path: Path) -> None:
    url = site.url("/").replace("http://127.0.0.1", "https://localhost")
    assert fetch(url, tmp_path, PERCORE_CA_BUNDLE=str(certificate / "cert.pem")) == (False, "tls_failed")


def test_a_bundle_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("https://127.0.0.1/\n")
    status, said = run_batch(tmp_path / "urls.txt", "-o", tmp_path / "out.jsonl", PERCORE_CA_BUNDLE="/nowhere")
    assert (status, said) == (2, "fetch-batch: PERCORE_CA_BUNDLE='/nowhere': there is no such file or folder\n")
