"""The law of the line: short ones first, nobody starves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.feedback import LEVELS, SENIOR_TURN, FeedbackQueue, level_of, turns_at

arrivals = st.lists(st.integers(0, LEVELS - 1), max_size=60)


def test_levels_double() -> None:
    used = [0, 0.9, 1, 1.9, 2, 3.9, 4, 8, 16, 31.9, 32, 1e9]
    assert [level_of(slices * 0.002, 0.002) for slices in used] == [0, 0, 1, 1, 2, 2, 3, 4, 5, 5, 6, 6]


def test_an_empty_line_has_nobody() -> None:
    with pytest.raises(IndexError):
        FeedbackQueue[str]().pop()


def test_lower_levels_come_first_and_in_order() -> None:
    queue: FeedbackQueue[str] = FeedbackQueue()
    for name, level in [("long", 3), ("b", 1), ("new", 0), ("c", 1)]:
        queue.push(name, level)
    assert [queue.pop() for _ in range(3)] == ["new", "b", "c"]


def test_now_and_then_a_turn_is_the_longest_waiting_ones() -> None:
    queue: FeedbackQueue[str] = FeedbackQueue()
    queue.push("long", 6)
    new = [f"new {number}" for number in range(SENIOR_TURN)]
    for name in new:
        queue.push(name, 0)
    assert [queue.pop() for _ in range(SENIOR_TURN + 1)] == [*new[:-1], "long", new[-1]]


def test_who_goes_on_stands_before_its_level_and_behind_lower_ones() -> None:
    queue: FeedbackQueue[str] = FeedbackQueue()
    queue.push("other", 3)
    assert queue.push("mine", 3, goes_on=True)
    assert not queue.push("second", 3, goes_on=True), "one at a time"
    queue.push("short", 0)
    assert [queue.pop() for _ in range(3)] == ["short", "mine", "other"]
    assert queue.pop() == "second"


def test_a_senior_is_not_the_one_who_goes_on() -> None:
    queue: FeedbackQueue[str] = FeedbackQueue()
    queue.push("waits", 6)
    for _ in range(SENIOR_TURN - 1):
        queue.push("goes on", 0, goes_on=True)
        assert queue.pop() == "goes on"
    queue.push("goes on", 0, goes_on=True)
    assert queue.pop() == "waits"


def test_long_ones_go_on_for_longer() -> None:
    assert [turns_at(level) for level in range(LEVELS)] == [1, 2, 4, 8, 8, 8, 8]


@given(arrivals)
def test_everybody_gets_one_turn(levels: list[int]) -> None:
    queue: FeedbackQueue[int] = FeedbackQueue()
    for number, level in enumerate(levels):
        queue.push(number, level)
    assert queue.length == len(levels)
    assert sorted(queue.pop() for _ in levels) == list(range(len(levels)))
    assert queue.length == 0


@given(arrivals, st.data())
def test_who_leaves_gets_no_turn(levels: list[int], data: st.DataObject) -> None:
    queue: FeedbackQueue[int] = FeedbackQueue()
    for number, level in enumerate(levels):
        queue.push(number, level)
    gone = data.draw(st.sets(st.sampled_from(range(len(levels))))) if levels else set()
    for number in gone:
        queue.discard(number)
        queue.discard(number)
    rest = set(range(len(levels))) - gone
    assert {queue.pop() for _ in rest} == rest


@given(
    st.lists(st.tuples(st.integers(0, LEVELS - 1), st.integers(0, 3)), max_size=80),
    st.integers(0, LEVELS - 1),
    st.booleans(),
)
def test_a_newcomer_waits_for_a_bounded_number_of_turns(
    crowd: list[tuple[int, int]], level: int, goes_on: bool
) -> None:
    """Whatever comes after it: here, at each turn some more at the lowest level, and some that go on."""
    queue: FeedbackQueue[str] = FeedbackQueue()
    for number, (at, turns) in enumerate(crowd):
        queue.push(f"before {number}", at)
        for _ in range(min(turns, queue.length - 1)):
            queue.pop()
    ahead = queue.length
    queue.push("me", level)
    for turn in range(1, SENIOR_TURN * (ahead + 1) + 1):
        if queue.pop() == "me":
            break
        queue.push(f"later {turn} a", 0)
        queue.push(f"later {turn} b", 0, goes_on=goes_on)
    else:
        pytest.fail("starved")


@given(st.integers(1, 200))
def test_a_short_one_waits_for_two_turns_at_most_behind_long_ones(crowd: int) -> None:
    queue: FeedbackQueue[str] = FeedbackQueue()
    for number in range(crowd):
        queue.push(f"long {number}", LEVELS - 1)
    for _ in range(crowd * 2):
        queue.push(queue.pop(), LEVELS - 1)
    queue.push("short", 0)
    assert "short" in [queue.pop(), queue.pop()]
