"""Preemption: what becomes of a timer's tick, which finds a run that has not given up the core by itself.

The law:

- A slice is ended between two instructions: where the interpreter itself looks for signals, at the beginning of a
  function or at a loop's end. After a call it looks, too, but there nothing tells that the called C function is over;
  it may have looked itself, or a system call of its own was interrupted, and it may hold a lock (a buffered stream
  does). So the handler asks to be called again, at once, until it is called at such a place, which is soon.
- Handlers of other signals are not held up: those of lower numbers have run by then (Python goes by number), those of
  higher ones, due in the same look, are looked for again in the hub. A call on top of one of them ends nothing.
- It is ended where the stack says that it can be (app.cpu.safe_points), the run's own greenlet runs, and
  no `no_preempt()` is in force. Else the tick comes again: after 0.1 ms, 0.2 ms, ... up to a quarter of a slice.
- A run that is over its budget gets StageTimeout when its next slice begins, so that the hub polls before, however
  often that is swallowed. Where its slice can't be ended, it is raised all the same if that does no harm.
- A tick that finds nobody running, or comes too early, changes nothing. So the timer may stay set when a run ends
  before its slice does; it is put to rest before the hub polls.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from dis import opmap
from types import CodeType, FrameType
from typing import Protocol

from greenlet import getcurrent, greenlet

from app.cpu.clock import Clock
from app.cpu.run import Run
from app.cpu.safe_points import NEVER_RAISE_AT, SafePoints, watch_collector
from app.cpu.slice_timer import OnTick, Timer

_RETRY_S = 0.0001

# Where no C function can be under way: f_lasti is at one of these only if the interpreter's loop calls the handler.
# (Up to 3.11 there are conditional jumps backward, too.)
_BETWEEN = frozenset(
    code for name, code in opmap.items() if name in ("RESUME", "JUMP_BACKWARD") or name.startswith("POP_JUMP_BACKWARD_")
)

# CPython 3.11 makes one instruction of a comparison of numbers or texts and the jump after it (COMPARE_OP_INT_JUMP and
# its like), and looks for signals at its end. An instruction has 2 bytes, and so has each of the two cache entries.
_COMPARE = opmap["COMPARE_OP"]
_AFTER_COMPARE = 2 + 2 * 2 if sys.version_info < (3, 12) else 0
_JUMPS = frozenset(code for name, code in opmap.items() if name.startswith("POP_JUMP_"))

# A C function that goes on and on looking for signals (re, big integers) is left, too. So many calls from one place,
# each so soon after the one before, and no Python code run in between, come from no stream's system call.
_PROMPT_S = 0.0002
_PROMPT_CALLS = 8

# Over budget where an exception does some harm: after so much more CPU time StageTimeout is raised there.
_GRACE_S = 1.0


class Core(Protocol):
    """What the scheduler gives away one slice at a time."""

    @property
    def current(self) -> Run | None:
        """The run that has the core."""

    @property
    def hub(self) -> greenlet:
        """Whose greenlets are run."""

    def has_left(self, run: Run) -> None:
        """It has the core by our account, and yet another greenlet runs. Does not yield."""

    def next_slice(self, run: Run) -> None:
        """End the slice of the run, which is the caller's. Yields; raises StageTimeout when it is over its budget."""


