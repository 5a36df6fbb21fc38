from __future__ import annotations

import pytest

from app.errors import OutputError, UsageError
from tests.support.batch_children import StubChild
from workers.drain import STEP_CANCEL, STEP_DRAIN, STEP_KILL
from workers.messages import Drain
from workers.stopping import Stopping

LIMIT_S = 3600.0


class Scene:
    """One child that works, one that still imports, and what was said."""

    def __init__(self) -> None:
        self.ready, self.unready = StubChild(), StubChild(is_ready=False)
        self.said: list[str] = []
        self.stopping = Stopping([self.ready.child, self.unready.child], self.said.append, LIMIT_S)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_three_steps(scene: Scene) -> None:
    stopping = scene.stopping
    stopping.obey(0)
    assert not stopping.has_begun
    assert stopping.wait_s(9.0) == 9.0
    for _ in range(2):
        stopping.obey(STEP_DRAIN)
    assert stopping.has_begun
    assert scene.ready.sent == [Drain(LIMIT_S)]
    assert (scene.ready.kills, scene.unready.kills) == (0, 1)
    assert 9.0 < stopping.wait_s(2 * LIMIT_S) <= LIMIT_S + 1
    stopping.obey(STEP_CANCEL)
    assert scene.ready.sent[1:] == [Drain(0.0)]
    assert stopping.wait_s(9.0) < 9.0, "one that is stuck is not waited for"
    stopping.obey(STEP_KILL)
    assert scene.ready.kills == 1
    assert stopping.wait_s(9.0) == 9.0
    assert [line.split(":")[1].split()[0] for line in scene.said] == ["draining", "letting"]


def test_two_steps_at_once_are_the_second(scene: Scene) -> None:
    scene.stopping.obey(STEP_CANCEL)
    assert scene.ready.sent == [Drain(0.0)]
    assert len(scene.said) == 1


def test_the_first_problem_counts_and_stops_all(scene: Scene) -> None:
    first = UsageError("no such stage")
    scene.stopping.stop_for(first)
    scene.stopping.stop_for(OutputError("disk full"))
    assert scene.stopping.problem is first
    assert scene.stopping.has_begun
    assert scene.stopping.step == 0, "nobody has asked for it"
    assert scene.ready.sent == [Drain(0.0)]
    assert scene.said == []
