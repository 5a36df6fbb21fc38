"""Kill points: the death of a process before each single thing that it does to the file system.

A forked child does the work; an audit hook in it counts what changes files, and ends the child, as a kill would, just
before one of these. So a test can try every moment there is, and no `finally` tidies up.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator

_CHANGES = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate", "ctypes.dlsym"}
_KILLED = 77
_FAILED = 78


def kill_points(prepare: Callable[[], object], work: Callable[[], object]) -> Iterator[int]:
    """Run `work` in a child that dies before its first change, then in one that dies before its second, and so on.

    `prepare` is run before each, here. Yields how many changes were made, for the test to look at what they left; ends
    with the child that gets through.
    """
    changes = 0
    while True:
        prepare()
        if _run(work, changes) != _KILLED:
            break
        yield changes
        changes += 1
    assert changes, "the work changes nothing"


def _run(work: Callable[[], object], allowed: int) -> int:
    child = os.fork()
    if not child:
        try:
            _arm(allowed)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(_FAILED)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, _KILLED), f"the work failed by itself: {status}"
    return status


def _arm(allowed: int) -> None:
    done = 0

    def look(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal done
        flags = arguments[2] if event == "open" else 0
        if event in _CHANGES or (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
            if done == allowed:
                os._exit(_KILLED)
            done += 1

    sys.addaudithook(look)
