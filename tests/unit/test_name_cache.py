from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy.name_cache import NameCache, Resolution

FOUND = Resolution(("192.0.2.1", "2001:db8::1"))
NO_SUCH_NAME = Resolution(reason="no such name")
TEMPORARY = Resolution(reason="no server answered", lasting=False)


def cache(max_entries: int = 10, negative_ttl_s: float = 5.0) -> NameCache:
    return NameCache(ttl_s=60.0, negative_ttl_s=negative_ttl_s, max_entries=max_entries)


@pytest.mark.parametrize(
    ("resolution", "age_s", "kept"),
    [
        (FOUND, 0.0, True),
        (FOUND, 59.9, True),
        (FOUND, 60.0, False),
        (NO_SUCH_NAME, 0.0, True),
        (NO_SUCH_NAME, 4.9, True),
        (NO_SUCH_NAME, 5.0, False),
        (TEMPORARY, 0.0, False),
    ],
)
def test_how_long_a_resolution_is_kept(resolution: Resolution, age_s: float, kept: bool) -> None:
    names = cache()
    names.put("a.example", resolution, 1000.0)
    assert names.get("a.example", 1000.0 + age_s) == (resolution if kept else None)
    assert len(names) == kept


def test_a_negative_lifetime_of_zero_keeps_no_failure() -> None:
    names = cache(negative_ttl_s=0.0)
    names.put("a.example", NO_SUCH_NAME, 0.0)
    assert len(names) == 0


def test_being_asked_for_does_not_prolong_a_life() -> None:
    names = cache()
    names.put("a.example", FOUND, 0.0)
    assert names.get("a.example", 59.0) is FOUND
    assert names.get("a.example", 60.0) is None


def test_a_new_resolution_takes_the_place_of_the_old_one() -> None:
    names = cache()
    names.put("a.example", NO_SUCH_NAME, 0.0)
    names.put("a.example", FOUND, 1.0)
    assert names.get("a.example", 60.9) is FOUND
    assert len(names) == 1


def test_a_temporary_failure_leaves_what_is_known() -> None:
    names = cache()
    names.put("a.example", FOUND, 0.0)
    names.put("a.example", TEMPORARY, 1.0)
    assert names.get("a.example", 2.0) is FOUND


def test_the_name_that_was_asked_for_longest_ago_makes_room() -> None:
    names = cache(max_entries=2)
    names.put("a.example", FOUND, 0.0)
    names.put("b.example", FOUND, 0.0)
    assert names.get("a.example", 1.0)
    names.put("c.example", FOUND, 1.0)
    assert [bool(names.get(f"{letter}.example", 1.0)) for letter in "abc"] == [True, False, True]


@pytest.mark.parametrize("limits", [(0.0, 1.0, 1), (1.0, -1.0, 1), (1.0, 1.0, 0)])
def test_impossible_limits_are_refused(limits: tuple[float, float, int]) -> None:
    ttl_s, negative_ttl_s, max_entries = limits
    with pytest.raises(ValueError, match="must be above 0"):
        NameCache(ttl_s=ttl_s, negative_ttl_s=negative_ttl_s, max_entries=max_entries)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcd"),
            st.sampled_from([FOUND, NO_SUCH_NAME, TEMPORARY, None]),
            st.integers(0, 40),
        )
    ),
    st.integers(1, 4),
)
def test_it_never_tells_what_is_outlived_or_was_not_put(
    steps: list[tuple[str, Resolution | None, int]], max_entries: int
) -> None:
    """Against a plain table without a bound: the cache may have forgotten more, never less."""
    names, now_s = cache(max_entries), 0.0
    table: dict[str, tuple[Resolution, float]] = {}
    for name, resolution, pause_s in steps:
        now_s += pause_s
        if resolution is not None:
            names.put(name, resolution, now_s)
            if resolution is not TEMPORARY:
                table[name] = (resolution, now_s + (60.0 if resolution is FOUND else 5.0))
        else:
            known = names.get(name, now_s)
            good = name in table and now_s < table[name][1]
            assert known is None or (good and known is table[name][0])
            if good and len(table) <= max_entries:
                assert known is not None
        assert len(names) <= max_entries
