"""One child of a batch: a pinned, monkey-patched process that fetches shards. Started by workers.supervisor only.

Usage: python -P -m workers.batch_child SOCKET BLACK_BOX CORE PARENT (descriptors; "-" for no core; a process id)

The order of the first lines is the point of this file: tie our life to the parent's; pin, so that every thread
inherits the core; patch, before anything imports sockets; only then import what fetches.
"""

from __future__ import annotations

import ctypes
import io
import os
import signal
import sys

from workers.black_box import BlackBox
from workers.descriptors import raise_limit

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    """Serve the parent on the socket given until it says that there is no more, or goes away."""
    descriptor, black_box, core = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    # What a stage starts must not keep the socket open after our end.
    os.set_inheritable(descriptor, False)
    os.set_inheritable(black_box, False)
    _die_with(int(sys.argv[4]))
    if core != "-":
        _pin(int(core))

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # a child that is killed flushes nothing
    raise_limit()
    box = BlackBox(black_box)
    box.write_stacks()  # before anything is imported that could hang

    from gevent import monkey

    monkey.patch_all()

    # Stages given as module:function are found from the folder that the user stands in; last, so that nothing
    # there can take the place of a module of ours.
    sys.path.append(os.getcwd())

    from workers.batch_worker import BatchWorker
    from workers.drain import leave

    worker = BatchWorker(descriptor, box)
    status = worker.run()
    if worker.is_draining:
        leave(status)
    sys.exit(status)


def _die_with(parent: int) -> None:
    """Have the kernel end us when the parent dies, also while a stage keeps the hub from seeing its socket close.

    Every record is one whole write, so this loses nothing that was recorded.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we could ask
        sys.exit(1)


def _pin(core: int) -> None:
    from workers.affinity import pin

    if why := pin(os.getpid(), core):
        sys.stderr.write(f"fetch-batch: not pinned to CPU {core}: {why}\n")


if __name__ == "__main__":
    main()
