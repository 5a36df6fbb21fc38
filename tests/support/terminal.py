"""A terminal in tests: a pseudo-terminal with a process on it, and what a person would see there.

The screen is an emulation of the few control sequences that `workers.screen` uses; any other is an error, so nothing
passes unseen.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.processes import HANG_GUARD_S, ROOT, session_pids, wait_until

# What a shell does for a command: a process group of its own, which has the terminal. Without somebody who could have
# it go on, ctrl-Z does nothing.
_SHELL = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], process_group=0)
os.tcsetpgrp(0, process.pid)
sys.exit(process.wait())
"""

# And for one with & behind, after `stty tostop`; SIGUSR1 is `fg`.
_SHELL_BEHIND = """
import os, signal, subprocess, sys, termios
how = termios.tcgetattr(0)
how[3] |= termios.TOSTOP
termios.tcsetattr(0, termios.TCSANOW, how)
process = subprocess.Popen(sys.argv[1:], process_group=0)
signal.signal(signal.SIGUSR1, lambda *_: os.tcsetpgrp(0, process.pid))
sys.exit(process.wait())
"""

_SEQUENCE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")


class Screen:
    """Lines as they stand after all that was written; those that have left at the top are kept, too.

    A narrower window breaks long lines anew, as most terminals do.
    """

    def __init__(self, columns: int = 80) -> None:
        self.columns = columns
        self.colours = 0  # how often a style was set
        self._lines: list[str] = [""]
        self._row = self._column = 0

    def write(self, text: str) -> None:
        place = 0
        while place < len(text):
            match = _SEQUENCE.match(text, place)
            if match:
                self._obey(match[1], match[2])
                place = match.end()
                continue
            character = text[place]
            place += 1
            if character == "\r":
                self._column = 0
            elif character == "\n":
                self._down()
            else:
                assert character.isprintable(), repr(character)
                self._put(character)

    def resize(self, columns: int) -> None:
        lines: list[str] = []
        for number, line in enumerate(self._lines):
            pieces = [line[at : at + columns] for at in range(0, len(line), columns)] or [""]
            lines += pieces
            if number == self._row:
                self._row = len(lines) - 1
                self._column = len(pieces[-1])
        self._lines = lines
        self.columns = columns

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._lines).rstrip()

    def _put(self, character: str) -> None:
        if self._column >= self.columns:
            self._column = 0
            self._down()
        line = self._lines[self._row].ljust(self._column)
        self._lines[self._row] = line[: self._column] + character + line[self._column + 1 :]
        self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._lines):
            self._lines.append("")

    def _obey(self, argument: str, command: str) -> None:
        if command == "A":
            self._row -= int(argument)
            assert self._row >= 0, "above the first line"
        elif command in "KJ":
            assert argument == ""
            self._lines[self._row] = self._lines[self._row][: self._column]
            if command == "J":
                del self._lines[self._row + 1 :]
        elif command == "m":
            self.colours += argument not in ("", "0")
        else:
            raise AssertionError(f"a sequence that not every terminal knows: {argument}{command}")


class Terminal:
    """A process on a terminal of its own, which is its session's controlling one. Started by `running_on_terminal`."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        master: int,
        columns: int,
        see: Callable[[bytes, float], object] = lambda data, now_s: None,
    ) -> None:
        self.process = process
        self._master = master
        self._see = see
        self._screen = Screen(columns)
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        with self._lock:
            return self._screen.text

    @property
    def colours(self) -> int:
        with self._lock:
            return self._screen.colours

    def wait_for(self, shown: str | Callable[[str], bool]) -> str:
        """What the screen shows as soon as it has that text."""

        def look() -> str:
            text = self.text
            return text if (shown in text if isinstance(shown, str) else shown(text)) else ""

        try:
            return wait_until(look, f"the terminal shows {shown!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows:\n{self.text}") from None

    def type(self, keys: bytes) -> None:
        """As a person would: b"\\x03" is ctrl-C, which the terminal turns into a signal to its foreground group."""
        os.write(self._master, keys)

    def resize(self, columns: int, rows: int = 24) -> None:
        with self._lock:
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            self._screen.resize(columns)

    def hang_up(self) -> None:
        """The window is closed."""
        # A read under way would keep the terminal open.
        self._is_over.set()
        self._reader.join(HANG_GUARD_S)
        os.close(self._master)
        self._master = -1

    def wait(self) -> int:
        status = self.process.wait(HANG_GUARD_S)
        if self._master >= 0:
            self._reader.join(HANG_GUARD_S)
        return status

    def end(self) -> None:
        for pid in session_pids(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.process.wait()
        self._is_over.set()
        self._reader.join(HANG_GUARD_S)
        if self._master >= 0:
            os.close(self._master)

    def _read(self) -> None:
        rest = b""
        with contextlib.suppress(OSError, ValueError):
            while not self._is_over.is_set():
                if not select.select([self._master], [], [], 0.05)[0]:
                    continue
                data = os.read(self._master, 65_536)
                self._see(data, time.monotonic())
                rest += data
                # Not in the middle of a sequence or a character.
                end = max(rest.rfind(b"\n"), rest.rfind(b"J")) + 1
                with self._lock:
                    self._screen.write(rest[:end].decode())
                rest = rest[end:]
        with self._lock:
            self._screen.write(rest.decode())


def under_a_shell(command: Sequence[str | Path]) -> list[str]:
    """The command that runs it as a shell would, as its only child. For `running_on_terminal`."""
    return [sys.executable, "-c", _SHELL, *map(str, command)]


def behind_a_shell(command: Sequence[str | Path]) -> list[str]:
    """As `under_a_shell`, in the background of a terminal that stops who writes there from it. SIGUSR1 to the shell has
    it in the foreground.
    """
    return [sys.executable, "-c", _SHELL_BEHIND, *map(str, command)]


@contextlib.contextmanager
def running_on_terminal(
    command: Sequence[str | Path],
    *,
    columns: int = 100,
    rows: int = 24,
    env: Mapping[str, str] | None = None,
    see: Callable[[bytes, float], object] = lambda data, now_s: None,
) -> Iterator[Terminal]:
    """Start it there and, whatever happens, end its whole session afterwards.

    see  called in a thread with each piece that comes from the process, and the monotonic moment at which it was read
    """
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    # setsid --ctty makes the terminal the controlling one, so that ctrl-C and a hang-up are signals.
    process = subprocess.Popen(
        ["setsid", "--ctty", *map(str, command)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=ROOT,
        env=os.environ | {"TERM": "xterm-256color"} | dict(env or {}),
    )
    os.close(slave)
    terminal = Terminal(process, master, columns, see)
    try:
        yield terminal
    finally:
        terminal.end()