class Preemption:
    """Of one scheduler.

    boundary  see app.cpu.safe_points
    """

    def __init__(
        self,
        core: Core,
        timer: Callable[[OnTick], Timer],
        clock: Clock,
        slice_s: float,
        boundary: CodeType,
    ) -> None:
        self._core = core
        self._timer = timer(self._on_tick)
        self._now_s, self._cpu_s = clock
        self._longest_retry_s = slice_s / 4
        self._safe_points = SafePoints(boundary)
        # Mutable: changed by the handler, and between two slices.
        self._tick_s = 0.0  # when the timer will tick; in the past when it has
        self._retry_s = _RETRY_S
        self._recalled_at: tuple[int, int] | None = None  # where the handler asked to be called again
        self._recalled_s = 0.0  # and when
        self._answers = 0  # that came from there
        self._owes_scan = False
        self.forced = 0
        self.postponed: defaultdict[str, int] = defaultdict(int)

    @property
    def is_armed(self) -> bool:
        """Whether the timer will tick."""
        return self._timer.remaining_s() > 0

    def began(self, slice_ends_s: float, now_s: float) -> None:
        """A run has got the core, until that time."""
        self._recalled_at = None
        self._retry_s = _RETRY_S
        # A tick that comes earlier sets the timer again: setting it costs as much as beginning and ending a run does.
        if not now_s < self._tick_s <= slice_ends_s or not self._timer.is_heard:
            watch_collector()
            self._tick_at(slice_ends_s, now_s)

    def rest(self) -> None:
        """Nobody runs, and nobody is about to."""
        self._tick_s = 0.0
        self._timer.disarm()

    def finish_scan(self) -> None:
        """In the hub, soon after a slice was ended. A handler that switched away has left those undone that were due
        after it: have them looked for.
        """
        if self._owes_scan:
            self._owes_scan = False
            self._timer.call_again()

    def close(self) -> None:
        """Tick no more."""
        self._timer.close()

    def abandon(self) -> None:
        """In a forked child: the timer is the parent's."""
        self._timer.abandon()

    def _tick_at(self, at_s: float, now_s: float) -> None:
        self._tick_s = at_s
        self._timer.arm(at_s - now_s)

    def _on_tick(self, frame: FrameType | None) -> None:
        """The signal's handler, in whatever greenlet the main thread is at."""
        self._tick_s = 0.0
        run = self._core.current
        if run is None:
            return
        now_s = self._now_s()
        me = getcurrent()
        if me is not run.greenlet and not self._is_of(run, me):
            if (hazard := self._safe_points.hazard(frame)) == "percore":
                self._stay(run, now_s, hazard, hazard)  # it may be just about to be switched to
            else:
                self._core.has_left(run)
        elif now_s < run.slice_ends_s:
            self._tick_at(run.slice_ends_s, now_s)
        elif run.holds:
            self._stay(run, now_s, "no_preempt", self._safe_points.hazard(frame))
        elif frame is None or not (_is_between_instructions(frame) or self._is_polled(frame, now_s)):
            self._recall(run, frame, now_s)
        elif self._recalled_at is not None and _position(frame.f_back) == self._recalled_at:
            # On top of where we were to be called again, so in a handler that was due after us.
            self._stay(run, now_s, "signal", "signal")
        elif hazard := self._safe_points.hazard(frame):
            self._stay(run, now_s, hazard, hazard)
        else:
            self.forced += 1
            self._owes_scan = True
            self._core.next_slice(run)

    def _recall(self, run: Run, frame: FrameType | None, now_s: float) -> None:
        """A C function may be under way: be called again as soon as the interpreter looks for signals once more."""
        is_late = self._recalled_at is not None and now_s - self._recalled_s >= _PROMPT_S
        self._recalled_at, self._recalled_s = _position(frame), now_s
        if is_late and self._is_over(run, hazard := self._safe_points.hazard(frame)):
            self._stay(run, now_s, "c function", hazard)
        else:
            self._timer.call_again()

    def _is_polled(self, frame: FrameType, now_s: float) -> bool:
        """Whether it is by now clear that a C function looks for signals all the time."""
        is_prompt = now_s - self._recalled_s < _PROMPT_S
        self._answers = self._answers + 1 if is_prompt and _position(frame) == self._recalled_at else 0
        return self._answers >= _PROMPT_CALLS

    def _is_of(self, run: Run, me: greenlet) -> bool:
        """Whether it is the run's greenlet, or one that runs in its place because it was made there."""
        hub = self._core.hub
        above: greenlet | None = me
        while above is not None and above is not hub:
            if above is run.greenlet:
                return True
            above = above.parent
        return False

    def _stay(self, run: Run, now_s: float, reason: str, hazard: str | None) -> None:
        """The slice can't be ended here: try again soon."""
        self.postponed[reason] += 1
        self._recalled_at = None
        self._tick_at(now_s + self._retry_s, now_s)
        self._retry_s = min(self._retry_s * 2, self._longest_retry_s)
        if self._is_over(run, hazard):
            raise run.timeout(self._used_s(run))

    def _is_over(self, run: Run, hazard: str | None) -> bool:
        """Whether StageTimeout is to be raised here. Where that could leave something half done, as an import or what
        is in `no_preempt()`, it is better to get out of there first: that has a while.
        """
        if run.cpu_budget_s is None or hazard in NEVER_RAISE_AT:
            return False
        has_grace = hazard is not None or run.holds > run.base_holds
        return self._used_s(run) > run.cpu_budget_s + (_GRACE_S if has_grace else 0)

    def _used_s(self, run: Run) -> float:
        return run.used_s + self._cpu_s() - run.cpu_began_s


def _is_between_instructions(frame: FrameType) -> bool:
    codes, at = frame.f_code.co_code, frame.f_lasti
    if codes[at] in _BETWEEN:
        return True
    return bool(_AFTER_COMPARE) and codes[at] == _COMPARE and codes[at + _AFTER_COMPARE] in _JUMPS


def _position(frame: FrameType | None) -> tuple[int, int]:
    """Where a stack's top is. Keeps no reference: what lives in the frame shall die when it would have died."""
    return (id(frame), frame.f_lasti) if frame is not None else (0, 0)
