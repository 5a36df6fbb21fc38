"""One run of one client: started on its cores, interrupted now and then, bounded in time, its line read.

SIGINT comes at random moments of a seeded generator, one at a time: the next pause begins when the last was answered.
Both sides read CLOCK_MONOTONIC, which all processes share.
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from msgspec import Struct

from benchmarks.common.client_run import ClientFailed, Command, figures, kill_group, started
from benchmarks.cpu.pairs import Pair

_PAUSE_S = (0.05, 0.35)


class Measured(Struct, frozen=True):
    """A client's line; benchmarks/cpu/clients/protocol.py says what each field is."""

    done: int
    errors: int
    first_error: str
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    ticks: int = 0
    late_p50_s: float = 0.0
    late_p99_s: float = 0.0
    late_max_s: float = 0.0
    late_histogram: list[int] = []
    took_p50_s: dict[str, float] = {}
    took_p99_s: dict[str, float] = {}
    probes_s: list[float] = []
    scores: dict[int, int] = {}
    versions: dict[str, str] = {}
    pool_cpu_s: float = 0.0
    statistics: Any = None
    pairs: list[Pair] = []


class Interrupts(Struct, frozen=True):
    """Seconds from the signal to the handler's first line, and to what the loop ran because of it, one each."""

    handled_s: list[float]
    looped_s: list[float]


def run_client(
    command: Command,
    environment: Mapping[str, str],
    *,
    task: Path,
    cpus: set[int],
    timeout_s: float,
    interrupts: random.Random | None,
) -> tuple[Measured, Interrupts]:
    """Start, interrupt, wait, read. Raises ClientFailed. Nothing that it started is left when this returns or raises.

    cpus        that it may use
    interrupts  the generator of the moments; None for no signals
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        read_fd, write_fd = os.pipe()
        try:
            command = [*command, task, str(write_fd)]
            process = started(command, environment, cpus, stdout=out, stderr=err, pass_fds=(write_fd,))
        finally:
            os.close(write_fd)
        try:
            said = _Conversation(read_fd, process.pid, time.monotonic() + timeout_s, interrupts)
            in_time = said.until_closed() and _ended(process, said.end_s)
        finally:
            os.close(read_fd)
            kill_group(process)
            process.wait()
        if not in_time:
            raise ClientFailed(f"not done after {timeout_s:g} s")
        return figures(process.returncode, _all_of(out), _all_of(err), Measured), said.interrupts


class _Conversation:
    """What comes through the pipe, and the signals that are sent meanwhile."""

    def __init__(self, read_fd: int, pid: int, end_s: float, chance: random.Random | None) -> None:
        self.end_s = end_s
        self.interrupts = Interrupts([], [])
        self._read_fd = read_fd
        self._pid = pid
        self._chance = chance
        self._buffer = b""
        self._has_loop = False

    def until_closed(self) -> bool:
        """Until nobody holds the pipe's other end, or the list is done. False when the time is over first."""
        line = self._line(self.end_s)
        if not line:
            return line is not None  # ended before it began
        self._has_loop = line == "begin loop"
        while self._chance is not None:
            line = self._line(min(self.end_s, time.monotonic() + self._chance.uniform(*_PAUSE_S)))
            if line is not None:
                return True
            if time.monotonic() >= self.end_s:
                return False
            if not self._interrupt():
                return True
        return self._line(self.end_s) is not None

    def _interrupt(self) -> bool:
        """False when the list was done before all was answered; how long it had waited by then is noted."""
        sent_ns = time.monotonic_ns()
        os.kill(self._pid, signal.SIGINT)
        waiting = {"handled": self.interrupts.handled_s}
        if self._has_loop:
            waiting["looped"] = self.interrupts.looped_s
        while waiting:
            word, _, stamp = (self._line(self.end_s) or "").partition(" ")
            if word not in waiting:
                for noted in waiting.values():
                    noted.append((time.monotonic_ns() - sent_ns) / 1e9)
                return False
            waiting.pop(word).append((int(stamp) - sent_ns) / 1e9)
        return True

    def _line(self, end_s: float) -> str | None:
        """The next line; "" when there is none any more; None when the time is over."""
        while b"\n" not in self._buffer:
            left_s = end_s - time.monotonic()
            if left_s <= 0 or not select.select([self._read_fd], [], [], left_s)[0]:
                return None
            if not (got := os.read(self._read_fd, 65536)):
                return ""
            self._buffer += got
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()


def _ended(process: subprocess.Popen[bytes], end_s: float) -> bool:
    """Waits until it has ended, without taking its status: its id stays its own. False when the time is over first."""
    pid_fd = os.pidfd_open(process.pid)
    try:
        return bool(select.select([pid_fd], [], [], max(0.0, end_s - time.monotonic()))[0])
    finally:
        os.close(pid_fd)


def _all_of(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
