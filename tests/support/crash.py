"""Deaths between any two lines: what a kill -9 at that moment would leave, for every line there is.

    for step in deaths(lambda: store(folder), folder):
        ...  # who ran it was gone before its line number `step`; look at what it left, and go on from there

The lines counted are those of one folder of the checkout, in whatever thread runs them. The first round is one that no
death comes to; it shows the way. Lines before which the files are the same leave the same, so of these one is died at.
Nothing is undone in the one that dies: no `finally`, no buffer that is written.
"""

from __future__ import annotations

import array
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from tests.support.processes import ROOT

DIED = 86

_Seen = Callable[[FrameType], None]


def arm(step: int, folder: str = "app/sinks") -> None:
    """End this process before the line of that number, counted from 0 and from now on."""
    left = step

    def seen(frame: FrameType) -> None:
        nonlocal left
        if left == 0:
            os._exit(DIED)
        left -= 1

    _watch(folder, seen)


def deaths(action: Callable[[], object], place: Path, folder: str = "app/sinks") -> Iterator[int]:
    """Run `action`, all of whose files are in `place`, in a fork of this process again and again, and let it die each
    time with another state of them. Yields the number of lines that were run.
    """
    with tempfile.TemporaryFile() as way:
        assert in_a_fork(lambda: _recorded(action, place, folder, way.fileno())) == 0, "it fails without a death too"
        states = array.array("Q", os.pread(way.fileno(), os.fstat(way.fileno()).st_size, 0))
    assert states, "nothing was done there at all"
    yield len(states)
    for step in [0, *(step for step in range(1, len(states)) if states[step] != states[step - 1])]:
        status = in_a_fork(lambda step=step: _armed(action, step, folder))  # type: ignore[misc]
        assert status in (0, DIED), f"it failed by itself before step {step}; see what it has said"
        yield step


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


def _watch(folder: str, seen: _Seen) -> None:
    beginning = f"{ROOT / folder}{os.sep}"

    def on_line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            seen(frame)
        return on_line

    def on_call(frame: FrameType, event: str, _: Any) -> Any:
        return on_line if frame.f_code.co_filename.startswith(beginning) else None

    threading.settrace(on_call)
    sys.settrace(on_call)


def _recorded(action: Callable[[], object], place: Path, folder: str, descriptor: int) -> None:
    """Write a number for every line that is run: the same as long as the files are the same."""
    states: list[int] = []
    _watch(folder, lambda frame: states.append(hash(frozenset(_state_of(place))) & 0xFFFF_FFFF_FFFF))
    try:
        action()
    finally:
        sys.settrace(None)
    os.write(descriptor, array.array("Q", states).tobytes())


def _state_of(place: str | Path) -> Iterator[tuple[str, int, int, bytes]]:
    """Of each file and folder there: its name, inode, time of change, content."""
    with os.scandir(place) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                yield entry.path, status.st_ino, 0, b""
                yield from _state_of(entry.path)
            else:
                with open(entry.path, "rb", buffering=0) as file:
                    yield entry.path, status.st_ino, status.st_mtime_ns, file.read()


def _armed(action: Callable[[], object], step: int, folder: str) -> None:
    arm(step, folder)
    try:
        action()
    finally:
        sys.settrace(None)
