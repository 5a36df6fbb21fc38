"""Whom a stored answer is for: Vary, who asks, what lets it in; and what ends it."""

from __future__ import annotations

from email.utils import formatdate
from pathlib import Path

import pytest
from msgspec import UNSET

from app.model.outcome import Outcome
from tests.support.caches import HOUR, CachedEngine, Make, said, told
from tests.support.origin import Origin


def test_vary(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", HOUR, "Vary: X-Own, accept-encoding"))

    def ask(own: str | None, **more: str) -> Outcome:
        return engine.fetch(url, headers=({} if own is None else {"X-Own": own}) | more)

    assert said(ask("1"), ask("2"), ask(None)) == [("miss", 1), ("miss", 2), ("miss", 3)]
    assert said(ask("1"), ask("2"), ask(None)) == [("hit", 1), ("hit", 2), ("hit", 3)]
    assert said(ask("1", Other="x"), ask("3"), ask("1", **{"Accept-Encoding": "br"})) == [
        ("hit", 1),
        ("miss", 4),
        ("miss", 5),
    ]


@pytest.mark.parametrize("name", ["Authorization", "Cookie"])
def test_who_asks_makes_a_difference(engine: CachedEngine, origin: Origin, name: str, tmp_path: Path) -> None:
    url = origin.url(told("a", HOUR))
    first, other, nobody = (engine.fetch(url, headers=h) for h in ({name: "secret-1"}, {name: "secret-2"}, {}))
    again = [engine.fetch(url, headers=h) for h in ({name: "secret-1"}, {name: "secret-2"}, {})]
    assert said(first, other, nobody) == [("miss", 1), ("miss", 2), ("miss", 3)]
    assert said(*again) == [("hit", 1), ("hit", 2), ("hit", 3)]
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"answer 3" in stored
    assert b"secret" not in stored


def test_a_users_password_in_the_url_is_who_asks(engine: CachedEngine, origin: Origin) -> None:
    path = told("a", HOUR)
    mine, yours = (origin.url(path).replace("//", f"//{who}:x@") for who in ("me", "you"))
    assert said(engine.fetch(mine), engine.fetch(yours), engine.fetch(mine)) == [("miss", 1), ("miss", 2), ("hit", 1)]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "FOO"])
def test_what_changes_things_is_followed_by_a_look(engine: CachedEngine, origin: Origin, method: str) -> None:
    url = origin.url(told("a", HOUR, "Vary: X-Own"))
    for own in "12":
        engine.fetch(url, headers={"X-Own": own})
    changed = engine.fetch(url, method=method)
    assert changed.cache is UNSET
    assert said(*(engine.fetch(url, headers={"X-Own": own}) for own in "21")) == [("miss", 4), ("miss", 5)]


def test_what_failed_has_changed_nothing(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", HOUR))
    engine.fetch(url)
    origin.reset()
    failing = origin.url(told("a", HOUR, status=400))
    assert engine.fetch(failing, method="POST").status == 400
    assert said(engine.fetch(url)) == [("hit", 1)]


@pytest.mark.parametrize("name", ["Location", "Content-Location"])
def test_what_an_answer_to_post_names_is_looked_at_again(engine: CachedEngine, origin: Origin, name: str) -> None:
    path = told("a", HOUR)
    url = origin.url(path)
    engine.fetch(url)
    engine.fetch(origin.url(told("b", f"{name}: http://elsewhere.example{path}", status=201)), method="POST")
    assert said(engine.fetch(url)) == [("hit", 1)], "of another origin it is nobody's business"
    engine.fetch(origin.url(told("b", f"{name}: {path}", status=201)), method="POST")
    assert said(engine.fetch(url)) == [("miss", 2)]


@pytest.mark.parametrize(
    "header",
    [
        {"Cache-Control": "no-store"},
        {"Range": "bytes=0-4"},
        {"If-None-Match": '"x"'},
        {"If-Modified-Since": formatdate(1e9, usegmt=True)},
    ],
)
def test_requests_that_are_not_the_caches(engine: CachedEngine, origin: Origin, header: dict[str, str]) -> None:
    url = origin.url(told("a", HOUR))
    first = engine.fetch(url, headers=header)
    assert first.cache is UNSET
    assert said(engine.fetch(url)) == [("miss", 2)], "its answer was not stored"
    engine.fetch(url, headers=header)
    assert origin.counts().total == 3, "nor is a stored one used"
    asked = [dict(hit.headers) for hit in origin.hits()]
    assert all(asked[n].get(name.lower()) == value for n in (0, 2) for name, value in header.items())


def test_what_another_policy_let_in_is_not_used(make: Make, origin: Origin) -> None:
    url = origin.url(told("a", HOUR))
    outcomes = [make(scope=scope).fetch(url) for scope in ("", "public", "", "public")]
    assert said(*outcomes) == [("miss", 1), ("miss", 2), ("hit", 1), ("hit", 2)]
