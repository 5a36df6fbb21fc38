"""Native threads: for functions that release the GIL (hashing, compression, image decoding, numpy).

The laws:
- The threads have the whole machine's mask, not their worker's one core, and take no signals.
- `queue` tasks are handed to the threads ahead of time, so that a thread goes on at once while the hub is in a
  slice. Who comes later stands in line on the hub, first come, first served, and can be killed there.
- A thread can't be stopped. One that works on though nobody waits for it any more (its time was up, or who asked was
  killed) is an OVERRUN: it is counted, and replaced, by up to `spare` threads. With all of those gone too, whoever is
  in line gets StageTimeout at once, and so does who comes, until one returns: nobody waits for ever, and the log
  says it once.
- The GIL is shared. A function that runs Python for long takes it from the hub, 5 ms at a time.

Not gevent's own pool: docs/decisions/0014 says why.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import gevent
import msgspec

from app.cpu.native_thread import Inbox, Shared, Task, start_thread
from app.errors import Draining, PercoreError, StageTimeout
from app.hub.clock import Clock

_T = TypeVar("_T")

_log = logging.getLogger("percore.cpu")

_CLOCK = Clock()


class ThreadStatistics(msgspec.Struct, frozen=True):
    """A snapshot.

    threads    alive, overruns and their replacements included
    running    tasks that a thread is at and somebody waits for
    queued     handed to the threads, not begun
    waiting    in line for that
    overrun    threads that work for nobody at this moment
    ended      tasks that gave a value or raised, in time
    timed_out  tasks whose time was up, or that no thread was left for
    overruns   how many there have ever been
    """

    threads: int
    running: int
    queued: int
    waiting: int
    overrun: int
    ended: int
    timed_out: int
    overruns: int


class NativeThreads:
    """The native threads of one hub: that of the thread which makes it. They start when needed and stay until `close`.

    threads    functions at a time, at least 1
    wide_cpus  their mask
    queue      tasks handed over ahead of time, 0 or more
    spare      threads that may replace overruns, None for as many as `threads`
    clock      its monotonic seconds and its timers; the threads read it too
    """

    def __init__(
        self,
        *,
        threads: int,
        wide_cpus: frozenset[int],
        queue: int,
        spare: int | None = None,
        clock: Clock = _CLOCK,
    ) -> None:
        if threads < 1 or queue < 0 or (spare is not None and spare < 0):
            raise ValueError("threads must be above 0, queue and spare must not be below")
        self._threads = threads
        self._wide_cpus = wide_cpus
        self._queue = queue
        self._spare = threads if spare is None else spare
        self._clock = clock
        self._hub = gevent.get_hub()
        self._closed = False
        self._begin_empty()

    def _begin_empty(self) -> None:
        # Mutable state, changed in this hub's thread only, and never across a switch; `_inbox` and `_done` by all.
        self._pid = os.getpid()
        self._line: dict[Task, None] = {}  # in order of arrival
        self._handed: dict[Task, None] = {}  # to the threads, and somebody waits
        self._overrun: set[Task] = set()
        self._alive = 0
        self._said_stuck = False
        self._ended = self._timed_out = self._overruns = 0
        self._bell = self._hub.loop.async_()
        self._shared = Shared(Inbox(), deque(), self._bell.send, self._wide_cpus, self._clock.monotonic_s)
        self._inbox, self._done = self._shared.inbox, self._shared.done

    @property
    def is_closed(self) -> bool:
        return self._closed

    def run(self, function: Callable[..., _T], *args: object, timeout_s: float | None = None, name: str = "") -> _T:
        """Call `function(*args)` in a native thread; returns its value, raises what it raises. Yields to the hub.

        timeout_s  from when a thread begins it, not counting the line; then StageTimeout here, and an overrun there
        name       for messages; the function's own when empty

        Who is killed in line leaves no trace; who is killed later leaves an overrun, unless no thread has begun.
        Raises StageTimeout too when no thread is left, Draining once closed.
        """
        if self._pid != os.getpid():
            self.abandon()
        if self._closed:
            raise Draining("the native threads are closed")
        self._catch_up()
        name = name or getattr(function, "__qualname__", None) or type(function).__qualname__
        task = Task(partial(function, *args), name, timeout_s)
        self._line[task] = None
        self._hand_over()
        try:
            if not task.is_over:
                task.waiter.get()
        except BaseException:
            self._leave(task)
            raise
        if task.verdict is not None:
            raise task.verdict
        if task.error is not None:
            error, task.error = task.error, None  # the frames that it comes with hold the task
            try:
                raise error
            finally:
                del error  # and this one holds it
        value: _T = task.value
        return value

    def statistics(self) -> ThreadStatistics:
        """Counts at this moment. Never yields."""
        self._catch_up()
        running = sum(task.began_s is not None for task in self._handed)
        return ThreadStatistics(
            threads=self._alive,
            running=running,
            queued=len(self._handed) - running,
            waiting=len(self._line),
            overrun=len(self._overrun),
            ended=self._ended,
            timed_out=self._timed_out,
            overruns=self._overruns,
        )

    def close(self) -> None:
        """Let the threads end, each after the function it is at. Who still waits gets Draining. Does not wait, does not
        yield; safe to call again.
        """
        if self._closed:
            return
        if self._pid != os.getpid():
            self.abandon()
        self._closed = True
        self._refuse_all(Draining, "the native threads were closed")
        for _ in range(self._alive):
            self._inbox.put(None)
        self._alive = 0
        self._bell.stop()
        self._bell.close()

    def abandon(self) -> None:
        """In a forked child: the threads are the parent's. Who waited in the copy gets Draining; new threads start
        when asked for.
        """
        self._refuse_all(Draining, "the process was forked while a native thread ran this")
        self._bell.stop()
        self._begin_empty()

    def _hand_over(self) -> None:
        """Hand tasks to the threads, as far as they go."""
        while self._usable < min(self._threads, len(self._handed) + len(self._line)) and self._start_thread():
            pass
        if self._usable <= 0 and (self._handed or self._line):
            self._say_stuck()
        while self._line and len(self._handed) < self._usable + self._queue:
            task = next(iter(self._line))
            del self._line[task]
            if not self._handed:
                self._bell.start(self._catch_up)
            self._handed[task] = None
            task.is_handed_over = True
            if task.timeout_s is not None:
                task.cancel_timer = self._clock.start_timer(task.timeout_s, partial(self._look_at, task))
            self._inbox.put(task)

    @property
    def _usable(self) -> int:
        """Threads that work for somebody, or for nobody because there is nothing."""
        return self._alive - len(self._overrun)

    def _start_thread(self) -> bool:
        """Whether there is another now."""
        if self._alive >= self._threads + min(self._spare, len(self._overrun)):
            return False
        try:
            start_thread(self._shared)
        except (RuntimeError, MemoryError) as error:
            _log.warning("no further native thread: %s", error)
            return False
        self._alive += 1
        return True

    def _catch_up(self) -> None:
        """Take back what the threads have done with, and hand over what has room now. The bell calls it on the hub; who
        comes earlier must do all of it, for the bell may be silent afterwards.
        """
        if not self._done:
            return
        while self._done:
            task = self._done.popleft()
            if task in self._handed:
                self._ended += 1
                self._end(task, None)
            elif task in self._overrun:
                self._overrun.discard(task)
                self._said_stuck = False
                if self._usable > self._threads:
                    self._inbox.put(None)
                    self._alive -= 1
        self._hand_over()

    def _look_at(self, task: Task) -> None:
        """Its time may be up; in the hub. The clock starts with the thread, which we learn afterwards."""
        task.cancel_timer = None
        self._catch_up()
        if task.is_over or task.timeout_s is None:
            return
        began_s = task.began_s
        left_s = task.timeout_s if began_s is None else began_s + task.timeout_s - self._clock.monotonic_s()
        if left_s > 0:
            task.cancel_timer = self._clock.start_timer(left_s, partial(self._look_at, task))
            return
        self._timed_out += 1
        verdict = StageTimeout(f"{task.name} was not done after {task.timeout_s:g} s; its thread goes on for nobody")
        self._forsake(task, verdict)
        self._hand_over()

    def _leave(self, task: Task) -> None:
        """Its greenlet has left before it was woken."""
        if self._closed or self._pid != os.getpid():
            return
        self._catch_up()
        if not task.is_handed_over:
            self._line.pop(task, None)
            task.is_over = True
        elif not task.is_over:
            self._forsake(task, None)
        self._hand_over()

    def _forsake(self, task: Task, verdict: Exception | None) -> None:
        """Nobody waits for it any more: it is not begun, or becomes an overrun."""
        task.is_withdrawn = True
        if task.began_s is not None:
            self._overrun.add(task)
            self._overruns += 1
        self._end(task, verdict)

    def _end(self, task: Task, verdict: Exception | None) -> None:
        """Its greenlet goes on, in the hub's next callbacks; never switches."""
        self._handed.pop(task, None)
        self._line.pop(task, None)
        if not self._handed:
            self._bell.stop()
        if task.cancel_timer is not None:
            task.cancel_timer()
            task.cancel_timer = None
        task.is_over = True
        task.verdict = verdict
        self._hub.loop.run_callback(task.waiter.switch, None)

    def _refuse_all(self, error: type[PercoreError], reason: str) -> None:
        for task in [*self._handed, *self._line]:
            task.is_withdrawn = True
            self._end(task, error(reason))

    def _say_stuck(self) -> None:
        """No thread is left: nobody is to wait for what may never come."""
        names = ", ".join(sorted({task.name for task in self._overrun}))
        reason = f"no native thread is left: {len(self._overrun)} still run what nobody waits for ({names})"
        if not self._overrun:
            reason = "no native thread can be started"
        if not self._said_stuck:
            self._said_stuck = True
            _log.error("%s", reason)
        self._timed_out += len(self._handed) + len(self._line)
        self._refuse_all(StageTimeout, reason)
