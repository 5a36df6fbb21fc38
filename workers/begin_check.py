"""Begin check: whether a child would begin with a job, found out by starting one and giving it no shard.

It loads the stages and reads the settings as each child of a run does, in a process of its own: whatever is wrong with
somebody's module happens there, and what it imports is not in the parent.
"""

from __future__ import annotations

import select
import selectors

from app.errors import UsageError
from workers.child import Child
from workers.messages import Begin, Ready, Refused

# For a process whose sockets are closed already.
_END_S = 5.0


def check_begin(begin: Begin, wide: frozenset[int]) -> None:
    """Returns once a child is ready; it is gone then. Waits for as long as its imports take.

    wide  CPUs that this process may use
    Raises UsageError with what the child refuses, or how it ended.
    """
    child = Child(None, wide)
    try:
        child.send(begin)
        is_ready = _is_ready(child)
    finally:
        if child.is_silent:
            # It is ending by itself; how is of interest.
            select.select([child.pidfd], [], [], _END_S)
        child.kill()
        status, _ = child.reap()
    if not is_ready:
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        raise UsageError(f"a worker {how} before it began" + (", while it loaded the stages" if begin.stages else ""))


def _is_ready(child: Child) -> bool:
    with selectors.DefaultSelector() as selector:
        # Not its end of the socket alone, which what a stage's module has forked may hold open.
        selector.register(child, selectors.EVENT_READ)
        selector.register(child.pidfd, selectors.EVENT_READ)
        while True:
            selector.modify(child, selectors.EVENT_READ | (selectors.EVENT_WRITE if child.has_unsent else 0))
            ended = any(key.fileobj == child.pidfd for key, _ in selector.select())
            child.flush()
            messages, were_the_last = child.receive()
            for message in messages:
                if isinstance(message, Ready):
                    return True
                if isinstance(message, Refused):
                    raise UsageError(message.message)
            if ended or were_the_last:
                return False
