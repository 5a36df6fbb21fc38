"""Sessions over each transport, against real servers. What `session` is given, all of them must do alike: requests' own
adapter is among them, so that a test that asks for what requests does not do fails.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from app.fetching import CurlAdapter, Session
from app.hub.per_hub import close_this_hub
from tests.support.needs import require_program


def over_curl(**options: object) -> requests.Session:
    """requests' own session, on CurlAdapter."""
    made = requests.Session()
    adapter = CurlAdapter(**options)  # type: ignore[arg-type]
    made.mount("http://", adapter)
    made.mount("https://", adapter)
    return made


def plain() -> Session:
    """Ours, as PERCORE_TRANSPORT=requests makes it."""
    return Session(transport="requests")


@pytest.fixture(params=["requests", "adapter", "session", "plain"])
def session(request: pytest.FixtureRequest, nothing_around: None) -> Iterator[requests.Session]:
    """One of each: requests' own, requests' on CurlAdapter, ours, and ours on requests' own transport."""
    made = {"requests": requests.Session, "adapter": over_curl, "session": Session, "plain": plain}[request.param]()
    yield made
    made.close()
    close_this_hub()


@pytest.fixture(params=["adapter", "session"])
def curl_session(request: pytest.FixtureRequest, nothing_around: None) -> Iterator[requests.Session]:
    """What requests can't do, or not without more packages."""
    made = {"adapter": over_curl, "session": Session}[request.param]()
    yield made
    made.close()
    close_this_hub()


@pytest.fixture
def nothing_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """No word of the environment's. A bundle that it names goes before a session's own."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Certificate(NamedTuple):
    """PEM files. A certificate is signed by itself, so it is its own authority, too."""

    cert: Path
    key: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    """`server` is for 127.0.0.1, `client` for nobody, `other` for 127.0.0.1 too."""
    openssl = require_program("openssl", how="apt install openssl")
    folder = tmp_path_factory.mktemp("certificates")
    made = {}
    for name in ("server", "client", "other"):
        made[name] = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
        subprocess.run(
            [
                *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", made[name].key, "-out", made[name].cert),
            ],
            check=True,
            capture_output=True,
        )
    return made
