from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.policy.concurrency import ConcurrencyLimit


def test_a_healthy_origin_keeps_its_ceiling() -> None:
    limit = ConcurrencyLimit(8)
    for _ in range(100):
        limit.answered(limit.window)
    assert limit.limit == 8
    assert limit.is_at_ceiling


def test_a_window_counts_once() -> None:
    limit = ConcurrencyLimit(8)
    window = limit.window
    for _ in range(8):
        limit.overloaded(window)
    assert limit.limit == 4
    for _ in range(100):
        limit.answered(window)
    assert limit.limit == 4, "what began before the halving says nothing of the new limit"
    limit.overloaded(limit.window)
    assert limit.limit == 2


def test_it_recovers_by_one_after_each_window() -> None:
    limit = ConcurrencyLimit(8)
    limit.overloaded(0)
    seen = []
    while not limit.is_at_ceiling:
        limit.answered(limit.window)
        seen.append(limit.limit)
    assert [seen.count(n) for n in (4, 5, 6, 7)] == [3, 5, 6, 7]  # the fourth answer is the one that makes it 5


@given(st.integers(1, 100), st.lists(st.none() | st.integers(0, 3)))
def test_it_stays_between_one_and_its_ceiling(ceiling: int, signs: list[int | None]) -> None:
    limit = ConcurrencyLimit(ceiling)
    for behind in signs:
        if behind is None:
            limit.answered(limit.window)
        else:
            limit.overloaded(limit.window - behind)
            limit.answered(limit.window - behind)
        assert 1 <= limit.limit <= ceiling
    for _ in range(ceiling * ceiling):
        limit.answered(limit.window)
    assert limit.is_at_ceiling
