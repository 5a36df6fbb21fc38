"""Scheduler: CPU work on a hub, one function at a time, in slices, with the hub polling I/O in between.

The law:

- One run at most has the core. It has it until its slice is used up, it waits, or it ends; whose turn it is then says
  app.policy.feedback. The hub polls when a slice's time is used up, by one run or by many short ones together.
- Between two polls all runs together get one slice (and each that is woken `least_s`, so that it comes on). That
  bounds what I/O has to wait for, however many there are.
- The hub polls before each turn because a turn is a timer that is due at once, with a low priority: libev looks at
  timers after it has polled, and calls what has a higher priority first. `sleep(0)` would not do: such callbacks are
  run 50 at a time, and again, before there is a poll.
- Who finds nobody in line, and time left before the next poll is owed, starts at once: no switch, no poll.
- A run that waits gives the core to the next. When it is woken, it goes on at once for what is left until the next
  poll (it may hold what it was woken for), then it gets in line.
- A slice ends at a checkpoint, or by force: app.cpu.preemption.
- A budget counts the thread's CPU time while the run has the core. A run that has used more ends in StageTimeout,
  whatever it does: it is raised inside, at the end of each slice, and reported in place of what it returns.

Handlers of signals belong to the main thread: on hubs of other threads slices end at checkpoints only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from gevent import get_hub
from gevent.hub import Hub
from greenlet import getcurrent, greenlet

from app.cpu.clock import Clock
from app.cpu.preemption import Preemption
from app.cpu.run import RUN, Run, State
from app.cpu.safe_points import passing
from app.cpu.slice_timer import NoTimer, OnTick, SliceTimer, Timer
from app.cpu.statistics import NameCount, SchedulerStatistics, Stretch
from app.errors import Draining, StageTimeout
from app.policy.feedback import FeedbackQueue, level_of, turns_at

_T = TypeVar("_T")

DEFAULT_SLICE_S = 0.002

# A turn comes after all that I/O woke.
_TURN_PRIORITY = -2

_switch: Callable[[greenlet], Any] = greenlet.switch


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
        clock = clock or Clock()
        self.now_s, self._cpu_s = clock
        if timer is None:
            timer = SliceTimer if self.hub.main_hub else NoTimer
        self._preemption = Preemption(self, timer, clock, slice_s, _call.__code__)
        self._turn_watcher = self._loop.timer(0, priority=_TURN_PRIORITY)
        # Mutable state, changed in this hub's thread only.
        self._queue: FeedbackQueue[Run] = FeedbackQueue()
        self.current: Run | None = None
        self._turn_planned = self._rest_planned = False
        self._iteration = -1  # of the loop, in which _spent_s was spent without a poll
        self._spent_s = 0.0
        self._is_closed = False
        self._asleep = self._runs = self._slices = self._voluntary = self._timeouts = 0
        self._counts: defaultdict[str, NameCount] = defaultdict(NameCount)
        self._long_s = 1.5 * slice_s  # a slice that lasted longer was not ended in time
        self._longest_s, self._longest_name = -1.0, ""

    @passing
    def run(
        self,
        function: Callable[..., _T],
        *args: Any,
        name: str = "",
        preempt: bool = True,
        cpu_budget_s: float | None = None,
        timeout_s: float | None = None,
    ) -> _T:
        """Call the function here when its turn has come, in slices; gives what it returns, raises what it raises.

        name          for statistics and messages; the function's own when empty
        preempt       whether the timer may end its slices; checkpoints end them anyhow
        cpu_budget_s  CPU seconds; beyond them StageTimeout is raised inside the function, again at each slice's end if
                      that is swallowed, and in any case by this. None: no limit
        timeout_s     seconds that it may wait in all, for anything but the core; then StageTimeout as above

        Within a run it is a plain call, part of that run. Raises Draining when closed, RuntimeError in the hub. Yields
        to the hub, except for who finds nobody in line and ends within a slice.
        """
        me = getcurrent()
        if RUN in me.__dict__:
            return function(*args)
        if self._is_closed or me is self.hub:
            raise Draining("the scheduler is closed") if self._is_closed else RuntimeError("the hub can't run a stage")
        name = name or _name_of(function)
        run = Run(self, me, name, self._counts[name], preempt=preempt, cpu_budget_s=cpu_budget_s, timeout_s=timeout_s)
        verdict: StageTimeout | None = None
        try:
            try:
                self._enter(run)
                value: _T = _call(function, args)
            finally:
                verdict = self._leave(run)
        except Exception as error:
            if verdict is not None and not isinstance(error, StageTimeout):
                raise verdict from error
            raise
        if verdict is not None:
            raise verdict
        return value

    @passing
    def run_short(self, function: Callable[..., _T], *args: Any, name: str) -> _T:
        """Call a function that is known to take far less than a slice, and to switch nowhere: here and at once, with no
        slice of its own, for that costs more than such a function does. Nothing ends it and no limit holds.

        Its time counts as time of slices: where the hub is owed a poll, or anybody has the core or is in line, this is
        `run`.
        """
        if self.current is not None or self._queue.length or self._is_closed or self._left_s() <= 0:
            return self.run(function, *args, name=name)
        began_s = self.now_s()
        try:
            return function(*args)
        finally:
            seconds = self.now_s() - began_s
            self._spent_s += seconds
            self._runs += 1
            self._counts[name].note_short(seconds)

    def statistics(self) -> SchedulerStatistics:
        """Counts at this moment. What the run that has the core has used since it got it is not in them yet."""
        return SchedulerStatistics(
            waiting=self._queue.length,
            asleep=self._asleep,
            running=self.current.name if self.current is not None else None,
            runs=self._runs,
            slices=self._slices,
            forced=self._preemption.forced,
            voluntary=self._voluntary,
            postponed=dict(self._preemption.postponed),
            timeouts=self._timeouts,
            uses={name: count.use() for name, count in self._counts.items()},
            longest=Stretch(self._longest_s, self._longest_name) if self._slices else None,
            is_armed=self._preemption.is_armed,
        )

    @property
    def is_closed(self) -> bool:
        """Whether it runs nothing any more."""
        return self._is_closed

    def close(self) -> None:
        """Run nothing new. Who is in line gets Draining; who runs or waits goes on to its end unhindered.

        Does not yield. Safe to call again.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self._preemption.close()
        self._turn_watcher.stop()
        self._turn_watcher.close()
        while self._queue.length:
            self._loop.run_callback(self._queue.pop().greenlet.throw, Draining("the scheduler was closed"))

    def abandon(self) -> None:
        """In a forked child: the timer and who is in line are the parent's. A run that forked goes on unhindered."""
        if self._is_closed:
            return
        # The loop, which may be that of a thread that is not there any more, is left alone.
        self._is_closed = True
        self._preemption.abandon()
        self._queue.clear()

    # --- a run's way -------------------------------------------------------------------------------------------------

    def _enter(self, run: Run) -> None:
        run.attach()
        if self.current is not None:
            self.has_left(self.current)
        if not self._queue.length and (left_s := self._left_s()) > 0:
            self._begin(run, left_s)
        else:
            self._wait_in_line(run)

    def _leave(self, run: Run) -> StageTimeout | None:
        """What becomes of a run that has used up what it had, whatever came of it; None for others."""
        if self.current is run:
            self._end(run)
        elif run.state is State.IN_LINE:
            self._queue.discard(run)
        elif run.state is State.WAITING:
            self._asleep -= 1
            self._stop_wait_timer(run)
        run.state = State.OUTSIDE
        run.detach()
        self._runs += 1
        run.count.runs += 1
        verdict = run.verdict()
        if verdict is not None:
            self._timeouts += 1
        return verdict

    def _wait_in_line(self, run: Run) -> None:
        run.state = State.IN_LINE
        # A slice that was ended by force counts as a whole one, though the machine may have kept some of it.
        level = level_of(max(run.used_s, run.whole_slices * self._slice_s), self._slice_s)
        if not self._queue.push(run, level, goes_on=0 < run.turns < turns_at(level)):
            run.turns = 0
        self._plan_turn()
        try:
            # Not hub.switch(): it would call switch_out, which is for those who wait.
            _switch(self.hub)
        finally:
            if run.state is State.IN_LINE:
                # Not by its turn: it was killed, or timed out. It goes on at once, to its end most likely.
                self._queue.discard(run)
                self._begin(run, self._left_s())

    def _begin(self, run: Run, left_s: float) -> None:
        """It has the core from now on, for what is left until the next poll, `_least_s` at the least."""
        if left_s < self._least_s:
            left_s = self._least_s
        run.state = State.RUNNING
        run.began_s = now_s = self.now_s()
        run.slice_ends_s = now_s + left_s
        run.cpu_began_s = self._cpu_s()
        self.current = run
        self._preemption.began(run.slice_ends_s, now_s)

    def _end(self, run: Run) -> None:
        """It has the core no more."""
        self.current = None
        run.slice_ends_s = 0.0
        cpu_s = self._cpu_s() - run.cpu_began_s
        stretch_s = self.now_s() - run.began_s
        run.used_s += cpu_s
        count = run.count
        count.cpu_s += cpu_s
        # By CPU time: what other processes took of the core meanwhile is no fault of the stage.
        if cpu_s <= self._long_s:
            count.short += 1
        else:
            count.note_long(cpu_s)
        self._spent_s += stretch_s
        self._slices += 1
        if stretch_s > self._longest_s:
            self._longest_s, self._longest_name = stretch_s, run.name
        if self._queue.length:
            self._plan_turn()
        elif not self._rest_planned:
            self._rest_planned = True
            self._loop.run_callback(self._rest)

    def _rest(self) -> None:
        """In the hub, before it polls. Not when a run ends: the next one may begin in the same turn of the hub, and
        setting a timer costs as much as all else.
        """
        self._rest_planned = False
        if self.current is None and not self._queue.length:
            self._preemption.rest()

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
        self._preemption.finish_scan()
        if self.current is not None:
            self.has_left(self.current)
        if not self._queue.length:
            self._rest()
            return
        # As many as the slice has room for: a poll for each short one would cost several times what it does.
        while self._queue.length:
            run = self._queue.pop()
            self._begin(run, self._left_s())
            _switch(run.greenlet)
            if self.current is not None:
                self.has_left(self.current)
            if self._left_s() <= self._least_s:
                return

    # --- what runs tell ----------------------------------------------------------------------------------------------

    def waits(self, run: Run) -> None:
        self._end(run)
        run.state = State.WAITING
        self._asleep += 1
        if run.may_wait_s is not None:
            run.began_s = self.now_s()
            run.wait_timer = self._loop.timer(max(0.0, run.may_wait_s))
            run.wait_timer.start(self._end_at_wait_limit, run, update=True)

    def is_woken(self, run: Run) -> None:
        if self.current is not None:
            self.has_left(self.current)
        self._asleep -= 1
        self._stop_wait_timer(run)
        self._begin(run, self._left_s())

    def _stop_wait_timer(self, run: Run) -> None:
        if run.wait_timer is not None:
            run.wait_timer.stop()
            run.wait_timer.close()
            run.wait_timer = None
            if run.may_wait_s is not None:
                run.may_wait_s -= self.now_s() - run.began_s

    def _end_at_wait_limit(self, run: Run) -> None:
        """In the hub."""
        self._stop_wait_timer(run)
        run.may_wait_s = min(0.0, run.may_wait_s or 0.0)
        run.greenlet.throw(run.lateness())

    def offers(self, run: Run) -> None:
        if run.state is not State.RUNNING:
            # Woken behind our back, by greenlet.switch itself.
            self.is_woken(run)
        elif run.holds == run.base_holds:
            self._voluntary += 1
            self.next_slice(run)

    def soon(self, do: Callable[..., Any], *arguments: Any) -> None:
        self._loop.run_callback(do, *arguments)

    # --- what preemption tells ---------------------------------------------------------------------------------------

    def has_left(self, run: Run) -> None:
        """See app.cpu.preemption.Core: it switched away without a word, to a greenlet of its own that waits now."""
        self.waits(run)

    def next_slice(self, run: Run) -> None:
        self._end(run)
        run.whole_slices += 1
        run.turns += 1
        if not self._is_closed:
            self._wait_in_line(run)
        if run.is_over_budget:
            raise run.timeout(run.used_s)


def _call(function: Callable[..., _T], args: tuple[Any, ...]) -> _T:
    """The boundary: what is on the stack above this frame is the stage's."""
    return function(*args)


def _name_of(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)
