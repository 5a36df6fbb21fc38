"""Overseer: whoever wants to know which request's stages run, at the moment when the process dies of one.

The law: a note is made when a stage's own code begins and is taken back when it ends, in the thread that runs it. A
stage that waits for its turn is not noted: it can't be what the process died of.
"""

from __future__ import annotations

from contextlib import AbstractContextManager


class Overseer:
    """Nobody looks. Subclasses do."""

    def around(self, index: int) -> AbstractContextManager[object] | None:
        """A context for all stages of request `index`, their waiting included. Entering may yield to the hub. None
        where there is nothing to enter.
        """
        return None

    def begins(self, index: int, stage: str) -> object:
        """That stage's code begins to run; what this returns is handed to `ends`. Any thread; must not switch."""
        return None

    def ends(self, note: object) -> None:
        """It has ended, one way or the other. Any thread; must not switch."""


NOBODY = Overseer()
