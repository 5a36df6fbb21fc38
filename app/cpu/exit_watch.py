"""Exit watch: how a child process ended, told on the hub; and the end of what it has started.

The child is the first of its process group. When it has ended, however, the group is killed too.

There are two ways because gevent has one of its own: once anything in a patched process has started a subprocess,
libev's SIGCHLD handler reaps EVERY child, and nobody else learns how it ended. So in a patched process, on the default
loop, we ask libev. Everywhere else a pidfd says that the child ended and waitid() how, and we leave SIGCHLD alone:
the standard library's own `subprocess` would lose its children to libev.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gevent import monkey
from gevent.hub import Hub

_poll = monkey.get_original("select", "poll")


class ExitWatch:
    """One child that is not reaped yet. Belongs to the hub.

    on_exit  called on the hub once, with the exit code: -N for signal N, None if somebody else took it
    """

    def __init__(self, hub: Hub, pid: int, on_exit: Callable[[int | None], None]) -> None:
        self.pid = pid
        self._on_exit = on_exit
        self._pidfd = os.pidfd_open(pid)
        self._watcher: Any
        if bool(hub.loop.default) and monkey.is_module_patched("os"):
            self._watcher = hub.loop.child(pid)
            self._watcher.start(self._told_by_libev)
        else:
            self._watcher = hub.loop.io(self._pidfd, 1)
            self._watcher.start(self._ended)

    def _told_by_libev(self) -> None:
        code = os.waitstatus_to_exitcode(self._watcher.rstatus)
        # Reaped already, so in theory the number is free; the kernel goes all the way round before it is used again.
        self.kill_group()
        self._close()
        self._on_exit(code)

    def _ended(self) -> None:
        code = self._reap()
        self._close()
        self._on_exit(code)

    def hold_hub(self, is_holding: bool) -> None:
        """Whether the hub goes on turning for this alone; at first it does."""
        self._watcher.ref = is_holding

    def kill_group(self) -> None:
        """Kill the child and all that it has started, but for what has left its group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _reap(self) -> int | None:
        self.kill_group()  # while the number is certainly its own
        try:
            result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return None
        if result is None:
            return None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status

    def wait_killed(self, limit_s: float = 1.0) -> None:
        """For a child that was killed: block until it has ended, and reap it; `on_exit` is not called any more. Gives
        up after `limit_s`: a process in an uninterruptible system call does not die.
        """
        poll = _poll()
        poll.register(self._pidfd, 1)
        poll.poll(int(limit_s * 1000))
        self._reap()
        self._close()

    def forget(self) -> None:
        """In a forked child: the child is the parent's to watch."""
        self._close()

    def _close(self) -> None:
        if self._pidfd >= 0:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._pidfd)
            self._pidfd = -1


def describe(code: int | None) -> str:
    """Words for an exit code: "died by SIGSEGV"."""
    if code is None:
        return "died, and something else in this process took note of how"
    if code >= 0:
        return f"exited with status {code}"
    try:
        return f"died by {signal.Signals(-code).name}"
    except ValueError:
        return f"died by signal {-code}"
