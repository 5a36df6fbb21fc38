from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.policy.heaviest import Heaviest, Weighed, merged

STREAMS = st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), st.floats(0, 100)), max_size=300)


@given(STREAMS, st.integers(2, 20))
def test_the_heavy_ones_are_certainly_there_and_no_figure_is_too_large(
    stream: list[tuple[str, float]], places: int
) -> None:
    heaviest = Heaviest(places)
    truth: Counter[str] = Counter()
    for key, weight in stream:
        heaviest.add(key, weight)
        truth[key] += weight
    assert len(heaviest) <= places
    told = {weighed.key: weighed for weighed in heaviest.most(places)}
    for key, weighed in told.items():
        assert weighed.weight <= truth[key] + 1e-9
        assert weighed.count <= sum(key == other for other, _ in stream)
    for key, weight in truth.items():
        if weight > 2 * sum(truth.values()) / places + 1e-9:
            assert key in told


def test_with_room_for_all_it_is_exact() -> None:
    heaviest = Heaviest(3)
    for key, weight in [("a", 1.0), ("b", 5.0), ("a", 1.5), ("c", 1.0)]:
        heaviest.add(key, weight)
    assert heaviest.most(2) == [Weighed("b", 1, 5.0), Weighed("a", 2, 2.5)]


def test_new_keys_without_end_leave_the_heavy_one() -> None:
    heaviest = Heaviest(16)
    for n in range(10_000):
        heaviest.add(f"light-{n}", 1.0)
        if n % 4 == 0:
            heaviest.add("heavy", 1.0)
    assert heaviest.most(1)[0] == Weighed("heavy", 2500, 2500.0)


def test_what_several_have_told_is_added_up() -> None:
    told = [[Weighed("a", 1, 1.0), Weighed("b", 1, 4.0)], [Weighed("a", 2, 5.0)], []]
    assert merged(told, 2) == [Weighed("a", 3, 6.0), Weighed("b", 1, 4.0)]
    assert merged(told, 1) == [Weighed("a", 3, 6.0)]
