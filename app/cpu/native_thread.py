"""One native thread of `app.cpu.threads`: it takes tasks from an inbox until it finds None there.

Of a task a thread writes `began_s`, `value` and `error`, the hub all else. `is_withdrawn` is set by the hub BEFORE it
looks at `began_s`, and looked at by the thread AFTER it has set that. So a task that the hub finds not begun never
runs; one that both see too late to be sure counts as begun, and comes back at once.
"""

from __future__ import annotations

import _queue
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from gevent import monkey
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Waiter

from app.cpu.wide_mask import widen
from app.hub.undisturbed import undisturbed

# The C one, which blocks a thread: gevent replaces the one in `queue`.
Inbox = _queue.SimpleQueue

_start_new_thread: Callable[..., int] = monkey.get_original("_thread", "start_new_thread")


class Task:
    """One call. `is_over`: the greenlet that asked has its answer, or is on its way, or has left."""

    __slots__ = (
        "began_s",
        "call",
        "cancel_timer",
        "error",
        "is_handed_over",
        "is_over",
        "is_withdrawn",
        "name",
        "timeout_s",
        "value",
        "verdict",
        "waiter",
    )

    def __init__(self, call: Callable[[], Any], name: str, timeout_s: float | None) -> None:
        self.call: Callable[[], Any] | None = call
        self.name = name
        self.timeout_s = timeout_s
        self.began_s: float | None = None
        self.value: Any = None
        self.error: BaseException | None = None
        self.verdict: Exception | None = None
        self.cancel_timer: Callable[[], None] | None = None
        self.is_handed_over = self.is_withdrawn = self.is_over = False
        self.waiter: Waiter[None] = Waiter()


class Shared(NamedTuple):
    """What a hub's threads have in common.

    inbox    where they find tasks; None for one of them to end
    done     where they put tasks that they have done with
    notify   called after that, in the thread; it may raise when nobody listens any more
    """

    inbox: Inbox[Task | None]
    done: deque[Task]
    notify: Callable[[], object]
    wide_cpus: frozenset[int]
    clock_s: Callable[[], float]


def start_thread(shared: Shared) -> None:
    """Start one. Raises RuntimeError or MemoryError if there can't be another. The thread is no `threading.Thread`:
    nobody joins it, and the end of the process does not wait for it.
    """
    with undisturbed():
        _start_new_thread(_run, (shared,))


def _run(shared: Shared) -> None:
    widen(shared.wide_cpus)
    # As `threading.Thread` does, for coverage and debuggers.
    trace, profile = threading.gettrace(), threading.getprofile()
    if trace is not None:
        sys.settrace(trace)
    if profile is not None:
        sys.setprofile(profile)
    try:
        while (task := shared.inbox.get()) is not None:
            _perform(task, shared.clock_s)
            shared.done.append(task)
            del task  # the thread holds no value while it waits
            with suppress(Exception):  # the hub has gone, and with it whoever wanted to know
                shared.notify()
    finally:
        # A function that used gevent has made a hub for this thread.
        hub = get_hub_if_exists()
        if hub is not None:
            hub.destroy(destroy_loop=True)


def _perform(task: Task, clock_s: Callable[[], float]) -> None:
    task.began_s = clock_s()
    call, task.call = task.call, None
    if task.is_withdrawn or call is None:
        return
    try:
        task.value = call()
    except BaseException as error:
        task.error = error
