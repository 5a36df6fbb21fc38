"""Errors, broken answers, spoiled files, a full disk: what stands in, and what is not stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.model.outcome import ErrorKind
from app.policy.addresses import AddressPolicy
from tests.support.caches import HOUR, TAG, CachedEngine, Make, said, told
from tests.support.hubs import hub_until
from tests.support.origin import Origin
from tests.support.ports import refused_port


@pytest.mark.parametrize("later", ["503", "500", "drop"])
def test_stale_if_error(engine: CachedEngine, origin: Origin, later: str) -> None:
    url = origin.url(told("a", "Cache-Control: max-age=5, stale-if-error=60", later=later))
    engine.fetch(url)
    engine.clock.advance(10)
    second = engine.fetch(url)
    assert said(second) == [("stale", 1)]
    assert second.ok
    assert int(second.headers["age"]) >= 10
    assert engine.counts.stale == 1
    engine.clock.advance(60)
    third = engine.fetch(url)
    assert not third.ok
    assert third.cache != "stale"


def test_what_tls_or_the_policy_refuses_is_no_error_to_stand_in_for(make: Make, origin: Origin) -> None:
    url = origin.url(told("a", "Cache-Control: max-age=5, stale-if-error=60"))
    make().fetch(url)
    engine = make(session={"policy": AddressPolicy.public_only(allow=(), ports=None)})
    engine.clock.advance(10)
    refused = engine.fetch(url)
    assert refused.error is not None
    assert refused.error.kind is ErrorKind.ADDRESS_DENIED


def test_an_error_is_an_error_where_nobody_said_otherwise(engine: CachedEngine, origin: Origin) -> None:
    for later, kind in [("503", ErrorKind.HTTP_STATUS), ("drop", ErrorKind.CONNECTION_LOST)]:
        url = origin.url(told(later, "Cache-Control: max-age=5", TAG, later=later))
        engine.fetch(url)
        engine.clock.advance(10)
        failed = engine.fetch(url)
        assert failed.error is not None
        assert failed.error.kind is kind


def test_what_may_be_better_in_a_moment_is_not_stored(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", HOUR, status=503))
    assert [engine.fetch(url).cache for _ in range(2)] == ["miss", "miss"]
    url = origin.url(told("b", HOUR, status=404))
    outcomes = [engine.fetch(url) for _ in range(2)]
    assert [(each.cache, each.status, each.ok) for each in outcomes] == [("miss", 404, False), ("hit", 404, False)]


def test_errors_that_are_to_be_asked_for_again(make: Make, origin: Origin) -> None:
    gone, here = origin.url(told("a", HOUR, status=404)), origin.url(told("b", HOUR))
    for url in (gone, here):
        make().fetch(url)
    engine = make(reuses_errors=False)
    assert [engine.fetch(url).cache for url in (gone, here)] == ["miss", "hit"]


def test_what_is_not_whole_is_not_stored(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", HOUR, cut=1))
    for _ in range(2):
        failed = engine.fetch(url)
        assert failed.error is not None
        assert failed.error.kind is ErrorKind.CONNECTION_LOST
    assert origin.counts().total >= 2


def test_the_limit_of_a_body_holds_for_what_is_stored(make: Make, origin: Origin) -> None:
    url = origin.url(told("a", HOUR, gzip=1, length=5000))
    small = {"max_body_bytes": 4999}
    assert [make(session=small).fetch(url).error is not None for _ in range(2)] == [True, True]
    assert origin.counts().total == 2, "what is too large is not stored"
    make(session={"max_body_bytes": 5000}).fetch(url)
    late = make(session=small).fetch(url)
    assert late.error is not None
    assert (late.error.kind, late.attempts) == (ErrorKind.BODY_TOO_LARGE, 0)
    assert origin.counts().total == 3


@pytest.mark.parametrize("harm", [b"", b"PcC1", b"x" * 500, None])
def test_a_file_that_is_none_is_a_miss(
    engine: CachedEngine, origin: Origin, tmp_path: Path, harm: bytes | None
) -> None:
    url = origin.url(told("a", HOUR, length=300))
    engine.fetch(url)
    (path,) = [each for each in tmp_path.glob("cache/v1/??/*") if each.is_file()]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"!" if harm is None else harm)
    assert said(engine.fetch(url), engine.fetch(url)) == [("miss", 2), ("hit", 2)]


def test_a_full_disk(engine: CachedEngine, origin: Origin, tmp_path: Path) -> None:
    kept = origin.url(told("a", HOUR))
    engine.fetch(kept)
    hub_until(lambda: not engine.store.is_evicting, "the end of a look at the folder")
    unfinished = tmp_path / "cache/v1/unfinished"
    unfinished.rmdir()
    unfinished.write_bytes(b"no folder, so no file can be made there")
    outcomes = [engine.fetch(origin.url(told("b", HOUR))) for _ in range(2)]
    assert said(*outcomes) == [("miss", 1), ("miss", 2)]
    assert len(engine.warnings) == 1
    assert "can't be written: Not a directory; going on without it" in engine.warnings[0]
    assert said(engine.fetch(kept)) == [("hit", 1)], "what is there is used on"


def test_nothing_is_left_of_a_refused_connection(make: Make) -> None:
    with refused_port() as port:
        failed = make().fetch(f"http://127.0.0.1:{port}/")
    assert failed.error is not None
    assert failed.error.kind is ErrorKind.CONNECT_FAILED
