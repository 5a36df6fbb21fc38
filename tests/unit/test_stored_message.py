from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import FetchError
from app.fetching.head import status_of
from app.fetching.stored_message import answer_of, is_still_coded
from app.model.outcome import ErrorKind
from tests.support.warcs import answer

CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("message", "status", "body"),
    [
        (answer(b"body", "A: b"), 200, b"body"),
        (answer(b"body").replace(b"\r\n", b"\n"), 200, b"body"),
        (b"HTTP/1.1 204 No Content\r\nA: b", 204, b""),
        (b"HTTP/1.1 204 No Content\r\nA: b\r\n", 204, b""),
        (b"HTTP/2 200\r\n\r\nx", 200, b"x"),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + answer(b"x", status="404 Not Found"), 404, b"x"),
        (answer(b"4\r\nbody\r\n3;ext=1\r\n, x\r\n0\r\n\r\n", CHUNKED), 200, b"body, x"),
        (answer(b"4\nbody\n0\n\n", CHUNKED), 200, b"body"),
        (answer(b"4\r\nbody\r\n0\r\nTrailer: x\r\n\r\n", CHUNKED), 200, b"body"),
        # Undone by whoever stored it.
        (answer(b"<p>body", CHUNKED), 200, b"<p>body"),
        (answer(b"", CHUNKED), 200, b""),
        (answer(b"\r\n\r\nbody\r\n\r\n"), 200, b"\r\n\r\nbody\r\n\r\n"),
    ],
)
def test_what_is_stored(message: bytes, status: int, body: bytes) -> None:
    got = answer_of(message)
    assert (status_of(got.head), got.body) == (status, body)
    assert got.head[-1] == b"\r\n"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b"", ErrorKind.BAD_RESPONSE),
        (b"<html>", ErrorKind.BAD_RESPONSE),
        (b"HTTP/1.1 103 Early\r\n\r\n", ErrorKind.BAD_RESPONSE),
        (b"HTTP/1.1 103 Early\r\n\r\n<html>", ErrorKind.BAD_RESPONSE),
        (answer(b"", *(f"A: {n}" for n in range(6000))), ErrorKind.BAD_RESPONSE),
        (answer(b"", f"A: {'x' * 400_000}"), ErrorKind.BAD_RESPONSE),
        (answer(b"4\r\nbo", CHUNKED), ErrorKind.CONNECTION_LOST),
        (answer(b"4\r\nbody\r\nx", CHUNKED), ErrorKind.CONNECTION_LOST),
    ],
)
def test_what_is_no_response(message: bytes, kind: ErrorKind) -> None:
    with pytest.raises(FetchError) as caught:
        answer_of(message)
    assert caught.value.kind is kind


def test_a_truncated_body_is_taken_as_it_is() -> None:
    assert answer_of(answer(b"4\r\nbody\r\n9\r\nmore", CHUNKED), is_truncated=True).body == b"bodymore"


@pytest.mark.parametrize(
    ("coding", "body", "is_coded"),
    [
        ("gzip", gzip.compress(b"x"), True),
        ("gzip", b"<p>", False),
        ("br, gzip", b"<p>", False),
        ("br", b"<p>", True),
        ("gzip", b"", True),
        ("", b"<p>", False),
    ],
)
def test_whether_a_coding_is_still_there(coding: str, body: bytes, is_coded: bool) -> None:
    assert is_still_coded(answer_of(answer(body, f"Content-Encoding: {coding}"))) is is_coded


@given(
    st.binary(),
    st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]),
)
def test_any_bytes_are_an_answer_or_a_failure(wild: bytes, head: bytes) -> None:
    try:
        got = answer_of(head + wild)
    except FetchError:
        return
    assert status_of(got.head) >= 101
    is_still_coded(got)
