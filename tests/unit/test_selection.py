from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UsageError
from workers.selection import Sample, Selection, parse_sample

LISTS = st.lists(st.sampled_from([b"http://a/", b"# note", b""]), max_size=200)


def is_entry(line: bytes) -> bool:
    return line.startswith(b"http")


def selected(selection: Selection, lines: list[bytes]) -> list[int]:
    found = list(selection.lines(lines, is_entry))
    assert len(found) == len(lines[: selection.limit]), "every line keeps its index"
    assert all(line in (b"", lines[index]) for index, line in enumerate(found))
    return [index for index, line in enumerate(found) if is_entry(line)]


@given(LISTS, st.integers(1, 100), st.integers(0, 5))
def test_a_number_is_exact_and_follows_from_the_seed(lines: list[bytes], number: int, seed: int) -> None:
    total = sum(map(is_entry, lines))
    selection = Selection(None, Sample(number=number), seed, total)
    assert len(selected(selection, lines)) == min(number, total)
    assert selected(selection, lines) == selected(selection, lines)


def test_every_entry_has_the_same_chance() -> None:
    lines = [b"http://a/"] * 10
    counts = [0] * 10
    for seed in range(2000):
        for index in selected(Selection(None, Sample(number=3), seed, 10), lines):
            counts[index] += 1
    # Binomial: mean 600, deviation 20; six of these.
    assert all(480 < count < 720 for count in counts), counts


def test_a_share() -> None:
    lines = [b"http://a/", b"# note"] * 10_000
    found = selected(Selection(None, Sample(share=0.1), 1), lines)
    assert 850 < len(found) < 1150  # 1,000, deviation 30
    assert all(index % 2 == 0 for index in found)


@given(LISTS, st.integers(1, 300))
def test_a_limit_counts_lines(lines: list[bytes], limit: int) -> None:
    assert selected(Selection(limit), lines) == [i for i, line in enumerate(lines[:limit]) if is_entry(line)]


@pytest.mark.parametrize(
    ("text", "sample"),
    [
        ("5", Sample(number=5)),
        ("1", Sample(number=1)),
        ("1.0", Sample(share=1.0)),
        ("0.25", Sample(share=0.25)),
        ("5%", Sample(share=0.05)),
    ],
)
def test_how_samples_are_written(text: str, sample: Sample) -> None:
    assert parse_sample(text) == sample


@pytest.mark.parametrize("text", ["", "0", "-1", "0.0", "1.01", "101%", "ten", "inf", "nan"])
def test_what_is_no_sample(text: str) -> None:
    with pytest.raises(UsageError):
        parse_sample(text)


def test_shards_of_a_sample_are_wider_but_not_without_end() -> None:
    assert Selection(None, Sample(share=0.1)).wider(1000) == 10_000
    assert Selection(None, Sample(share=1e-6)).wider(1000) == 64_000
    assert Selection(None, Sample(number=500), 0, 1000).wider(10) == 20
    assert Selection(7).wider(1000) == 1000
