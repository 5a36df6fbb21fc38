"""Drain: from signals to the three steps of stopping.

    1  SIGINT, SIGTERM or SIGHUP  take no more, let what is in flight end, up to the drain limit
    2  a second SIGINT            let go of what is in flight
    3  a third one                kill

A signal only raises the step; the loop that waits on `fileno()` wakes up and acts. Nothing is done in a handler. The
same goes for SIGTSTP, ctrl-Z, which asks for no step but for a pause.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

STEP_DRAIN = 1
STEP_CANCEL = 2
STEP_KILL = 3

# How long the last lines wait for a reader who does not read, by the step.
_READER_S = (5.0, 1.0, 0.1, 0.1)

_CATCH = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP)


class StopSignals:
    """A context in which stop signals are counted instead of ending the process. Main thread only.

    wants_pause  ctrl-Z: `suspend` is to be called as soon as all is prepared for it
    """

    def __init__(self) -> None:
        self.step = 0
        self.wants_pause = False
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def __enter__(self) -> StopSignals:
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        # What was ignored when we were started stays so: that is what nohup means.
        catch = [number for number in _CATCH if signal.getsignal(number) is not signal.SIG_IGN]
        self._handlers = {number: signal.signal(number, self._on_signal) for number in catch}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """Readable after a signal."""
        return self._reader.fileno()

    def clear(self) -> None:
        """Make `fileno()` unreadable again."""
        try:
            while self._reader.recv(64):
                pass
        except BlockingIOError:
            pass

    def suspend(self) -> None:
        """Stop this process, as SIGTSTP does by itself. Returns once somebody has it go on, or at once where there is
        nobody who could.
        """
        self.wants_pause = False
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        # To this very thread: so it is stopped before the call is over.
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)

    def reader_limit_s(self) -> float:
        """How long the end of this process may wait for who reads what it says: the less, the more often asked."""
        return _READER_S[self.step]

    def wake(self) -> None:
        """Make `fileno()` readable without a signal. From any thread."""
        # Full: it is readable. Closed: nobody waits any more.
        with suppress(OSError):
            self._writer.send(b"!")

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTSTP:
            self.wants_pause = True
        elif number == signal.SIGINT:
            self.step = min(self.step + 1, STEP_KILL)
        else:
            self.step = max(self.step, STEP_DRAIN)


def leave(status: int) -> NoReturn:
    """End this process after what was registered to be done then, and without taking the interpreter apart.

    That takes 30 ms of CPU in a parent, and 80 in a child, one after the other; who pressed ctrl-C would wait for both.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody is there to read
            stream.flush()
    os._exit(status)
