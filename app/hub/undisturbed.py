"""Undisturbed: native threads that take no signals.

One that the kernel hands to a thread in the C library interrupts its system call, and is noted by Python without the
main thread being told, which may be in a stage that lets nobody else run.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

# Those that a thread causes itself stay open: faulthandler shows where, and the kernel would end the process anyhow.
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
_BLOCKED = signal.valid_signals() - _FAULTS


@contextmanager
def undisturbed() -> Iterator[None]:
    """Threads that are started inside the `with` take no signals but those of their own faults. The calling thread
    takes none meanwhile either, so keep it short. Not to be yielded to the hub in.
    """
    # A thread inherits its starter's mask, so that no signal finds it unblocked, be it ever so short.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
