"""Real processes in tests: started, awaited by what they say or do, and ended for certain.

Law: every process gets a session of its own, and ending means that session, whatever groups its processes are
in: TERM to the first process, which may end the others in its own way, then KILL for all that is left. Nothing
that we didn't start is ever signalled: the first process isn't reaped before all that is over, so no stranger
can have got its id. Bounds in seconds are hang guards, never an expectation of speed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

from tests.support.ports import Address, is_connectable

ROOT = Path(__file__).resolve().parents[2]
HANG_GUARD_S = 30.0
SCRIPT_GUARD_S = 300.0
"""For what runs many programs one after another. It is beyond pytest's own guard, which such a test has to raise."""
_POLL_S = 0.01

_T = TypeVar("_T")


class ProcessFailed(AssertionError):
    """A process ended too early or didn't do what was awaited; the message holds all that it wrote."""


def wait_until(condition: Callable[[], _T], what: str, timeout_s: float = HANG_GUARD_S) -> _T:
    """Polls until `condition()` is true and returns its value; AssertionError "never: what" after the guard."""
    end_s = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end_s:
            raise AssertionError(f"never: {what}")
        time.sleep(_POLL_S)


class Running:
    """A started process and what it has written so far. Threads read both its pipes, so it never blocks on them."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._said = threading.Condition()
        self._out = bytearray()
        self._err = bytearray()
        self._readers = [
            threading.Thread(target=self._read, args=(pipe, kept), daemon=True)
            for pipe, kept in ((popen.stdout, self._out), (popen.stderr, self._err))
            if pipe is not None
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Its process id, which is its process group's and its session's too."""
        return self._popen.pid

    @property
    def stdin(self) -> IO[bytes]:
        """Its standard input; start it with `stdin=subprocess.PIPE`."""
        assert self._popen.stdin is not None, "started without a pipe for its standard input"
        return self._popen.stdin

    @property
    def stdout(self) -> str:
        """What it has written so far (all of it, once `wait` has returned)."""
        with self._said:
            return self._out.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        with self._said:
            return self._err.decode("utf-8", "replace")

    @property
    def returncode(self) -> int | None:
        """None while it runs; -N if signal N ended it. Looking doesn't reap it."""
        if self._popen.returncode is not None:
            return self._popen.returncode
        result = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if result is None:
            return None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status

    def wait(self, timeout_s: float = HANG_GUARD_S) -> int:
        """Waits for its end and for the last of its output; returns the exit code. Raises ProcessFailed."""
        end_s = time.monotonic() + timeout_s
        while (code := self.returncode) is None:
            if time.monotonic() > end_s:
                raise self._failed(f"still runs after {timeout_s:g} s")
            time.sleep(_POLL_S)
        for reader in self._readers:
            # A surviving child may hold the pipe open; what it says later is none of ours.
            reader.join(max(0.0, min(1.0, end_s - time.monotonic())) if self._children_left() else timeout_s)
        return code

    def wait_for_line(self, contains: str, *, stream: str = "either", timeout_s: float = HANG_GUARD_S) -> str:
        """The first whole line with that text on "stdout", "stderr" or "either". Raises ProcessFailed."""
        sources = {"stdout": (self._out,), "stderr": (self._err,), "either": (self._out, self._err)}[stream]
        wanted = contains.encode()
        end_s = time.monotonic() + timeout_s
        with self._said:
            while True:
                ended = not any(reader.is_alive() for reader in self._readers)
                for source in sources:
                    for line in source.splitlines(keepends=True):
                        if wanted in line and line.endswith((b"\n", b"\r")):
                            return line.decode("utf-8", "replace").rstrip("\r\n")
                if ended or time.monotonic() > end_s:
                    raise self._failed(f"never wrote a line with {contains!r}")
                self._said.wait(0.1)

    def wait_connectable(self, address: Address, timeout_s: float = HANG_GUARD_S) -> None:
        """Waits until (host, port) or a unix socket's path takes connections. Raises ProcessFailed if it ends first."""
        end_s = time.monotonic() + timeout_s
        while not is_connectable(address):
            if self.returncode is not None:
                self.wait()  # for the last of its output, which says why
                raise self._failed(f"ended with {self.returncode} before {address} took connections")
            if time.monotonic() > end_s:
                raise self._failed(f"{address} never took connections")
            time.sleep(_POLL_S)

    def signal(self, number: int) -> None:
        """Sends a signal to this one process; nothing happens if it has ended."""
        if self._popen.returncode is None:  # not reaped: the id is still its own
            os.kill(self.pid, number)

    def session(self) -> list[int]:
        """The living processes of its session: itself and all that it started and that made no session of their own."""
        return session_pids(self.pid)

    def end(self, term_grace_s: float = 10.0) -> None:
        """Ends the whole session and reaps the first process. Safe to call again."""
        if self._popen.returncode is not None:
            return
        if self.returncode is None:
            os.kill(self.pid, signal.SIGTERM)
            with contextlib.suppress(AssertionError):
                wait_until(lambda: self.returncode is not None, "TERM ended it", term_grace_s)
        wait_until(self._kill_all, f"KILL ended the session of {self.pid}")
        self._popen.wait()
        for reader in self._readers:
            reader.join(HANG_GUARD_S)
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _kill_all(self) -> bool:
        """Sends KILL to all of the session; True once none is left, for one may have forked just before."""
        alive = self.session()
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not alive

    def _read(self, pipe: IO[bytes], kept: bytearray) -> None:
        while data := os.read(pipe.fileno(), 65_536):
            with self._said:
                kept += data
                self._said.notify_all()
        with self._said:
            self._said.notify_all()

    def _children_left(self) -> bool:
        return any(pid != self.pid for pid in self.session())

    def _failed(self, what: str) -> ProcessFailed:
        out, err = self._out.decode("utf-8", "replace"), self._err.decode("utf-8", "replace")
        command = " ".join(map(str, self._popen.args)) if isinstance(self._popen.args, (list, tuple)) else "it"
        return ProcessFailed(f"{command}: {what}\n--- stdout\n{out}\n--- stderr\n{err}")


@contextlib.contextmanager
def running_process(
    command: Sequence[str | Path],
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    term_grace_s: float = 10.0,
    pass_fds: Sequence[int] = (),
) -> Iterator[Running]:
    """Starts the command and, whatever happens inside the `with`, ends its whole session afterwards.

    env           the whole environment, None for our own
    term_grace_s  how long TERM may take before KILL follows; 0 to kill at once
    """
    popen = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=pass_fds,
    )
    running = Running(popen)
    try:
        yield running
    finally:
        running.end(term_grace_s)


def limit_files(pid: int, limit: int) -> None:
    """Lower a process's limit of open files. What it has open stays so."""
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))


def session_pids(session: int) -> list[int]:
    """The ids of a session's living processes (zombies don't count), from /proc."""
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            # After the command's name, which may hold anything: state, parent, group, session.
            fields = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(entry.name))
    return sorted(found)


def state_of(pid: int) -> str:
    """As in proc_pid_stat(5), but X when there is no such process."""
    try:
        # After the command's name, which may hold anything.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:  # also while it is read
        return "X"


def is_alive(pid: int) -> bool:
    """Whether that process still runs; one that only waits to be reaped does not."""
    return state_of(pid) not in "ZX"


def ended_pid() -> int:
    """The id of a process that is not there any more."""
    popen = subprocess.Popen([sys.executable, "-S", "-c", ""])
    popen.wait()
    return popen.pid
