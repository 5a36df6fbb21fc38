"""Answers that are stale are asked about: what a 304 confirms, and what it changes."""

from __future__ import annotations

from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from tests.support.caches import HOUR, NEVER, TAG, CachedEngine, said, told
from tests.support.origin import Origin


def test_a_stale_answer_is_asked_about(engine: CachedEngine, origin: Origin) -> None:
    stale = "Cache-Control: max-age=5"
    url = origin.url(told("a", stale, TAG, "X-Old: 1", "X-Both: 1", news=(HOUR, TAG, "X-Both: 2")))
    first = engine.fetch(url)
    engine.clock.advance(10)
    second = engine.fetch(url)
    engine.clock.advance(10)
    third = engine.fetch(url)
    assert said(first, second, third) == [("miss", 1), ("revalidated", 1), ("hit", 1)]
    assert [each.attempts for each in (first, second, third)] == [1, 1, 0]
    for each in (second, third):
        assert each.status == 200
        assert (each.headers["x-old"], each.headers["x-both"]) == ("1", "2")
        assert each.headers["cache-control"] == "max-age=3600"
        assert each.headers["content-length"] == first.headers["content-length"]
    assert "age" not in second.headers
    assert [dict(hit.headers).get("if-none-match") for hit in origin.hits()] == [None, '"v1"']
    assert engine.counts.revalidated == 1


def test_what_is_confirmed_is_not_written_anew(engine: CachedEngine, origin: Origin, tmp_path: Path) -> None:
    """Where only the headers' values differ: the file stays, and its beginning is another."""

    def stored() -> tuple[int, bytes]:
        (path,) = [each for each in tmp_path.glob("cache/v1/??/*") if each.is_file()]
        return path.stat().st_ino, path.read_bytes()

    url = origin.url(told("a", NEVER, TAG, "X-Own: 1", news=("X-Own: 2",)))
    engine.fetch(url)
    before = stored()
    assert engine.fetch(url).headers["x-own"] == "2"
    after = stored()
    assert before[0] == after[0]
    assert before[1] != after[1]
    longer = origin.url(told("a", NEVER, TAG, "X-Own: 1", news=("X-Own: 22",)))
    for _ in range(2):
        engine.fetch(longer)
    assert engine.fetch(longer).headers["x-own"] == "22"


def test_what_a_304_does_not_say_counts_from_then_on(engine: CachedEngine, origin: Origin) -> None:
    """Its age and its date are not those of the answer that is stored."""
    old = formatdate(engine.clock.now_s - 1000, usegmt=True)
    url = origin.url(told("a", "Cache-Control: max-age=2000", TAG, "Age: 5000", f"Date: {old}"))
    assert said(engine.fetch(url)) == [("miss", 1)]
    second = engine.fetch(url)
    assert said(second) == [("revalidated", 1)]
    assert "age" not in second.headers
    third = engine.fetch(url)
    assert said(third) == [("hit", 1)]
    assert int(third.headers["age"]) < 100


def test_an_answer_that_may_not_be_kept_ends_what_was(engine: CachedEngine, origin: Origin, tmp_path: Path) -> None:
    def kept() -> list[Path]:
        return [path for path in tmp_path.glob("cache/v1/??/*") if path.is_file()]

    url = origin.url(told("a", HOUR, later=404))
    engine.fetch(url)
    assert len(kept()) == 1
    again = engine.fetch(url, headers={"Cache-Control": "no-cache"})
    assert (again.cache, again.status) == ("miss", 404)
    assert not kept()


def test_a_date_is_asked_by(engine: CachedEngine, origin: Origin) -> None:
    modified = formatdate(1_000_000_000, usegmt=True)
    url = origin.url(told("a", NEVER, f"Last-Modified: {modified}"))
    assert said(engine.fetch(url), engine.fetch(url)) == [("miss", 1), ("revalidated", 1)]
    assert dict(origin.hits()[1].headers)["if-modified-since"] == modified


def test_what_has_no_tag_is_fetched_anew(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", "Cache-Control: max-age=5"))
    first = engine.fetch(url)
    engine.clock.advance(10)
    second, third = engine.fetch(url), engine.fetch(url)
    assert said(first, second, third) == [("miss", 1), ("miss", 2), ("hit", 2)]


def test_a_304_about_another_answer(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", NEVER, TAG, news=('ETag: "v2"',)))
    assert said(engine.fetch(url), engine.fetch(url)) == [("miss", 1), ("miss", 2)]
    assert [dict(hit.headers).get("if-none-match") for hit in origin.hits()] == [None, '"v1"', None]


def test_variants_are_confirmed_each_by_itself(engine: CachedEngine, origin: Origin) -> None:
    url = origin.url(told("a", "Cache-Control: max-age=5", TAG, "Vary: X-Own", news=(HOUR,)))
    for own in "12":
        engine.fetch(url, headers={"X-Own": own})
    engine.clock.advance(10)
    outcomes = [engine.fetch(url, headers={"X-Own": own}) for own in "1212"]
    assert said(*outcomes) == [("revalidated", 1), ("revalidated", 2), ("hit", 1), ("hit", 2)]


@pytest.mark.parametrize(("tag", "expected"), [(TAG, ("hit", 1)), ('ETag: "v2"', ("miss", 3))])
def test_head_tells_of_what_get_got(engine: CachedEngine, origin: Origin, tag: str, expected: Any) -> None:
    """RFC 9111 section 4.3.5."""
    url = origin.url(told("a", "Cache-Control: max-age=5", TAG, length=100, head=f"{HOUR}\n{tag}"))
    engine.fetch(url)
    engine.clock.advance(10)
    assert engine.fetch(url, method="HEAD").cache == "miss"
    assert said(engine.fetch(url)) == [expected]
