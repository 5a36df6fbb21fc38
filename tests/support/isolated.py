"""Isolated children in tests: tasks that are held until a gate is opened, and what /proc says of processes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import gevent

from app.cpu.processes import Processes
from tests.support.hubs import hub_until

F = "tests.support.isolated_functions:"


LONG_S = 1000.0


def children_of_ours() -> set[int]:
    """Processes that this thread has started and not reaped."""
    return set(map(int, Path("/proc/thread-self/children").read_text().split()))


def open_files() -> list[str]:
    """What is open, whatever its number: the loop makes its own descriptors anew now and then."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the listing's own
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return sorted(found)


class Gate:
    """A task that is held in its child until the gate is opened."""

    def __init__(self, path: Path) -> None:
        self.argument = str(path).encode()
        self._begun, self._go = Path(f"{path}.begun"), Path(f"{path}.go")

    def start(self, processes: Processes, timeout_s: float = LONG_S) -> gevent.Greenlet[..., bytes]:
        return gevent.spawn(processes.run, F + "wait_for_file", self.argument, timeout_s=timeout_s)

    def pid(self) -> int:
        """Of the child, once the task has begun there."""

        def read() -> str:
            return self._begun.read_text() if self._begun.exists() else ""

        return int(hub_until(read, "the task began"))

    def open(self) -> None:
        self._go.touch()
