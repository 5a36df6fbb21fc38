"""Overseers: a note stands while the stage's own code runs, and suspects run one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import gevent
import pytest
from gevent.event import Event

from app.engine.overseer import NOBODY
from workers.batch_overseer import BatchOverseer
from workers.black_box import BlackBox


@pytest.fixture
def box() -> Iterator[BlackBox]:
    made = BlackBox()
    yield made
    made.close()


def test_nobody_looks() -> None:
    assert NOBODY.around(1) is None
    NOBODY.ends(NOBODY.begins(1, "title"))


def test_a_note_tells_request_and_stage(box: BlackBox) -> None:
    overseer = BatchOverseer(box, ["title", "score"])
    first, second = overseer.begins(7, "score"), overseer.begins(3, "title")
    assert box.read() == [(3, 0), (7, 1)]
    overseer.ends(first)
    assert box.read() == [(3, 0)]
    overseer.ends(second)
    assert box.read() == []


def test_one_that_found_no_room_ends_as_others_do(box: BlackBox) -> None:
    overseer = BatchOverseer(box, ["title"])
    while (note := overseer.begins(1, "title")) is not None:
        assert isinstance(note, int)
    before = box.read()
    overseer.ends(note)
    assert box.read() == before


def test_suspects_run_one_at_a_time_and_others_as_they_come(box: BlackBox) -> None:
    overseer = BatchOverseer(box, ["title"])
    overseer.suspects |= {1, 2}
    gates = {index: Event() for index in (1, 2, 3)}
    inside: list[int] = []

    def stages(index: int) -> None:
        with overseer.around(index) or nullcontext():
            inside.append(index)
            gates[index].wait()

    running = [gevent.spawn(stages, index) for index in (1, 2, 3)]
    gevent.idle()
    assert inside == [1, 3]
    gates[1].set()
    gevent.idle()
    assert inside == [1, 3, 2]
    gates[2].set()
    gates[3].set()
    gevent.joinall(running, raise_error=True)


def test_a_suspect_that_fails_or_is_killed_makes_room(box: BlackBox) -> None:
    overseer = BatchOverseer(box, ["title"])
    overseer.suspects |= {1, 2, 3, 4}

    def stages(index: int) -> None:
        with overseer.around(index) or nullcontext():
            if index == 1:
                raise ValueError("no luck")
            Event().wait()

    with pytest.raises(ValueError, match="no luck"):
        stages(1)
    inside, waiting = gevent.spawn(stages, 2), gevent.spawn(stages, 3)
    gevent.idle()
    waiting.kill()
    inside.kill()
    alone = overseer.around(4)
    assert alone is not None
    with alone:
        pass
