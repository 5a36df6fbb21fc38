"""Phase: what a run does besides fetching (outputs are unpacked, or assembled), and how far it has come with it.

It is a thread's work, which can take as long as fetching a little does. So that it can be shown meanwhile, and ended,
the thread counts its steps; between any two of them it can be told to stop. Nothing is lost then: what it makes is made
anew, or gone on with, by the same command.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

import msgspec

from app.errors import Interrupted

T = TypeVar("T")

PhaseName = Literal["fetching", "unpacking", "dropping", "assembling"]


class PhaseState(msgspec.Struct, frozen=True):
    """A phase at one moment.

    name    unpacking: a finished output is made shards again; dropping: records of failures are taken out of shards;
            assembling: shards are made an output
    output  which one
    share   0 to 1; None while that can't be told
    """

    name: PhaseName = "fetching"
    output: str = ""
    share: float | None = None


FETCHING = PhaseState()


class Phase:
    """The phases of a run, one after the other. `begin` and `step` are the thread's that does the work, the rest
    anybody's.
    """

    def __init__(self) -> None:
        self._name: PhaseName = "fetching"
        self._output = ""
        self._done = self._total = 0
        self._is_stopped = False

    def begin(self, name: PhaseName, output: object, total: int) -> None:
        """The next one, of so many steps. Raises Interrupted as `step`."""
        self._check()
        # In this order, so that nobody sees steps of one in the other.
        self._total = self._done = 0
        self._name, self._output = name, str(output)
        self._total = total

    def step(self) -> None:
        """One step is done. Raises Interrupted after `stop`."""
        self._check()
        self._done += 1

    def counted(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each of which is a step once the next is asked for. Raises Interrupted after `stop`."""
        for item in items:
            self._check()
            yield item
            self._done += 1

    def stop(self) -> None:
        """Have the work raise Interrupted before its next step."""
        self._is_stopped = True

    @property
    def state(self) -> PhaseState:
        """At this moment."""
        total = self._total
        return PhaseState(self._name, self._output, min(1.0, self._done / total) if total else None)

    def _check(self) -> None:
        if self._is_stopped:
            raise Interrupted("stopped between two steps")
