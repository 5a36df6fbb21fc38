"""The timer that ends slices: a POSIX timer of the monotonic clock, one signal a time, for the main thread alone.

Why this one (docs/decisions/0013-slices.md has the figures): interval timers of CPU time fire at the kernel's tick
(4 ms at 250 Hz), this one when it is due. The kernel sends its signal to one thread (SIGEV_THREAD_ID), so that no
native thread's system call is interrupted by it. SIGVTALRM, since Python runs handlers in the order of the signals'
numbers, and ours may switch away: INT, QUIT, ABRT, TERM, CHLD come before it.

It fires once for each `arm`. The handler stays when nothing is armed: a signal may be under way, and its default
action would end the process. A forked child has the handler and no timer (timer_create(2)).

Source: timer_create(2), timer_settime(2), sigevent(7).
"""

from __future__ import annotations

import ctypes
import os
import signal
from _thread import interrupt_main
from array import array
from collections.abc import Callable
from importlib import import_module
from types import FrameType
from typing import Protocol

from gevent.monkey import get_original

SIGNAL = signal.SIGVTALRM

OnTick = Callable[[FrameType | None], None]

_CLOCK_MONOTONIC = 1
_SIGEV_THREAD_ID = 4

# signal.getsignal would look for an enumeration's member each time: 2 us instead of 0.05.
_handler_of: Callable[[int], object] = import_module("_signal").getsignal
_native_id: Callable[[], int] = get_original("_thread", "get_native_id")


class Timer(Protocol):
    """What ends slices. `on_tick` of the one that was armed last is called, in the main thread."""

    def arm(self, after_s: float) -> None:
        """Tick once, so many seconds from now (> 0), and at no earlier-set time any more."""

    @property
    def is_heard(self) -> bool:
        """Whether ticks still come here: False if a stage has put a handler of its own in place. `arm` mends that."""

    def call_again(self) -> None:
        """Call on_tick as soon as the interpreter is between two instructions. If on_tick itself asks for it, as the
        last thing that it does, that is after it has returned.
        """

    def disarm(self) -> None:
        """Tick no more, but for what is under way."""

    def remaining_s(self) -> float:
        """Seconds until the tick; 0 when none is to come."""

    def close(self) -> None:
        """Give the timer back. Safe to call again."""

    def abandon(self) -> None:
        """In a forked child: forget the timer, which is the parent's."""


class NoTimer:
    """For hubs of other threads than the main one, where no signal handler can run: slices end by request only."""

    def __init__(self, _on_tick: OnTick) -> None:
        pass

    @property
    def is_heard(self) -> bool:
        return True

    def arm(self, after_s: float) -> None:
        pass

    def call_again(self) -> None:
        pass

    def disarm(self) -> None:
        pass

    def remaining_s(self) -> float:
        return 0.0

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass


class _Sigevent(ctypes.Structure):
    # 64 bytes in all: sigevent(7), and linux's SIGEV_MAX_SIZE.
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread_id", ctypes.c_int),
        ("padding", ctypes.c_int * 11),
    )


_libc = ctypes.CDLL(None, use_errno=True)
_libc.timer_create.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_libc.timer_settime.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_libc.timer_gettime.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
_libc.timer_delete.argtypes = (ctypes.c_void_p,)

# Mutable: who was armed last. One stage runs at a time, so no other timer of this thread has anything to tell.
_last_armed: SliceTimer | None = None


def _on_signal(_number: int, frame: FrameType | None) -> None:
    timer = _last_armed
    if timer is not None:
        timer.on_tick(frame)


class SliceTimer:
    """Make and use it in the main thread. Raises OSError when the kernel gives no timer."""

    def __init__(self, on_tick: OnTick) -> None:
        self.on_tick = on_tick
        self._is_armed = False  # has been since the last disarm; it may have rung
        self._id: ctypes.c_void_p | None = ctypes.c_void_p()
        # struct itimerspec: the interval's seconds and nanoseconds, then those until the tick. A Structure is slower.
        self._spec = array("q", (0, 0, 0, 0))
        self._spec_at = self._spec.buffer_info()[0]
        event = _Sigevent(signo=SIGNAL, notify=_SIGEV_THREAD_ID, thread_id=_native_id())
        if _libc.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._id)):
            self._id = None
            raise _os_error("timer_create")

    @property
    def is_heard(self) -> bool:
        return self._id is None or _handler_of(SIGNAL) is _on_signal

    def arm(self, after_s: float) -> None:
        global _last_armed
        if self._id is None:
            return
        if not self.is_heard:
            signal.signal(SIGNAL, _on_signal)
        _last_armed = self
        self._set(max(1, int(after_s * 1e9)))
        self._is_armed = True

    def call_again(self) -> None:
        # The interpreter looks for signals after a call, and would call us again in here. Not after unpacking.
        (_,) = map(interrupt_main, (SIGNAL,))

    def disarm(self) -> None:
        if self._is_armed:
            self._is_armed = False
            self._set(0)

    def remaining_s(self) -> float:
        if self._id is None:
            return 0.0
        left = array("q", (0, 0, 0, 0))
        if _libc.timer_gettime(self._id, left.buffer_info()[0]):
            raise _os_error("timer_gettime")
        return left[2] + left[3] / 1e9

    def close(self) -> None:
        global _last_armed
        if self._id is not None:
            _libc.timer_delete(self._id)
        self._id = None
        self._is_armed = False
        if _last_armed is self:
            _last_armed = None

    def abandon(self) -> None:
        self._id = None
        self.close()

    def _set(self, after_ns: int) -> None:
        self._spec[2], self._spec[3] = divmod(after_ns, 1_000_000_000)
        if _libc.timer_settime(self._id, 0, self._spec_at, None):
            raise _os_error("timer_settime")


def _os_error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
