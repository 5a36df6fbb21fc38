"""A contestant's process with all that it starts: awaited, looked at, and killed as one."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from benchmarks.clients.protocol import peak_rss_bytes
from benchmarks.common.client_run import Command, kill_group, last_line, started

_POLL_S = 0.01


class Tree:
    """The first process is reaped by `reap` only, so until then its id is its own."""

    def __init__(self, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        self._process = process
        self._root = psutil.Process(process.pid)
        self._said = said
        self._pid_fd = os.pidfd_open(process.pid)
        self.cpu_s = 0.0

    def fileno(self) -> int:
        """To be selected: readable when the first process has ended."""
        return self._pid_fd

    def ended(self, timeout_s: float) -> bool:
        """Whether the first process has, within that time."""
        return bool(select.select([self], [], [], max(0.0, timeout_s))[0])

    def peak_bytes(self) -> int:
        """The most memory of each process that is there now, together; 0 when none is."""
        return sum(peak_rss_bytes(process.pid) for process in self._processes())

    def kill(self) -> None:
        """SIGKILL to all at one moment: they are stopped first, so that none sees another's death and acts on it."""
        stopped: dict[int, psutil.Process] = {}
        while new := [process for process in self._processes() if process.pid not in stopped]:
            for process in new:
                stopped[process.pid] = process
                _signal(process, signal.SIGSTOP)
        for process in stopped.values():
            _signal(process, signal.SIGKILL)
        while any(_runs(process) for process in stopped.values()):
            time.sleep(_POLL_S)

    def reap(self) -> int:
        """Its status, once it has ended; `cpu_s` is then what it and all that it waited for have used. What it has left
        in its group ends, too.
        """
        kill_group(self._process)
        _, status, usage = os.wait4(self._process.pid, 0)
        os.close(self._pid_fd)
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode

    def complaint(self) -> str:
        """The last line that it wrote to standard error."""
        self._said.seek(0)
        return last_line(self._said.read())[:300]

    def is_reaped(self) -> bool:
        return self._process.returncode is not None

    def _processes(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return [self._root, *self._root.children(recursive=True)]
        return []


@contextmanager
def growing(command: Command, environment: Mapping[str, str], cpus: Collection[int], folder: Path) -> Iterator[Tree]:
    """Start it; what is left of it when the `with` ends is killed. Standard error goes to a file beside `folder`."""
    with folder.with_suffix(".err").open("w+b") as said:
        tree = Tree(started(command, environment, cpus, stdout=subprocess.DEVNULL, stderr=said), said)
        try:
            yield tree
        finally:
            if not tree.is_reaped():
                tree.kill()
                tree.reap()


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
