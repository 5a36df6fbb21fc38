from __future__ import annotations

import pytest

from app.fetching import shared_connections
from app.fetching.shared_connections import SharedConnections

TLS = ("https://a.example/", "a.example", 443)


def test_over_tls_it_is_hoped_for_until_http_1_was_agreed_on() -> None:
    shared = SharedConnections()
    assert shared.may_come(*TLS)
    shared.learn(*TLS, "HTTP/1.1")
    assert not shared.may_come(*TLS)
    assert shared.may_come("https://a.example:8443/", "a.example", 8443), "another server"
    shared.learn(*TLS, "HTTP/2")
    assert shared.may_come(*TLS)


def test_without_tls_never() -> None:
    shared = SharedConnections()
    shared.learn("http://a.example/", "a.example", 80, "HTTP/2")
    assert not shared.may_come("http://a.example/", "a.example", 80)


def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_connections, "_MAX_HOSTS", 3)
    shared = SharedConnections()
    for number in range(10):
        shared.learn(f"https://h{number}/", f"h{number}", 443, "HTTP/1.1")
    assert not shared.may_come("https://h9/", "h9", 443)
    assert sum(not shared.may_come(f"https://h{number}/", f"h{number}", 443) for number in range(10)) <= 3
