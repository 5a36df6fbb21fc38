"""The wide mask: the CPUs that this machine lets us use, for whatever must not stay on its worker's one core.

The law: a mask belongs to a thread, and a new thread or process gets the mask of the thread that starts it. So what
is to be wide is started by a wide thread, or widens itself before it starts anything.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

_log = logging.getLogger("percore.cpu")

# Mutable: whether it was said; and for each native thread that is wide for a while, how deep, and its mask outside.
_narrower_was_said = False
_widened: dict[int, tuple[int, frozenset[int]]] = {}


def widen(wide_cpus: Collection[int], thread_id: int = 0) -> frozenset[int]:
    """Give a native thread the mask `wide_cpus`; returns the mask that it has now. Never raises, never yields.

    thread_id  as in /proc/PID/task, a process's id for its main thread; 0 is the calling thread

    The kernel cuts a mask to the CPUs of the cgroup (cpuset(7)), and refuses one that has none of them: then the
    thread goes on where it may, and the log says so once a process.
    """
    global _narrower_was_said
    reason = ""
    try:
        os.sched_setaffinity(thread_id, wide_cpus)
    except (OSError, ValueError, OverflowError) as error:
        reason = f": {error}"
    try:
        mask = frozenset(os.sched_getaffinity(thread_id))
    except OSError:
        return frozenset()  # it has ended
    if not mask.issuperset(wide_cpus) and not _narrower_was_said:
        _narrower_was_said = True
        _log.warning(
            "native code gets CPUs %s of the wanted %s%s: the cgroup's cpuset may have changed",
            sorted(mask),
            sorted(wide_cpus),
            reason,
        )
    return mask


@contextmanager
def wide_for_a_while(wide_cpus: Collection[int]) -> Iterator[None]:
    """The calling thread is wide inside the `with`, and has its own mask again afterwards. For imports: see
    `app.cpu.native_libraries`. Yields to the hub only if what is inside does; greenlets of a thread may overlap in it.
    """
    thread_id = threading.get_native_id()
    depth, outside = _widened.get(thread_id, (0, frozenset()))
    if not depth:
        outside = frozenset(os.sched_getaffinity(0))
        widen(wide_cpus)
    _widened[thread_id] = depth + 1, outside
    try:
        yield
    finally:
        depth, outside = _widened[thread_id]
        if depth > 1:
            _widened[thread_id] = depth - 1, outside
        else:
            del _widened[thread_id]
            widen(outside)
