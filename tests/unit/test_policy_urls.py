from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest
from app.model.outcome import ErrorKind
from app.policy.urls import Origin, origin_of, read_closely


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://example.com", Origin("http", "example.com", 80)),
        ("https://EXAMPLE.com/a?b#c", Origin("https", "example.com", 443)),
        ("HTTP://user:secret@example.com:8080/", Origin("http", "example.com", 8080)),
        ("http://[::1]:81/x", Origin("http", "::1", 81)),
        ("http://example.com./", Origin("http", "example.com.", 80)),
        ("http://127.0.0.1:0/", Origin("http", "127.0.0.1", 0)),
    ],
)
def test_origin(url: str, origin: Origin) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("ftp://example.com/", ErrorKind.UNSUPPORTED_SCHEME),
        ("file:///etc/passwd", ErrorKind.INVALID_REQUEST),
        ("gopher://example.com", ErrorKind.UNSUPPORTED_SCHEME),
        ("example.com/path", ErrorKind.INVALID_REQUEST),
        ("//example.com/", ErrorKind.INVALID_REQUEST),
        ("http://", ErrorKind.INVALID_REQUEST),
        ("http://:80/", ErrorKind.INVALID_REQUEST),
        ("http://example.com:port/", ErrorKind.INVALID_REQUEST),
        ("http://example.com:99999/", ErrorKind.INVALID_REQUEST),
        ("http://exa mple.com/", ErrorKind.INVALID_REQUEST),
        ("http://example.com/\r\nHost: other", ErrorKind.INVALID_REQUEST),
        ("http://[::1", ErrorKind.INVALID_REQUEST),
        ("http://a..example/", ErrorKind.INVALID_REQUEST),
        ("http://./", ErrorKind.INVALID_REQUEST),
        ("http://" + "a" * 64 + ".example/", ErrorKind.INVALID_REQUEST),
        ("http://example.com/" + "a" * 70_000, ErrorKind.INVALID_REQUEST),
        ("", ErrorKind.INVALID_REQUEST),
    ],
)
def test_what_is_no_url(url: str, kind: ErrorKind) -> None:
    with pytest.raises(InvalidRequest) as caught:
        origin_of(url)
    assert caught.value.kind is kind


@given(st.text() | st.text().map("http://{}".format))
def test_any_text_is_an_origin_or_refused(url: str) -> None:
    try:
        origin = origin_of(url)
    except InvalidRequest:
        return
    assert origin.scheme in {"http", "https"}
    assert origin.host
    assert 0 <= origin.port <= 65535


PARTS = st.text(st.sampled_from("aZ09-._:@/?#[]%\\ \té１"), max_size=12) | st.just("a" * 64)


@given(st.builds("{}{}{}".format, st.sampled_from(["http://", "https://", "HTTP://", "ftp://"]), PARTS, PARTS))
def test_the_quick_reading_is_the_close_one(url: str) -> None:
    read: list[object] = []
    for reading in (origin_of, read_closely):
        try:
            read.append(reading(url))
        except InvalidRequest as error:
            read.append(error.kind)
    assert read[0] == read[1]


def test_origins_print_as_people_write_them() -> None:
    assert str(origin_of("http://[::1]:81/x")) == "http://[::1]:81"
    assert str(origin_of("https://a.example/")) == "https://a.example:443"
