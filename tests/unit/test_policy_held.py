"""Held: the buckets' promise, quantiles, and sums."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.held import Held, bucket_of, top_of

DURATIONS = st.floats(min_value=1e-9, max_value=1e6)


def counted(seconds: list[float], slice_s: float = 0.0) -> Held:
    """As app.cpu.statistics counts them."""
    held = Held()
    for one in seconds:
        more = Held(1, {}) if one <= slice_s else Held(0, {bucket_of(one): 1})
        held = Held.sum([held, more])
    return held


@given(DURATIONS)
def test_a_buckets_top_is_never_too_low_and_at_most_a_quarter_too_high(seconds: float) -> None:
    top_s = top_of(bucket_of(seconds))
    assert seconds < top_s <= seconds * 1.25


@given(DURATIONS, DURATIONS)
def test_longer_ones_are_in_no_lower_bucket(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert bucket_of(low) <= bucket_of(high)


@given(st.lists(DURATIONS, min_size=1, max_size=60), st.integers(1, 1000))
def test_a_quantile_is_of_the_right_piece(seconds: list[float], thousandths: int) -> None:
    share = thousandths / 1000
    exact_s = sorted(seconds)[math.ceil(len(seconds) * share) - 1]
    found_s = counted(seconds).quantile_s(share)
    assert exact_s < found_s <= exact_s * 1.25


@given(st.lists(DURATIONS, min_size=1, max_size=60), DURATIONS, st.integers(1, 1000))
def test_a_quantile_among_short_pieces_is_none(seconds: list[float], slice_s: float, thousandths: int) -> None:
    share = thousandths / 1000
    exact_s = sorted(seconds)[math.ceil(len(seconds) * share) - 1]
    assert (counted(seconds, slice_s).quantile_s(share) == 0.0) == (exact_s <= slice_s)


@given(st.lists(st.lists(DURATIONS, max_size=20), max_size=5), st.floats(0, 1))
def test_a_sum_is_as_if_all_had_been_counted_at_one_place(parts: list[list[float]], slice_s: float) -> None:
    together = Held.sum(counted(part, slice_s) for part in parts)
    assert together == counted([one for part in parts for one in part], slice_s)
    assert together.count == sum(map(len, parts))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99, 1.0])
def test_of_nothing_there_is_no_quantile(share: float) -> None:
    assert Held().quantile_s(share) == 0.0


def test_one_long_piece_of_a_hundred_shows_beyond_the_99th() -> None:
    held = Held(99, {bucket_of(0.3): 1})
    assert held.quantile_s(0.99) == 0.0
    assert held.quantile_s(1.0) == pytest.approx(0.3, rel=0.25)
    assert Held(98, {bucket_of(0.3): 2}).quantile_s(0.99) > 0.3
