"""Run: one call of a function under a scheduler, and how the scheduler hears that it waits and that it is woken.

A run is in one of four states:

    OUTSIDE    it has not begun, or it has ended
    IN_LINE    it has no core and waits for one; it is in the scheduler's queue
    RUNNING    it has the core: it is the scheduler's `current`
    WAITING    it gave up the core by itself: it has switched to the hub for I/O, a lock or a sleep

The hub calls `greenlet.switch` of whom it wakes, or `greenlet.throw`, and whoever switches to the hub is asked for
`switch_out` before (gevent.hub.Hub.switch): so three attributes on the greenlet, there while the run lasts, tell all
that is to be known, and other greenlets cost nothing. A trace function (greenlet.settrace) would be called for
every switch of every greenlet.

Who is woken goes on at once, as gevent's own code expects (a semaphore that wakes somebody is already his), and not by
way of the line. Who is in line was not waiting for anybody, so a `switch` that comes then is kept until he does wait.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

from greenlet import GreenletExit, getcurrent, greenlet

from app.cpu.statistics import NameCount
from app.errors import StageTimeout

# The attribute of a greenlet that says which run it is in.
RUN = "_percore_run"


class State(Enum):
    """See the module."""

    OUTSIDE = "outside"
    IN_LINE = "in line"
    RUNNING = "running"
    WAITING = "waiting"


class Listener(Protocol):
    """What a run tells its scheduler, always in the scheduler's thread."""

    def waits(self, run: Run) -> None:
        """It is about to switch to the hub, by itself. Called in its greenlet; must not switch."""

    def is_woken(self, run: Run) -> None:
        """Somebody is about to switch to it, who waited. Called by whoever does; must not switch."""

    def offers(self, run: Run) -> None:
        """It has used up its slice and offers to end it. Called in its greenlet; switches to the hub."""

    def now_s(self) -> float:
        """The clock of slices."""

    def soon(self, do: Callable[..., Any], *arguments: Any) -> None:
        """Let the hub call this. Must not switch."""


class Run:
    """One call. Mutable, changed by its scheduler alone; `holds` by no_preempt as well.

    greenlet         in which the function is called
    count            of all runs of its name
    cpu_budget_s     CPU seconds that it may use, or None
    holds            forced ends of slices are off while this is above `base_holds` (no_preempt) or above 0
    used_s           CPU seconds up to the last time that it gave up the core
    slice_ends_s     on the scheduler's clock; 0 when it has no core
    began_s          when it got the core, or began to wait, on the same clock; cpu_began_s on the CPU's
    whole_slices     slices that ended because they were used up; turns: of these, in a row
    may_wait_s       seconds that it may still wait, in all, for anything but the core; None for no limit
    wait_timer       the timer of the wait that it is in
    thrown           types of what others have thrown into its greenlet: a kill, a time-out
    """

    # What most runs never change: an instance has only what is its own.
    wait_timer: Any = None
    whole_slices = turns = 0
    state = State.OUTSIDE
    used_s = slice_ends_s = began_s = cpu_began_s = 0.0
    thrown: frozenset[type[BaseException]] = frozenset()
    _owed: list[tuple[Any, ...]] | None = None

    def __init__(
        self,
        listener: Listener,
        me: greenlet,
        name: str,
        count: NameCount,
        *,
        preempt: bool,
        cpu_budget_s: float | None,
        timeout_s: float | None,
    ) -> None:
        self.listener = listener
        self.greenlet = me
        self.name = name
        self.count = count
        self.cpu_budget_s = cpu_budget_s
        self.timeout_s = self.may_wait_s = timeout_s
        self.base_holds = self.holds = 0 if preempt else 1

    @property
    def is_over_budget(self) -> bool:
        """Whether what it had used when it last gave up the core was too much."""
        return self.cpu_budget_s is not None and self.used_s > self.cpu_budget_s

    def verdict(self) -> StageTimeout | None:
        """What becomes of it, whatever else came of it, if it has used or waited for more than it may."""
        if self.cpu_budget_s is not None and self.used_s > self.cpu_budget_s:
            return self.timeout(self.used_s)
        if self.may_wait_s is not None and self.may_wait_s <= 0:
            return self.lateness()
        return None

    def lateness(self) -> StageTimeout:
        """What is raised when it has."""
        return StageTimeout(f"{self.name} waited for {self.timeout_s:g} s in all, which is its limit")

    def timeout(self, used_s: float) -> StageTimeout:
        """What is raised when it has used so much."""
        return StageTimeout(f"{self.name} used {used_s:.3f} s of CPU time; its budget is {self.cpu_budget_s:g} s")

    def attach(self) -> None:
        """Begin to listen on the greenlet."""
        own = self.greenlet.__dict__
        own[RUN] = self
        own["switch"] = self._on_switch
        own["throw"] = self._on_throw
        own["switch_out"] = self._on_switch_out

    def detach(self) -> None:
        """Leave the greenlet as its class has it. Whoever kept its `switch` still reaches it."""
        drop = self.greenlet.__dict__.pop
        drop(RUN, None)
        drop("switch", None)
        drop("throw", None)
        drop("switch_out", None)
        if self._owed is not None:
            self._pay(self.resume)

    def resume(self, *arguments: Any) -> Any:
        """Switch to it: its turn has come."""
        return type(self.greenlet).switch(self.greenlet, *arguments)

    def _on_switch(self, *arguments: Any) -> Any:
        if self.state is State.WAITING:
            self.listener.is_woken(self)
        elif self.state is State.IN_LINE:
            if self._owed is None:
                self._owed = []
            self._owed.append(arguments)
            return None
        return self.resume(*arguments)

    def _on_throw(self, *arguments: Any) -> Any:
        what = arguments[0] if arguments else GreenletExit
        self.thrown |= {what if isinstance(what, type) else type(what)}
        if self.state is State.WAITING:
            self.listener.is_woken(self)
        return type(self.greenlet).throw(self.greenlet, *arguments)

    def _on_switch_out(self) -> None:
        if self.state is State.RUNNING:
            self.listener.waits(self)
        if self._owed is not None:
            self._pay(self._on_switch)
        switch_out = getattr(type(self.greenlet), "switch_out", None)
        if switch_out is not None:
            switch_out(self.greenlet)

    def _pay(self, switch: Callable[..., Any]) -> None:
        """Let the hub do now what came too early."""
        owed, self._owed = self._owed or (), None
        for arguments in owed:
            self.listener.soon(switch, *arguments)


def run_of_caller() -> Run | None:
    """The run that the calling greenlet is in, if any."""
    found: Run | None = getcurrent().__dict__.get(RUN)
    return found
