from __future__ import annotations

import pytest

from tests.support.batch_children import StubChild, StubFeed
from workers.blame import REQUEST_DEATHS
from workers.handout import Handout
from workers.messages import NoMoreShards, TakeShard


class Scene:
    """Two children, and shards that come when they are told to."""

    def __init__(self) -> None:
        self.feed = StubFeed()
        self.handout = Handout(self.feed.feed)
        self.one, self.other = StubChild(), StubChild()

    def hand_out(self) -> None:
        self.handout.hand_out([self.one.child, self.other.child])

    def want(self, child: StubChild, times: int = 1) -> None:
        for _ in range(times):
            self.handout.wants(child.child)

    def die(self, child: StubChild, *running: int) -> None:
        self.handout.gone(child.child)
        self.handout.died(child.child, running)
        child.shards, child.begun, child.sent = {}, set(), []


@pytest.fixture
def scene() -> Scene:
    return Scene()


def taken(child: StubChild) -> list[int]:
    return [message.shard.number for message in child.sent if isinstance(message, TakeShard)]


def test_whoever_began_first_does_not_take_all(scene: Scene) -> None:
    scene.feed.put(*range(9))
    scene.want(scene.one, 5)
    scene.hand_out()
    assert taken(scene.one) == [0, 1]
    scene.want(scene.other, 2)
    scene.hand_out()
    assert taken(scene.other) == [2, 3]
    assert taken(scene.one) == [0, 1, 4, 5]


def test_a_want_waits_until_there_is_something(scene: Scene) -> None:
    scene.want(scene.one)
    scene.hand_out()
    assert scene.one.sent == []
    scene.feed.put(0)
    scene.hand_out()
    scene.hand_out()
    assert taken(scene.one) == [0]


def test_all_wants_of_a_child_are_answered_by_one_dismissal(scene: Scene) -> None:
    scene.feed.is_exhausted = True
    scene.want(scene.one, 2)
    scene.hand_out()
    assert scene.one.sent == [NoMoreShards()]
    scene.want(scene.one)
    scene.hand_out()
    assert scene.one.sent == [NoMoreShards()], "what it wanted meanwhile"


def test_shards_of_the_dead_come_first_and_in_order(scene: Scene) -> None:
    scene.feed.put(0, 1, 2)
    scene.want(scene.one, 2)
    scene.hand_out()
    scene.feed.is_exhausted = True
    scene.die(scene.one)
    assert not scene.handout.is_over([scene.other.child])
    scene.want(scene.other, 2)
    scene.handout.hand_out([scene.other.child])
    assert taken(scene.other) == [0, 1]
    for number in (0, 1):
        scene.handout.finished(scene.other.child, number)
    assert scene.handout.is_over([scene.other.child])


def test_only_the_first_who_takes_a_shard_up_finds_an_earlier_runs_records(scene: Scene) -> None:
    scene.feed.put(0)
    scene.want(scene.one)
    scene.hand_out()
    assert scene.handout.taken_up(scene.one.child, 0, 7)
    scene.die(scene.one)
    scene.want(scene.other)
    scene.hand_out()
    assert not scene.handout.taken_up(scene.other.child, 0, 9)


def test_what_has_cost_a_child_its_life_is_told_to_the_next(scene: Scene) -> None:
    scene.feed.put(4)
    told = []
    for _ in range(REQUEST_DEATHS + 1):
        scene.want(scene.one)
        scene.hand_out()
        (message,) = scene.one.sent
        assert isinstance(message, TakeShard)
        told.append((set(message.suspects), set(message.condemned)))
        scene.handout.taken_up(scene.one.child, 4, 0)
        scene.die(scene.one, 4)
    assert told == [(set(), set()), ({4}, set()), ({4}, set()), (set(), {4})]
