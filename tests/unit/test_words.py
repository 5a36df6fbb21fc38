"""What a child writes to its standard error, as its parent reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from workers.words import Words


@pytest.fixture
def pipe() -> Iterator[tuple[Words, int]]:
    """And the child's end."""
    words = Words()
    with words.given() as writer:
        end = os.dup(writer)
    yield words, end
    os.close(end)


def test_whole_lines_at_once_and_the_rest_at_the_end(pipe: tuple[Words, int]) -> None:
    words, end = pipe
    assert words.lines() == ([], False)
    os.write(end, b"one\n\ntw")
    assert words.lines() == (["one", ""], False)
    assert words.lines() == ([], False)
    os.write(end, b"o\nthree")
    assert words.lines() == (["two"], False)
    assert words.last() == ["three"]


def test_what_was_written_over_is_shown_as_it_was_last(pipe: tuple[Words, int]) -> None:
    words, end = pipe
    os.write(end, b"\r10 %\r20 %\nwindows\r\n\xff\xc3\xa9\n")
    assert words.lines() == (["20 %", "windows", "\\xffé"], False)
    assert words.last() == []


def test_a_line_without_an_end_comes_in_pieces(pipe: tuple[Words, int]) -> None:
    words, end = pipe
    os.write(end, b"x" * 30_000 + b"\n")
    found: list[str] = []
    while "".join(found) != "x" * 30_000:
        lines, _ = words.lines()
        assert all(len(line) <= 3 * 8192 for line in lines)
        found += lines
    assert words.last() == []


def test_nobody_can_write_any_more() -> None:
    words = Words()
    with words.given() as writer:
        os.write(writer, b"said\nlast")
    assert words.lines() == (["said"], False)
    assert words.lines() == (["last"], True)
    assert words.last() == []


def test_all_that_is_left(pipe: tuple[Words, int]) -> None:
    """As much as the pipe holds, though a child that is gone has left somebody who could still write."""
    words, end = pipe
    os.write(end, b"line\n" * 13_000)
    words.lines()
    assert len(words.last()) > 10_000
