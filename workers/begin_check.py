"""Begin check: whether a child would begin with a job, found out by starting one and giving it no shard.

It loads the stages and reads the settings as each child of a run does, in a process of its own: whatever is wrong with
somebody's module happens there, and what it imports is not in the parent.
"""

from __future__ import annotations

import select
import selectors
import time
from collections.abc import Callable

from app.errors import Interrupted, UsageError
from app.settings import variable_of
from workers.child import Child
from workers.drain import StopSignals
from workers.messages import Begin, Ready, Refused

# For a process whose sockets are closed already.
_END_S = 5.0


def check_begin(
    begin: Begin, wide: frozenset[int], say: Callable[..., None], signals: StopSignals | None = None
) -> None:
    """Returns once a child is ready; it is gone then. Waits for as long as the settings let its imports take.

    wide     CPUs that this process may use
    say      shows lines, each an argument
    signals  what asks to stop; there is nothing to drain
    Raises UsageError with what the child refuses, or how it ended, or when it is not ready by then; Interrupted. To be
    called in the main thread.
    """
    child = Child(None, wide)
    try:
        child.send(begin)
        is_ready = _is_ready(child, begin.settings.start_timeout_s, say, signals)
    finally:
        if child.is_silent:
            # It is ending by itself; how is of interest.
            select.select([child.pidfd], [], [], _END_S)
        child.kill()
        status, _, last_words = child.reap()
        say(*last_words)
    if not is_ready:
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        raise UsageError(f"a worker {how} before it began" + (", while it loaded the stages" if begin.stages else ""))


def _is_ready(child: Child, limit_s: float, say: Callable[..., None], signals: StopSignals | None) -> bool:
    end_s = time.monotonic() + limit_s
    with selectors.DefaultSelector() as selector:
        # Not its end of the socket alone, which what a stage's module has forked may hold open.
        selector.register(child, selectors.EVENT_READ)
        selector.register(child.pidfd, selectors.EVENT_READ)
        selector.register(child.words, selectors.EVENT_READ)
        if signals is not None:
            selector.register(signals, selectors.EVENT_READ)
        while True:
            if signals is not None and signals.step:
                raise Interrupted("before a worker had begun")
            selector.modify(child, selectors.EVENT_READ | (selectors.EVENT_WRITE if child.has_unsent else 0))
            events = selector.select(max(0.0, end_s - time.monotonic()))
            if not events:
                raise UsageError(
                    f"no worker was ready after {limit_s:g} s: the import of a stage hangs, or wants a longer "
                    f"{variable_of('start_timeout_s')}"
                )
            ended = any(key.fileobj == child.pidfd for key, _ in events)
            lines, were_the_last = child.words.lines()
            say(*lines)
            if were_the_last and child.words in selector.get_map():
                selector.unregister(child.words)
            child.flush()
            messages, were_the_last = child.receive()
            for message in messages:
                if isinstance(message, Ready):
                    return True
                if isinstance(message, Refused):
                    raise UsageError(message.message)
            if ended or were_the_last:
                return False
