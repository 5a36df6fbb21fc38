"""Hubs in tests: waiting without blocking them, and one that is pinned to a CPU, in a thread of its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import gevent
import pytest

from tests.support.processes import HANG_GUARD_S

_T = TypeVar("_T")

WIDE = frozenset(os.sched_getaffinity(0))
PIN = min(WIDE)


def hub_until(condition: Callable[[], _T], what: str) -> _T:
    """As `wait_until` in tests.support.processes, while the hub turns."""
    end_s = time.monotonic() + HANG_GUARD_S
    while not (value := condition()):
        assert time.monotonic() < end_s, f"never: {what}"
        gevent.sleep(0.002)
    return value


def in_a_hub_of_its_own(function: Callable[[], _T], *, pinned: bool = False) -> _T:
    """Call it in a new thread with a new hub, which is destroyed afterwards; pinned: to one CPU of several."""
    if pinned and len(WIDE) < 2:
        pytest.skip("this machine lends us one CPU only")
    ended: list[_T | BaseException] = []

    def run() -> None:
        try:
            if pinned:
                os.sched_setaffinity(0, {PIN})
            ended.append(function())
        except BaseException as error:
            ended.append(error)
        finally:
            gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(HANG_GUARD_S)
    assert ended, "the thread hangs"
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


def thread_ids() -> set[int]:
    """The native threads of this process."""
    return {int(name) for name in os.listdir("/proc/self/task")}
