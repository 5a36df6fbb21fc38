from __future__ import annotations

from app.policy.sharding import Shard
from workers.black_box import BlackBox
from workers.blame import BARREN_DEATHS, REQUEST_DEATHS, Blame

SHARD = Shard(1, 10, [b""] * 10)
OTHER = Shard(2, 20, [b""] * 10)


def test_a_request_is_condemned_after_some_deaths() -> None:
    blame = Blame()
    for death in range(REQUEST_DEATHS):
        assert blame.condemned(SHARD) == frozenset()
        blame.died([12], {1})
        assert blame.suspects(SHARD) == (frozenset({12}) if death < REQUEST_DEATHS - 1 else frozenset())
    assert blame.condemned(SHARD) == {12}
    assert blame.condemned(OTHER) == blame.suspects(OTHER) == frozenset()


def test_of_several_that_were_running_only_those_seen_before_are_blamed_again() -> None:
    blame = Blame()
    blame.died([12, 13], {1})
    assert blame.suspects(SHARD) == {12, 13}
    for _ in range(REQUEST_DEATHS - 1):
        blame.died([12, 25], {1, 2})
    assert blame.condemned(SHARD) == {12}
    assert blame.suspects(SHARD) == {13}
    assert blame.suspects(OTHER) == frozenset()


def test_a_shard_without_progress_is_given_up_in_the_end() -> None:
    blame = Blame()
    blame.taken_up(1, 4)
    for _ in range(BARREN_DEATHS):
        assert not blame.gives_up(1)
        blame.died([], {1, 2})
        blame.taken_up(1, 4)
    assert blame.gives_up(1)
    assert not blame.gives_up(2)


def test_progress_clears_a_shard() -> None:
    blame = Blame()
    blame.taken_up(1, 0)
    for total in range(1, 50):
        blame.died([], {1})
        blame.taken_up(1, total)
    assert not blame.gives_up(1)


def test_nobody_is_blamed_for_shards_that_were_only_queued() -> None:
    blame = Blame()
    for _ in range(50):
        blame.died([], set())
        blame.taken_up(1, 0)
    assert not blame.gives_up(1)


def test_the_black_box_tells_who_was_running() -> None:
    box = BlackBox()
    first, second, third = box.take(0), box.take(2**40, 3), box.take(7, 1)
    assert box.read() == [(0, 0), (7, 1), (2**40, 3)]
    box.give_back(third)
    assert box.read() == [(0, 0), (2**40, 3)]
    box.give_back(first)
    box.give_back(second)
    assert box.read() == []
    box.close()


def test_a_full_black_box_takes_no_more_notes() -> None:
    box = BlackBox()
    places = [box.take(index) for index in range(8200)]
    assert len(box.read()) == 8192
    for place in places:
        box.give_back(place)
    assert box.read() == []
    box.close()
