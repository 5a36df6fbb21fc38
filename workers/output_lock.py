"""Output lock: which process is making an output, so that no two do.

Each output of a job has one, in the folder `OUTPUT.percore/`: the first one's is the job's work folder, that of any
other holds nothing besides and goes away with the run. So two jobs are kept apart that have any output in common,
whichever it is to either. The kernel lets go of a lock (flock(2)) when its process ends in whatever way.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from app.errors import UsageError
from workers.layout import LOCK, work_path


class OutputLock:
    """Of the output `output`, for a run whose first one is `first`. Call `take`; it is kept until `release`."""

    def __init__(self, output: Path, first: Path) -> None:
        self.folder = work_path(output)
        self._output = output
        self._first = first
        self._file: IO[bytes] | None = None

    @property
    def is_taken(self) -> bool:
        """Whether it is ours."""
        return self._file is not None

    def take(self) -> None:
        """Make it ours, and its folder with it. Raises UsageError, saying whose it is, and OSError."""
        while True:
            self.folder.mkdir(exist_ok=True)
            # Unbuffered: what a full disk does not take must not be tried again when it is closed.
            file = open(self.folder / LOCK, "ab+", buffering=0)  # noqa: SIM115
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with file:
                    raise self._refusal(file) from None
            # Whoever held it may have removed the folder between our look and our lock.
            if _is_same(self.folder / LOCK, file.fileno()):
                break
            file.close()
        self._file = file
        file.truncate(0)
        file.write(f"{os.getpid()}\n{os.path.abspath(self._first)}".encode("utf-8", "surrogateescape"))

    def release(self) -> None:
        """Let go of it, and of its folder if there is nothing else in it."""
        if self._file is None:
            return
        # What can't be looked at or removed (no descriptors, no leave) stays: whoever comes next can take it.
        with suppress(OSError):
            if [path.name for path in self.folder.iterdir()] == [LOCK]:
                # Who comes in between finds the lock taken, or gone.
                (self.folder / LOCK).unlink()
                self.folder.rmdir()
        self._file.close()
        self._file = None

    def _refusal(self, file: IO[bytes]) -> UsageError:
        file.seek(0)
        holder, _, first = file.read().decode("utf-8", "surrogateescape").partition("\n")
        other = "" if first in ("", os.path.abspath(self._output)) else f", whose first output is {first},"
        return UsageError(f"another fetch-batch (process {holder or '?'}){other} is writing {self._output}")


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
