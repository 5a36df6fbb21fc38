"""Watch: whether a child that should report several times a second is stuck, and what is to be done about it.

The law: a child that has said nothing for a third of `deadman_s` is asked where it is, which it need not run Python
for; soon after that the answer is told; at `deadman_s` it is replaced. One that is not ready yet is given the same
steps within the limit for that. A watcher that was itself held up (stopped, suspended, starved) has no right to judge:
all children begin anew then. Pure: time is handed in.
"""

from __future__ import annotations

from enum import Enum, auto

# The part of the deadline after which it is asked.
ASKED_AT = 1 / 3

# How long a stack takes to be written, and more.
_ANSWER_S = 0.25

# A watcher that looks less often than that was held up: within a short deadline, sooner than within a long one.
_HELD_UP_AT_LEAST_S = 1.0
_HELD_UP_AT_MOST_S = 5.0


class Step(Enum):
    """What is to be done now."""

    NOTHING = auto()
    ASK = auto()
    """Ask the child where it is."""
    TELL = auto()
    """It has answered: say so."""
    REPLACE = auto()
    """End it. Said once: no process survives that, however long a starved one takes to die."""


class Watch:
    """Of one child. Times are seconds on the caller's monotonic clock."""

    def __init__(self, now_s: float) -> None:
        self._heard_s = self._looked_s = now_s
        self._asked_s: float | None = None
        self._is_told = self._is_over = False

    def heard(self, now_s: float) -> None:
        """It has said something."""
        self._heard_s = now_s
        self._asked_s = None
        self._is_told = False

    def silent_s(self, now_s: float) -> float:
        """For how long it has said nothing."""
        return now_s - self._heard_s

    def look(self, now_s: float, deadman_s: float) -> Step:
        """What is to be done. To be called more often than every second."""
        if now_s - self._looked_s > min(max(deadman_s * ASKED_AT, _HELD_UP_AT_LEAST_S), _HELD_UP_AT_MOST_S):
            self.heard(now_s)
        self._looked_s = now_s
        silent_s = self.silent_s(now_s)
        if self._is_over:
            return Step.NOTHING
        if silent_s >= deadman_s:
            self._is_over = True
            return Step.REPLACE
        if self._asked_s is None:
            if silent_s >= deadman_s * ASKED_AT:
                self._asked_s = now_s
                return Step.ASK
        elif not self._is_told and now_s - self._asked_s >= _ANSWER_S:
            self._is_told = True
            return Step.TELL
        return Step.NOTHING
