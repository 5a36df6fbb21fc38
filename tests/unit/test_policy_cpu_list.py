"""CPU lists: what the kernel writes is read; what it would not write is nothing at all, never a part of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.cpu_list import format_cpus, parse_cpus


@given(st.frozensets(st.integers(0, 9_999), max_size=50))
def test_it_reads_back(numbers: frozenset[int]) -> None:
    assert parse_cpus(format_cpus(numbers)) == numbers


@given(st.frozensets(st.integers(0, 300), min_size=1, max_size=50))
def test_its_runs_are_as_long_as_can_be(numbers: frozenset[int]) -> None:
    bounds = [part.split("-") for part in format_cpus(numbers).split(",")]
    assert all(int(high[-1]) + 1 < int(low[0]) for high, low in pairwise(bounds))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0", {0}),
        ("0-2,5", {0, 1, 2, 5}),
        ("3-3", {3}),
        ("0-4,9\n", {0, 1, 2, 3, 4, 9}),
        ("2,0-3", {0, 1, 2, 3}),
        ("", set()),
        ("\n", set()),
    ],
)
def test_what_the_kernel_writes(text: str, numbers: set[int]) -> None:
    assert parse_cpus(text) == numbers


@pytest.mark.parametrize("text", ["3-1", "0,3-1", "0,", ",0", "0,,1", "0, 1", "0-", "-0", "0-1-2", "a", "٣", "0,x"])
def test_anything_else_is_the_empty_set(text: str) -> None:
    assert parse_cpus(text) == frozenset()
