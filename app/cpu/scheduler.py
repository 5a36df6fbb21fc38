"""Scheduler: CPU work on a hub, one function at a time, in slices, with the hub polling I/O in between.

The law:

- One run at most has the core. It has it until its slice is used up, it waits, or it ends; then the hub polls, and
  whose turn it is says app.policy.feedback.
- Between two polls all runs together get one slice (and each that is woken `least_s`, so that it comes on). That
  bounds what I/O has to wait for, however many there are.
- The hub polls before each turn because a turn is a timer that is due at once, with a low priority: libev looks at
  timers after it has polled, and calls what has a higher priority first. `sleep(0)` would not do: such callbacks are
  run 50 at a time, and again, before there is a poll.
- Who finds nobody in line, and time left before the next poll is owed, starts at once: no switch, no poll.
- A run that waits gives the core to the next. When it is woken, it goes on at once for what is left until the next
  poll (it may hold what it was woken for), then it gets in line.
- A slice ends at a checkpoint, or at the timer's signal if that is a safe point. The signal's handler never ends it on
  its first call: it asks to be called again at once. The interpreter has then run all other handlers that were due,
  and is between two instructions: the first call may have come inside of a C function whose system call was
  interrupted, and which may hold a lock (a buffered stream does).
- The timer is armed while a run has the core or is in line. When the hub polls with none, it is not.
- A budget counts the thread's CPU time while the run has the core. A run that has used more ends in StageTimeout,
  whatever it does: it is raised inside, at the end of each slice, and reported in place of what it returns.

Handlers of signals belong to the main thread: on hubs of other threads slices end at checkpoints only.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple, TypeVar

import msgspec
from gevent import get_hub
from gevent.hub import Hub
from greenlet import getcurrent, greenlet

from app.cpu.run import Run, State, run_of_caller
from app.cpu.safe_points import SafePoints, watch_collector
from app.cpu.slice_timer import NoTimer, OnTick, SliceTimer, Timer
from app.errors import StageTimeout
from app.policy.feedback import FeedbackQueue, level_of

_T = TypeVar("_T")

DEFAULT_SLICE_S = 0.002

# A turn comes after all that I/O woke.
_TURN_PRIORITY = -2

# After an unsafe point: asked again so soon, then after twice as long, up to a quarter of a slice.
_RETRY_S = 0.0001

# A second call that comes later than this after the first, at the same place, may be inside a C function.
_PROMPT_S = 0.0002

# Over budget at unsafe points only: after so much more CPU time StageTimeout is raised there.
_PATIENCE_S = 1.0

_switch: Callable[[greenlet], Any] = greenlet.switch


class Clock(NamedTuple):
    """now_s: monotonic, seconds; cpu_s: CPU seconds of the calling thread."""

    now_s: Callable[[], float] = time.monotonic
    cpu_s: Callable[[], float] = time.thread_time


class Stretch(msgspec.Struct, frozen=True):
    """How long one run kept the core in one piece, seconds of time, and its name."""

    seconds: float
    name: str


class SchedulerStatistics(msgspec.Struct, frozen=True):
    """A snapshot.

    waiting     runs in line
    asleep      runs that wait for something else than the core: I/O, a lock, a sleep
    running     the name of the run that has the core, None if nobody has
    runs        ended, however they did
    slices      times that a run had the core
    forced      of these, ended by the timer; voluntary: at a checkpoint; the rest waited or ended by themselves
    postponed   times that the timer came at an unsafe point, by hazard (app.cpu.safe_points)
    timeouts    runs that used more than their budget
    cpu_s       CPU seconds by name of the run
    longest     the longest stretch of time without a poll, None before the first
    is_armed    whether the timer will tick
    """

    waiting: int
    asleep: int
    running: str | None
    runs: int
    slices: int
    forced: int
    voluntary: int
    postponed: dict[str, int]
    timeouts: int
    cpu_s: dict[str, float]
    longest: Stretch | None
    is_armed: bool


class Scheduler:
    """Of one hub; for all greenlets of that hub, and for them only.

    slice_s  time a run may use before the hub polls, seconds
    timer    makes what ends slices; told what to call. The default is the real one, on the main thread's hub
    """

    def __init__(
        self,
        hub: Hub | None = None,
        *,
        slice_s: float = DEFAULT_SLICE_S,
        clock: Clock | None = None,
        timer: Callable[[OnTick], Timer] | None = None,
    ) -> None:
        self.hub: Hub = hub if hub is not None else get_hub()
        self._loop: Any = self.hub.loop
        self._slice_s = slice_s
        self._least_s = slice_s / 10
        self.now_s, self._cpu_s = clock or Clock()
        if timer is None:
            timer = SliceTimer if self.hub.main_hub else _no_timer
        self._timer = timer(self._on_tick)
        self._safe_points = SafePoints(_call.__code__, _PASSING)
        self._turn_watcher = self._loop.timer(0, priority=_TURN_PRIORITY)
        # Mutable state, changed in this hub's thread only.
        self._queue: FeedbackQueue[Run] = FeedbackQueue()
        self._current: Run | None = None
        self._turn_planned = self._rest_planned = False
        self._tick_s = 0.0  # when the timer will tick
        self._iteration = -1  # of the loop, in which _spent_s was spent without a poll
        self._spent_s = 0.0
        self._retry_s = _RETRY_S
        self._asked: tuple[int, int] | None = None  # where the handler asked to be called again, and when
        self._asked_s = 0.0
        self._owes_scan = False
        self._is_closed = False
        self._asleep = self._runs = self._slices = self._forced = self._voluntary = self._timeouts = 0
        self._postponed: defaultdict[str, int] = defaultdict(int)
        self._used_s: defaultdict[str, float] = defaultdict(float)
        self._longest_s, self._longest_name = -1.0, ""

    def run(
        self,
        function: Callable[..., _T],
        *args: Any,
        name: str = "",
        preempt: bool = True,
        cpu_budget_s: float | None = None,
    ) -> _T:
        """Call the function here when its turn has come, in slices; gives what it returns, raises what it raises.

        name          for statistics and messages; the function's own when empty
        preempt       whether the timer may end its slices; checkpoints end them anyhow
        cpu_budget_s  CPU seconds; beyond them StageTimeout is raised inside the function, again at each slice's end if
                      that is swallowed, and in any case by this. None: no limit

        Within a run it is a plain call, part of that run. Raises RuntimeError when closed, or in the hub. Yields to the
        hub, except for who finds nobody in line and ends within a slice.
        """
        if run_of_caller() is not None:
            return function(*args)
        me = getcurrent()
        if self._is_closed or me is self.hub:
            raise RuntimeError("the scheduler is closed" if self._is_closed else "the hub itself can't run a stage")
        run = Run(self, me, name or _name_of(function), preempt=preempt, cpu_budget_s=cpu_budget_s)
        try:
            try:
                self._enter(run)
                value: _T = _call(function, args)
            finally:
                self._leave(run)
        except Exception as error:
            if run.is_over_budget and not isinstance(error, StageTimeout):
                raise _timeout(run) from error
            raise
        if run.is_over_budget:
            raise _timeout(run)
        return value

    def statistics(self) -> SchedulerStatistics:
        """Counts at this moment. What the run that has the core has used since it got it is not in them yet."""
        return SchedulerStatistics(
            waiting=len(self._queue),
            asleep=self._asleep,
            running=self._current.name if self._current is not None else None,
            runs=self._runs,
            slices=self._slices,
            forced=self._forced,
            voluntary=self._voluntary,
            postponed=dict(self._postponed),
            timeouts=self._timeouts,
            cpu_s=dict(self._used_s),
            longest=Stretch(self._longest_s, self._longest_name) if self._slices else None,
            is_armed=self._timer.remaining_s() > 0,
        )

    @property
    def is_closed(self) -> bool:
        """Whether it runs nothing any more."""
        return self._is_closed

    def close(self) -> None:
        """Run nothing new. Who is in line gets a RuntimeError; who runs goes on to its end unhindered.

        Does not yield. Safe to call again.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self._timer.close()
        self._turn_watcher.stop()
        self._turn_watcher.close()
        while self._queue:
            self._loop.run_callback(self._queue.pop().greenlet.throw, RuntimeError("the scheduler was closed"))

    def abandon(self) -> None:
        """In a forked child: the timer and who is in line are the parent's. A run that forked goes on unhindered."""
        if self._is_closed:
            return
        # The loop, which may be that of a thread that is not there any more, is left alone.
        self._is_closed = True
        self._timer.abandon()
        self._queue.clear()

    # --- a run's way -------------------------------------------------------------------------------------------------

    def _enter(self, run: Run) -> None:
        watch_collector()
        run.attach()
        if self._current is not None:
            self._lost(self._current)
        if not self._queue and self._left_s() > 0:
            self._begin(run)
        else:
            self._wait_in_line(run)

    def _leave(self, run: Run) -> None:
        if self._current is run:
            self._end(run)
        elif run.state is State.IN_LINE:
            self._queue.discard(run)
        elif run.state is State.WAITING:
            self._asleep -= 1
        run.state = State.ENDED
        run.detach()
        self._runs += 1
        if run.is_over_budget:
            self._timeouts += 1

    def _wait_in_line(self, run: Run) -> None:
        run.state = State.IN_LINE
        self._queue.push(run, level_of(run.used_s, self._slice_s))
        self._plan_turn()
        try:
            # Not hub.switch(): it would call switch_out, which is for those who wait.
            _switch(self.hub)
        finally:
            if run.state is State.IN_LINE:
                # Not by its turn: it was killed, or timed out. It goes on at once, to its end most likely.
                self._queue.discard(run)
                self._begin(run)

    def _begin(self, run: Run) -> None:
        """It has the core from now on."""
        left_s = max(self._left_s(), self._least_s)
        run.state = State.RUNNING
        run.began_s = now_s = self.now_s()
        run.slice_ends_s = now_s + left_s
        run.cpu_began_s = self._cpu_s()
        self._current = run
        self._asked = None
        self._retry_s = _RETRY_S
        self._tick_by(run.slice_ends_s, now_s)

    def _end(self, run: Run) -> None:
        """It has the core no more."""
        self._current = None
        run.slice_ends_s = 0.0
        cpu_s = self._cpu_s() - run.cpu_began_s
        stretch_s = self.now_s() - run.began_s
        run.used_s += cpu_s
        self._used_s[run.name] += cpu_s
        self._spent_s += stretch_s
        self._slices += 1
        if stretch_s > self._longest_s:
            self._longest_s, self._longest_name = stretch_s, run.name
        if self._queue:
            self._plan_turn()
        elif not self._rest_planned:
            self._rest_planned = True
            self._loop.run_callback(self._rest)

    def _rest(self) -> None:
        """In the hub, before it polls. Not when a run ends: the next one may begin in the same turn of the hub, and
        setting a timer costs as much as all else.
        """
        self._rest_planned = False
        if self._current is None and not self._queue:
            self._tick_s = 0.0
            self._timer.disarm()

    def _tick_by(self, at_s: float, now_s: float) -> None:
        """Have the timer tick then. It may be set for an earlier moment; then the tick sets it again."""
        if not now_s < self._tick_s <= at_s:
            self._tick_s = at_s
            self._timer.arm(at_s - now_s)

    def _left_s(self) -> float:
        """What runs may still use before the hub polls."""
        iteration = self._loop.iteration
        if iteration != self._iteration:
            self._iteration = iteration
            self._spent_s = 0.0
        return self._slice_s - self._spent_s

    def _plan_turn(self) -> None:
        if not self._turn_planned and not self._is_closed:
            self._turn_planned = True
            self._turn_watcher.start(self._turn, update=False)

    def _turn(self) -> None:
        """In the hub, after it has polled."""
        self._turn_planned = False
        if self._owes_scan:
            # A handler that switched away has left those undone that were due after it: have them looked for.
            self._owes_scan = False
            self._timer.call_again()
        if self._current is not None:
            self._lost(self._current)
        if self._queue:
            run = self._queue.pop()
            self._begin(run)
            run.resume()
        else:
            self._rest()

    # --- what runs tell ----------------------------------------------------------------------------------------------

    def waits(self, run: Run) -> None:
        self._end(run)
        run.state = State.WAITING
        self._asleep += 1

    def is_woken(self, run: Run) -> None:
        if self._current is not None:
            self._lost(self._current)
        self._asleep -= 1
        self._begin(run)

    def offers(self, run: Run) -> None:
        if run.state is not State.RUNNING:
            # Woken behind our back, by greenlet.switch itself.
            self.is_woken(run)
        elif run.holds == run.base_holds:
            self._voluntary += 1
            self._next_slice(run)

    def soon(self, do: Callable[..., Any], *arguments: Any) -> None:
        self._loop.run_callback(do, *arguments)

    def _lost(self, run: Run) -> None:
        """It has the core by our account, and yet another greenlet runs: it switched away without a word, by
        greenlet.switch to one of its own that waits now.
        """
        self.waits(run)

    # --- the end of a slice ------------------------------------------------------------------------------------------

    def _next_slice(self, run: Run) -> None:
        """Let the hub poll and others have their turns. Raises StageTimeout when the budget is used up."""
        self._end(run)
        if not self._is_closed:
            self._wait_in_line(run)
        if run.is_over_budget:
            raise _timeout(run)

    def _on_tick(self, frame: FrameType | None) -> None:
        """The timer's signal. In whatever greenlet the main thread is at, between two instructions or in a C function
        that looks for signals.
        """
        self._tick_s = 0.0
        run = self._current
        if run is None:
            return
        me = getcurrent()
        if me is not run.greenlet and not _is_below(me, run.greenlet):
            self._lost(run)
            return
        now_s = self.now_s()
        if now_s < run.slice_ends_s:
            self._tick_by(run.slice_ends_s, now_s)
        elif me is not run.greenlet:
            self._postpone("greenlet", now_s)
        elif run.holds:
            self._postpone("no_preempt", now_s)
        elif self._asked is None:
            self._ask(frame, now_s)
        else:
            self._answer(run, frame, now_s)

    def _ask(self, frame: FrameType | None, now_s: float) -> None:
        """The first call: be called again when this one is over, and all other handlers that are due."""
        self._asked = (id(frame), frame.f_lasti if frame is not None else 0)
        self._asked_s = now_s
        self._timer.call_again()

    def _answer(self, run: Run, frame: FrameType | None, now_s: float) -> None:
        """The second call, if this is it."""
        if (id(frame), frame.f_lasti if frame is not None else 0) == self._asked and now_s - self._asked_s > _PROMPT_S:
            # Nothing was done meanwhile, and yet time has passed: in the middle of a C function.
            self._ask(frame, now_s)
            return
        above = frame.f_back if frame is not None else None
        if above is not None and (id(above), above.f_lasti) == self._asked:
            # On top of where we asked, so in a handler that was due after us.
            self._postpone("signal", now_s)
            return
        hazard = self._safe_points.hazard(frame)
        if hazard is not None:
            self._postpone(hazard, now_s)
            return
        self._forced += 1
        self._owes_scan = True
        self._next_slice(run)

    def _postpone(self, hazard: str, now_s: float) -> None:
        self._postponed[hazard] += 1
        self._asked = None
        self._tick_by(now_s + self._retry_s, now_s)
        self._retry_s = min(self._retry_s * 2, self._slice_s / 4)


def _call(function: Callable[..., _T], args: tuple[Any, ...]) -> _T:
    """The boundary: what is on the stack above this frame is the stage's."""
    return function(*args)


def _no_timer(_on_tick: OnTick) -> Timer:
    return NoTimer()


def _is_below(me: greenlet, stage: greenlet) -> bool:
    """Whether a stage made this greenlet, so that it runs in the stage's place."""
    above: greenlet | None = me
    while above is not None and above is not stage:
        above = above.parent
    return above is not None


def _timeout(run: Run) -> StageTimeout:
    return StageTimeout(f"{run.name} used {run.used_s:.3f} s of CPU time; its budget is {run.cpu_budget_s:g} s")


def _name_of(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


_PASSING = (Scheduler.run.__code__,)
