"""Stopping: how a batch's children are stopped in three steps, for a signal or for a problem that ends the run.

Children answer Drain by themselves at its limit; only one that is stuck is ended from here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from app.errors import PercoreError
from workers.child import Child
from workers.drain import STEP_CANCEL, STEP_DRAIN, STEP_KILL
from workers.messages import Drain

# How long after its limit a child is given. A person who has asked twice waits for no other; a fault is to be told by
# who met it.
_DRAIN_GRACE_S = 0.3
_CANCEL_GRACE_S = 0.15
_FAULT_GRACE_S = 0.5


class Stopping:
    """Of one run.

    children  those that there are, at any time
    say       shows a line
    limit_s   how long what is in flight may go on after the first signal

    step      how far it is: see workers.drain; a problem counts for none
    problem   why the run ends; the first one counts
    """

    def __init__(self, children: Sequence[Child], say: Callable[[str], None], limit_s: float) -> None:
        self._children = children
        self._say = say
        self._limit_s = limit_s
        self._kill_at_s: float | None = None
        self.step = 0
        self.problem: PercoreError | None = None

    @property
    def has_begun(self) -> bool:
        """Whether nothing new is begun any more."""
        return bool(self.step or self.problem)

    def obey(self, step: int) -> None:
        """Take the steps of stopping that signals, or the clock, ask for."""
        now_s = time.monotonic()
        if self._kill_at_s is not None and now_s >= self._kill_at_s:
            step = STEP_KILL
        if step <= self.step:
            return
        if self.step < STEP_DRAIN <= step < STEP_CANCEL:
            self._say(
                f"fetch-batch: draining: what is in flight may end within {self._limit_s:g} s; "
                "ctrl-C again lets go of it"
            )
            self._drain(self._limit_s, now_s, _DRAIN_GRACE_S)
        elif step == STEP_CANCEL:
            self._say("fetch-batch: letting go of what is in flight")
            self._drain(0.0, now_s, _CANCEL_GRACE_S)
        else:
            for child in self._children:
                child.kill()
            self._kill_at_s = None
        self.step = step

    def stop_for(self, problem: PercoreError) -> None:
        """Go no further, because of `problem`."""
        if self.problem is None:
            self.problem = problem
            self._drain(0.0, time.monotonic(), _FAULT_GRACE_S)

    def paused(self, seconds: float) -> None:
        """Nobody could do anything for so long: what is to be ended later is to be ended as much later."""
        if self._kill_at_s is not None:
            self._kill_at_s += seconds

    def wait_s(self, most_s: float) -> float:
        """How long whoever calls `obey` may wait for something to happen."""
        if self._kill_at_s is None:
            return most_s
        return max(0.0, min(most_s, self._kill_at_s - time.monotonic()))

    def _drain(self, limit_s: float, now_s: float, grace_s: float) -> None:
        for child in self._children:
            child.send(Drain(limit_s))
            if not child.is_ready:
                # It hears nothing before it has imported all, and has nothing in hand that it could lose.
                child.kill()
        kill_at_s = now_s + limit_s + grace_s
        self._kill_at_s = kill_at_s if self._kill_at_s is None else min(self._kill_at_s, kill_at_s)
