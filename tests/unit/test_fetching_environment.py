from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.fetching.environment import Environment


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("NETRC", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_proxy_is_heard_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment(Clock())
    assert environment.is_silent()
    monkeypatch.setenv("Https_Proxy", "http://127.0.0.1:1")
    assert not environment.is_silent()
    monkeypatch.setenv("Https_Proxy", "")
    assert environment.is_silent()


def test_a_netrc_file_is_seen_within_a_second(home: Path) -> None:
    clock = Clock()
    environment = Environment(clock)
    assert environment.is_silent()
    (home / "_netrc").touch()
    clock.now_s = 0.9
    assert environment.is_silent()
    clock.now_s = 1.0
    assert not environment.is_silent()
    (home / "_netrc").unlink()
    clock.now_s = 2.0
    assert environment.is_silent()


def test_another_home_or_file_is_seen_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment = Environment(Clock())
    assert environment.is_silent()
    other = tmp_path / "other"
    other.mkdir()
    (other / ".netrc").touch()
    monkeypatch.setenv("HOME", str(other))
    assert not environment.is_silent()
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    assert environment.is_silent()
    monkeypatch.setenv("NETRC", str(other / ".netrc"))
    assert not environment.is_silent()


def test_ca_bundle_is_in_the_order_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment(Clock())
    assert environment.ca_bundle() is None
    monkeypatch.setenv("CURL_CA_BUNDLE", "/curl")
    assert environment.ca_bundle() == "/curl"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/requests")
    assert environment.ca_bundle() == "/requests"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
    assert environment.ca_bundle() == "/curl"
