"""Batch overseer: notes in the black box whose stages run, and lets suspects run one at a time.

A suspect is a request whose stage was running when a worker died. Alone among its kind, it either proves innocent or
is what the next death is due to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from gevent.lock import BoundedSemaphore

from app.engine.overseer import Overseer
from workers.black_box import BlackBox


class BatchOverseer(Overseer):
    """stages: the names of all, in their order, by which the other side knows them."""

    def __init__(self, black_box: BlackBox, stages: Sequence[str]) -> None:
        self._black_box = black_box
        self._places = {name: place for place, name in enumerate(stages)}
        self.suspects: set[int] = set()
        self._one_suspect = BoundedSemaphore(1)

    def around(self, index: int) -> AbstractContextManager[object] | None:
        return self._alone() if index in self.suspects else None

    def begins(self, index: int, stage: str) -> object:
        return self._black_box.take(index, self._places[stage])

    def ends(self, note: object) -> None:
        assert note is None or isinstance(note, int)
        self._black_box.give_back(note)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._one_suspect:
            yield
