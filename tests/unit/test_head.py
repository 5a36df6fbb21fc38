"""Heads, held to http.client's own parser."""

from __future__ import annotations

import http.client
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.fetching.head import (
    _KNOWN_LINES,
    _LONGEST_KNOWN_BYTES,
    _KnownLines,
    final_head,
    headers_of,
    is_final,
    joined_headers_of,
    names_header,
    reason_of,
    status_of,
    version_of,
)

TOKEN = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=12).map(str.encode)
# Whatever libcurl lets through: no CR, LF or NUL.
VALUE = st.binary(max_size=30).map(lambda value: value.translate(None, b"\r\n\0"))
FIELD = st.tuples(TOKEN, st.sampled_from([b"", b" ", b"  ", b"\t"]), VALUE, st.sampled_from([b"\r\n", b"\n"]))
FOLDED = st.lists(FIELD, max_size=8)


def lines_of(fields: list[tuple[bytes, bytes, bytes, bytes]]) -> list[bytes]:
    return [name + b":" + space + value + end for name, space, value, end in fields]


@given(FOLDED)
@example([(b"X", b" ", b"\x85\xa0\x1c\x0b\x0c", b"\r\n")])
def test_headers_are_those_of_http_client(fields: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
    lines = lines_of(fields)
    theirs = http.client.parse_headers(io.BytesIO(b"".join(lines) + b"\r\n"))
    ours = headers_of([b"HTTP/1.1 200 OK\r\n", *lines, b"\r\n"])
    wanted = list(theirs.items())
    got: dict[str, list[str]] = {}
    for name in ours:
        got[name.lower()] = ours.getlist(name)
    expected: dict[str, list[str]] = {}
    for name, value in wanted:
        expected.setdefault(name.lower(), []).append(value)
    assert got == expected


@given(FOLDED)
def test_joined_headers_are_the_same_under_lower_case_names(fields: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
    head = [b"HTTP/1.1 200 OK\r\n", *lines_of(fields), b"\r\n"]
    headers = headers_of(head)
    for _ in range(2):  # their lines are known the second time
        assert joined_headers_of(head) == {name.lower(): ", ".join(headers.getlist(name)) for name in headers}


def test_known_lines_are_bounded() -> None:
    known = _KnownLines(lambda line: (line.decode(), ""))
    for number in range(3 * _KNOWN_LINES):
        assert known[b"%d" % number] == (str(number), "")
        assert len(known) <= _KNOWN_LINES
    long = b"x" * (_LONGEST_KNOWN_BYTES + 1)
    assert known[long] == (long.decode(), "")
    assert long not in known


@given(FOLDED, TOKEN)
def test_a_header_is_named_exactly_if_it_is_there(
    fields: list[tuple[bytes, bytes, bytes, bytes]], other: bytes
) -> None:
    head = [b"HTTP/1.1 200 OK\r\n", *lines_of(fields), b"\r\n"]
    headers = headers_of(head)
    for name in {name for name, *_ in fields} | {other}:
        assert names_header(head, name.lower()) == (name.decode() in headers)


BLOCK = FOLDED.map(lines_of)


@given(
    st.lists(st.tuples(st.sampled_from([100, 102, 103, 199]), BLOCK), max_size=3),
    st.sampled_from([200, 204, 302, 404, 599, 999, 101]),
    BLOCK,
    st.one_of(st.none(), BLOCK),
    st.sampled_from([b"\r\n", b"\n"]),
)
def test_the_final_head_is_found_among_interim_answers_and_trailers(
    interim: list[tuple[int, list[bytes]]],
    status: int,
    head: list[bytes],
    trailers: list[bytes] | None,
    end: bytes,
) -> None:
    lines: list[bytes] = []
    for code, block in interim:
        lines += [b"HTTP/1.1 %d X\r\n" % code, *block, end]
    final = [b"HTTP/1.1 %d Fine\r\n" % status, *head, end]
    lines += final
    if trailers is not None:
        lines += [b"HTTP/1.1 500 a: trailer that looks like an answer\r\n", *trailers, end]
    found = final_head(lines)
    assert list(found) == final
    assert (status_of(found), reason_of(found), version_of(found)) == (status, "Fine", 11)
    # Cut anywhere before its end there is none.
    for size in range(len(lines)):
        cut = list(final_head(lines[:size]))
        assert cut in ([], final)
        assert not cut or size >= sum(len(block) + 2 for _, block in interim) + len(final)


@given(st.lists(st.binary(max_size=20), max_size=6))
@example([b"HTTP/\r\n", b"\r\n"])
@example([b"HTTP/2\r\n", b"\r\n"])
@example([b"\r\n", b"\r\n"])
@example([b"HTTP/1.1 \xb2\xb2\xb2\r\n", b"\r\n"])
def test_whatever_comes_nothing_is_raised(lines: list[bytes]) -> None:
    head = final_head(lines)
    if head:
        assert is_final(head[0])
        headers_of(head), reason_of(head)
    assert isinstance(names_header(lines, b"a"), bool)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"HTTP/1.1 200 OK\r\n", 200),
        (b"HTTP/1.0 404\r\n", 404),
        (b"HTTP/2 204 \r\n", 204),
        (b"HTTP/3 999\r\n", 999),
        (b"HTTP/1.1 099 X\r\n", 99),
        (b"HTTP/1.1\r\n", 0),
        (b"nothing\r\n", 0),
        (b"\r\n", 0),
        (b"", 0),
    ],
)
def test_the_status(line: bytes, status: int) -> None:
    assert status_of([line]) == status
    assert is_final(line) == (status >= 200)
