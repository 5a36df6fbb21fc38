from __future__ import annotations

import math

import pytest

from benchmarks.cpu.lateness import BUCKETS, LEAST_S, PER_DECADE, begin_of, bucket_of, histogram, quantile, with_missed


def test_a_stall_makes_the_ticks_late_that_it_swallowed() -> None:
    assert with_missed([0.0035]) == pytest.approx([0.0035, 0.0025, 0.0015, 0.0005])


def test_a_tick_that_missed_none_counts_once() -> None:
    assert with_missed([0.0, 0.0004, 0.001]) == pytest.approx([0.0, 0.0004, 0.001])


def test_early_is_not_late() -> None:
    assert with_missed([-0.0002]) == [0.0]


def test_there_are_as_many_ticks_as_milliseconds() -> None:
    """One stall of 900 ms in a second, and good ticks before and after: p50 is about half of the stall."""
    late = with_missed([0.0] * 100 + [0.9])
    assert len(late) == 100 + 900
    assert quantile(late, 0.5) == pytest.approx(0.4, abs=0.002)
    assert quantile(late, 0.99) == pytest.approx(0.89, abs=0.002)


def test_quantiles_are_values_that_were_seen() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [quantile(values, share) for share in (0.0, 0.2, 0.21, 0.5, 0.99, 1.0)] == [1.0, 1.0, 2.0, 3.0, 5.0, 5.0]
    assert quantile([7.0], 0.99) == 7.0
    assert quantile([], 0.99) == 0.0


def test_p99_of_a_hundred_is_the_second_largest() -> None:
    assert quantile([float(value) for value in range(1, 101)], 0.99) == 99.0


def test_buckets_begin_where_they_say() -> None:
    for bucket in range(1, BUCKETS):
        assert bucket_of(begin_of(bucket)) == bucket
        assert bucket_of(begin_of(bucket) * 0.999) == bucket - 1
    assert begin_of(PER_DECADE) == pytest.approx(10 * LEAST_S)


def test_the_first_and_the_last_bucket_hold_the_rest() -> None:
    assert bucket_of(0.0) == bucket_of(LEAST_S) == 0
    assert bucket_of(1e9) == BUCKETS - 1


def test_a_histogram_loses_nothing() -> None:
    values = [0.0, 1e-5, 1e-3, 1.05e-3, 0.2, 1e6]
    counts = histogram(values)
    assert len(counts) == BUCKETS
    assert sum(counts) == len(values)
    assert counts[3 * PER_DECADE] == 2
    assert counts[math.floor(math.log10(0.2 / LEAST_S) * PER_DECADE)] == 1
