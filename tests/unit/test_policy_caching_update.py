"""What a 304, or an answer to HEAD, changes of what is stored. The headers are those of http-tests/cache-tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.caching_update import freshened, is_about, is_confirmed, stored_fields

UPDATED = [
    "Test-Header",
    "X-Test-Header",
    "Content-Foo",
    "X-Content-Foo",
    "Cache-Control",
    "Content-Location",
    "Content-Security-Policy",
    "Content-Type",
    "ETag",
    "Expires",
    "Set-Cookie",
    "X-Frame-Options",
]
NOT_UPDATED = ["Content-Length", "Content-Encoding", "Content-Range"]
NOT_STORED = [
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authentication-Info",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Transfer-Encoding",
    "Upgrade",
]


@pytest.mark.parametrize("name", UPDATED)
def test_304_update(name: str) -> None:
    stored = [("A", "1"), (name, "old"), ("B", "2"), (name, "older")]
    news = [(name.lower(), "new"), (name.lower(), "newer")]
    assert freshened(stored, news) == [("A", "1"), ("B", "2"), *news]
    assert freshened([("A", "1")], news) == [("A", "1"), *news]


@pytest.mark.parametrize("name", [*NOT_UPDATED, *NOT_STORED])
def test_304_no_update(name: str) -> None:
    stored = [("A", "1"), (name, "old")]
    assert freshened(stored, [(name.lower(), "new")]) == stored


@pytest.mark.parametrize("name", NOT_STORED)
def test_not_stored(name: str) -> None:
    assert stored_fields([("A", "1"), (name, "x"), ("B", "2")]) == [("A", "1"), ("B", "2")]


def test_what_connection_names_is_not_stored() -> None:
    fields = [("A", "1"), ("Connection", "close, X-Own"), ("x-own", "2")]
    assert stored_fields(fields) == [("A", "1")]
    assert freshened([("A", "1")], fields) == [("A", "1")]


def test_a_length_that_chunks_overrule_is_not_stored() -> None:
    fields = [("Content-Length", "5"), ("Transfer-Encoding", "chunked"), ("A", "1")]
    assert stored_fields(fields) == [("A", "1")]
    assert stored_fields([("Content-Length", "5")]) == [("Content-Length", "5")]


@pytest.mark.parametrize(
    ("stored", "news", "expected"),
    [
        ({"etag": '"a"'}, {"etag": '"a"'}, True),
        ({"etag": '"a"'}, {"etag": '"b"'}, False),
        ({"etag": 'W/"a"'}, {"etag": 'W/"a"'}, True),
        ({"etag": '"a"'}, {"etag": 'W/"a"'}, True),
        ({"etag": 'W/"a"'}, {"etag": '"a"'}, False),
        ({"etag": '"a"'}, {}, True),
        ({"last-modified": "x"}, {}, True),
        ({"last-modified": "x"}, {"last-modified": "x"}, True),
        ({"last-modified": "x"}, {"last-modified": "y"}, False),
        ({"last-modified": "x"}, {"etag": '"a"', "last-modified": "x"}, False),
        ({"etag": '"a"', "last-modified": "x"}, {"etag": '"a"', "last-modified": "y"}, True),
    ],
)
def test_about_what_a_304_is(stored: dict[str, str], news: dict[str, str], expected: bool) -> None:
    assert is_about(stored, news) == expected


@pytest.mark.parametrize(
    ("news", "expected"),
    [
        ({}, True),
        ({"etag": '"a"', "content-length": "5", "last-modified": "x"}, True),
        ({"etag": '"b"'}, False),
        ({"content-length": "6"}, False),
        ({"last-modified": "y"}, False),
    ],
)
def test_what_head_confirms(news: dict[str, str], expected: bool) -> None:
    assert is_confirmed({"etag": '"a"', "content-length": "5", "last-modified": "x"}, news) == expected


NAMES = st.sampled_from(["A", "a", "B", "ETag", "Content-Length", "Connection", "Date"])
FIELDS = st.lists(st.tuples(NAMES, st.sampled_from(["1", "2", "b", "close, a"])), max_size=8)


@given(FIELDS, FIELDS)
def test_an_update_is_made_once(stored: list[tuple[str, str]], news: list[tuple[str, str]]) -> None:
    once = freshened(stored, news)
    assert freshened(once, news) == once
    # What the news did not name is as it was.
    named = {name.lower() for name, _ in news}
    assert [f for f in once if f[0].lower() not in named] == [f for f in stored if f[0].lower() not in named]
