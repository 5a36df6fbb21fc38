"""Isolated processes: for functions that may crash, hang, leak or hold the GIL, each task in a child of its own choice.

The laws:
- A child runs one task at a time. Who finds none free stands in line, first come, first served, and can be killed
  there.
- The child that was free last comes first: its caches are warm, and children that are not needed never start.
- A child ends by its own death, at a task's deadline, with the greenlet that waits for its task, or in order after
  `tasks_per_child` tasks or above `max_rss_bytes` (looked at after each task; in a task only the deadline limits it),
  or after a function has called it unfit. The next one starts when it is needed.
- A child that dies before it has come to any answer makes the next one start later: `respawn_delay_s`. One that does
  not even start fails who is first in line. So nobody waits for ever, and nothing spins.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import weakref

import gevent
import msgspec
from gevent.hub import Waiter

from app.cpu.isolated import ChildGone, IsolatedChild, State
from app.cpu.isolated_frames import Buffer
from app.errors import Draining, StageCrashed, StageTimeout
from app.hub.clock import Cancel, Clock

_log = logging.getLogger("percore.cpu")

_CLOCK = Clock()

# Children that may die with a task on its way to them; who kills them is somebody else.
_ATTEMPTS = 3

_MEBI = 1024 * 1024


class ProcessStatistics(msgspec.Struct, frozen=True):
    """A snapshot.

    children   that can be used, or soon: starting, free or busy
    busy       at a task
    waiting    greenlets in line
    started    children that there have ever been
    tasks      that came to an answer, a raised one too
    crashed    children that ended for a reason of their own, or did not start
    timed_out  tasks that were not done at their deadline
    recycled   children that left in order: for their number of tasks or their memory, or since they were unfit
    """

    children: int
    busy: int
    waiting: int
    started: int
    tasks: int
    crashed: int
    timed_out: int
    recycled: int


class _Claim:
    """One greenlet in line. `verdict`: its child, or why it gets none."""

    __slots__ = ("verdict", "waiter")

    def __init__(self) -> None:
        self.waiter: Waiter[None] = Waiter()
        self.verdict: IsolatedChild | Exception | None = None


# Mutable: all that are alive, for the end of the process and for forks.
_all: weakref.WeakSet[Processes] = weakref.WeakSet()


class Processes:
    """The isolated children of one hub: that of the thread which makes it. Keep it by `app.hub.per_hub` where hubs
    come and go: it closes and forgets at the right moments.

    children          at most so many at a time, at least 1
    wide_cpus         their CPUs
    tasks_per_child   after how many a child is replaced
    max_rss_bytes     above how much resident memory, None for no limit
    path              folders where the children look for modules, None for sys.path as it is now
    max_result_bytes  what a function may return; more is its ValueError
    start_timeout_s   how long an interpreter may take to start
    """

    def __init__(
        self,
        *,
        children: int,
        wide_cpus: frozenset[int],
        tasks_per_child: int = 1000,
        max_rss_bytes: int | None = 1024 * _MEBI,
        path: tuple[str, ...] | None = None,
        max_result_bytes: int = 64 * _MEBI,
        start_timeout_s: float = 60.0,
        clock: Clock = _CLOCK,
    ) -> None:
        if children < 1 or tasks_per_child < 1:
            raise ValueError("children and tasks_per_child must be above 0")
        self._limit = children
        self._wide_cpus = wide_cpus
        self._tasks_per_child = tasks_per_child
        self._max_rss_bytes = max_rss_bytes
        # "" stands for the folder where the user is.
        self._path = path if path is not None else tuple(folder or os.getcwd() for folder in sys.path)
        self._max_result_bytes = max_result_bytes
        self._start_timeout_s = start_timeout_s
        self._clock = clock
        self._hub = gevent.get_hub()
        self._closed = False
        # Mutable state, changed in this hub's thread only, and never across a switch.
        self._children: set[IsolatedChild] = set()  # not ended; those that leave too
        self._idle: list[IsolatedChild] = []  # the one that was free last comes last
        self._line: dict[_Claim, None] = {}  # in order of arrival
        self._deaths = 0  # in a row, before any answer
        self._not_before_s = 0.0
        self._cancel_timer: Cancel | None = None
        self._started = self._tasks = self._crashed = self._timed_out = self._recycled = 0
        _all.add(self)

    @property
    def is_closed(self) -> bool:
        return self._closed

    def run(self, reference: str, *argument: Buffer, timeout_s: float, name: str = "") -> bytes:
        """Have a child call `function(argument)` and return what it returned. Yields to the hub.

        reference  "module:function", imported there. The function takes bytes, or a read-only memoryview when the
                   argument is above 256 KiB, and returns bytes, bytearray or memoryview
        argument   its parts, which the function finds joined: who has large ones need not copy them for that
        timeout_s  from when a child gets the task, the import of the module included; not the line
        name       for messages; the reference when empty

        Raises StageTimeout: the child was killed at the deadline. StageCrashed: it died, the message says how, or none
        can be started. StageRaised: what the function raised, or that it can't be imported or returned something else.
        Draining: closed. ValueError: no reference. Who is killed here has the child killed.
        """
        module, colon, function = reference.partition(":")
        if not (module and colon and function) or module == "__main__":
            raise ValueError(f"{reference[:200]!r} is no module:function that another process could import")
        if self._closed:
            raise Draining("the isolated processes are closed")
        for _ in range(_ATTEMPTS):
            child = self._a_free_child()
            try:
                return child.call(reference, argument, timeout_s, name or reference)
            except StageTimeout:
                self._timed_out += 1
                raise
            except ChildGone:
                pass  # which nobody could know
            finally:
                self._take_back(child)
        raise StageCrashed(f"{_ATTEMPTS} isolated processes in turn died before they got {reference}")

    def statistics(self) -> ProcessStatistics:
        """Counts at this moment. Never yields."""
        states = [child.state for child in self._children]
        return ProcessStatistics(
            children=self._usable,
            busy=states.count(State.BUSY),
            waiting=len(self._line),
            started=self._started,
            tasks=self._tasks,
            crashed=self._crashed,
            timed_out=self._timed_out,
            recycled=self._recycled,
        )

    def close(self) -> None:
        """Kill all children and see them gone: blocks for some ms. Who waits gets Draining. Does not yield; safe to
        call again.
        """
        if self._closed:
            return
        self._closed = True
        self._drop_timer()
        # All first: they die at the same time.
        for child in self._children:
            child.kill()
        for child in self._children:
            child.destroy(Draining("the isolated processes were closed"))
        self._forget_all("the isolated processes were closed")

    def abandon(self) -> None:
        """In a forked child: the processes are the parent's. Who waits in the copy gets Draining."""
        reason = "the process was forked"
        self._drop_timer()
        for child in self._children:
            child.forget(Draining(reason))
        self._forget_all(reason)

    def _forget_all(self, reason: str) -> None:
        self._children.clear()
        self._idle.clear()
        for claim in list(self._line):
            self._end(claim, Draining(reason))

    @property
    def _usable(self) -> int:
        return sum(child.state is not State.LEAVING for child in self._children)

    def _a_free_child(self) -> IsolatedChild:
        """Wait for one."""
        while self._idle:
            child = self._idle.pop()
            if child.state is State.IDLE:
                return child
        claim = _Claim()
        self._line[claim] = None
        self._start_some()
        try:
            if claim.verdict is None:
                claim.waiter.get()
        except BaseException:
            self._line.pop(claim, None)
            if isinstance(claim.verdict, IsolatedChild):
                self._offer(claim.verdict)
            raise
        assert claim.verdict is not None, "nothing else wakes it"
        if isinstance(claim.verdict, Exception):
            raise claim.verdict
        if claim.verdict.state is not State.IDLE:  # it died on the way
            return self._a_free_child()
        return claim.verdict

    def _take_back(self, child: IsolatedChild) -> None:
        """After a task."""
        if child.state is not State.IDLE:
            self._start_some()
            return
        self._tasks += 1
        self._deaths = 0
        if child.is_unfit or child.tasks >= self._tasks_per_child or self._is_too_large(child):
            self._recycled += 1
            child.dismiss()
            self._start_some()
        else:
            self._offer(child)

    def _is_too_large(self, child: IsolatedChild) -> bool:
        return self._max_rss_bytes is not None and child.rss_bytes() > self._max_rss_bytes

    def _offer(self, child: IsolatedChild) -> None:
        """A child is free: for who is first in line. Never switches."""
        if child.state is not State.IDLE:
            return
        if self._line:
            self._end(next(iter(self._line)), child)
        else:
            self._idle.append(child)

    def _end(self, claim: _Claim, verdict: IsolatedChild | Exception) -> None:
        """End one's wait."""
        del self._line[claim]
        claim.verdict = verdict
        self._hub.loop.run_callback(claim.waiter.switch, None)

    def _start_some(self) -> None:
        """Start children for who is in line, as far as there may be any. Never switches."""
        if self._cancel_timer is not None or self._closed:
            return
        starting = sum(child.state is State.STARTING for child in self._children)
        while starting < len(self._line) and self._usable < self._limit:
            wait_s = self._not_before_s - self._clock.monotonic_s()
            if wait_s > 0:
                self._cancel_timer = self._clock.start_timer(wait_s, self._wait_is_over)
                return
            self._started += 1
            try:
                child = IsolatedChild(
                    wide_cpus=self._wide_cpus,
                    path=self._path,
                    max_result_bytes=self._max_result_bytes,
                    start_timeout_s=self._start_timeout_s,
                    clock=self._clock,
                    on_idle=self._offer,
                    on_end=self._ended,
                )
            except OSError as error:
                self._did_not_start(f"can't be started: {error}")
                continue
            self._children.add(child)
            starting += 1

    def _wait_is_over(self) -> None:
        self._cancel_timer = None
        self._not_before_s = 0.0
        self._start_some()

    def _ended(self, child: IsolatedChild) -> None:
        """In the hub: a child is gone."""
        self._children.discard(child)
        if child in self._idle:
            self._idle.remove(child)
        if child.has_crashed:
            if not child.was_ready:
                self._did_not_start(child.end)
            else:
                self._note_death(child.end, in_vain=not child.tasks)
        self._start_some()

    def _did_not_start(self, reason: str) -> None:
        self._note_death(f"did not start: {reason}", in_vain=True)
        if self._line:
            self._end(next(iter(self._line)), StageCrashed(f"an isolated process did not start: it {reason}"))

    def _note_death(self, reason: str, *, in_vain: bool) -> None:
        self._crashed += 1
        _log.warning("an isolated process %s", reason)
        if in_vain:
            self._deaths += 1
            self._not_before_s = self._clock.monotonic_s() + respawn_delay_s(self._deaths)

    def _drop_timer(self) -> None:
        if self._cancel_timer is not None:
            self._cancel_timer()
            self._cancel_timer = None


def respawn_delay_s(deaths: int) -> float:
    """How long after the last of `deaths` children in a row, none of which came to an answer, the next may start: none
    for the first two, then 0.1 s, doubled each time up to 10 s.
    """
    return 0.0 if deaths < 3 else min(10.0, 0.1 * 2.0 ** min(deaths - 3, 20))


def _close_all() -> None:
    for processes in list(_all):
        processes.close()


def _abandon_all() -> None:
    for processes in list(_all):
        processes.abandon()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_abandon_all)
