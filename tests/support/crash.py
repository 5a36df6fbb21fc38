"""Deaths between any two lines: what a kill -9 at that moment would leave, for every moment there is.

    for step in deaths(lambda: store(folder)):
        ...  # the process that ran it was gone before its line number `step`; look at what it left, and go on from there

The lines counted are those of the given folder of the checkout, in whatever thread runs them. The last round is the
one that no death came to. Nothing is undone in the one that dies: no `finally`, no buffer that is written.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from tests.support.processes import ROOT

DIED = 86


def arm(step: int, folder: str = "app/sinks") -> None:
    """End this process before the line of that number, counted from 0 and from now on."""
    beginning = f"{ROOT / folder}{os.sep}"
    left = step

    def on_line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if event == "line":
            if left == 0:
                os._exit(DIED)
            left -= 1
        return on_line

    def on_call(frame: FrameType, event: str, _: Any) -> Any:
        return on_line if frame.f_code.co_filename.startswith(beginning) else None

    threading.settrace(on_call)
    sys.settrace(on_call)


def deaths(action: Callable[[], object], folder: str = "app/sinks", *, every: int = 1) -> Iterator[int]:
    """Run `action` in a fork of this process again and again, and let it die a line later each time."""
    step = 0
    while True:
        status = in_a_fork(lambda: _armed(action, step, folder))
        assert status in (0, DIED), f"it failed by itself at step {step}; see what it has said"
        yield step
        if status == 0:
            assert step, "nothing was done there at all"
            return
        step += every


def in_a_fork(action: Callable[[], object]) -> int:
    """The exit status of a fork of this process that does `action` and nothing else; 1 if that raised."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, wait_status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(wait_status)


def _armed(action: Callable[[], object], step: int, folder: str) -> None:
    arm(step, folder)
    try:
        action()
    finally:
        sys.settrace(None)
