"""How an isolated child comes into being: what it inherits, and what not. What it does then is `isolated_child`'s.

It gets the environment, the folder, standard error (as its standard output too) and its end of a socket pair; nothing
on its standard input, no other descriptor, no blocked or ignored signal, and a process group of its own.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import signal
import sys

from app.cpu.isolated_child import BOOT, SOCKET_DESCRIPTOR


def spawn(theirs: _socket.socket, path: tuple[str, ...], max_result_bytes: int) -> int:
    """Start a child with `theirs` as its end of the socket pair; returns its process id. Raises OSError. Blocks until
    the program is loaded, under a ms: the memory of this process is shared until then, not copied.
    """
    # Not below 3, where the child has its standard streams.
    descriptor = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 10)
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-c", BOOT, str(os.getpid()), str(max_result_bytes), *path],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, 2, 1),
                (os.POSIX_SPAWN_DUP2, descriptor, SOCKET_DESCRIPTOR),
            ],
            setpgroup=0,
            setsigmask=(),
            setsigdef=[number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)],
        )
    finally:
        os.close(descriptor)
