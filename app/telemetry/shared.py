"""Shared: what the workers of one service let each other know of their metrics, through files in one folder.

The law: each worker writes a file of its own, whole, by rename; whoever is asked adds all of them up. The process that
started the workers takes the file of one that has ended, adds its counters to those of all that have gone, and drops
it. So a counter never falls, and a worker's gauges go with it.

A file says which one it is, and the sum of the gone says whom it took in last. Readers look at the files first and at
the sum afterwards, and leave out a file that they meet in it: whatever happens in between, nobody is counted twice or
left out.

The files are small, and lie in memory where there is such a place: writing one takes less time than a slice.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from app.telemetry.families import Sample
from app.telemetry.sums import added_up, counters_of

_T = TypeVar("_T", bound=msgspec.Struct)

_PREFIX = "percore-metrics"

_WORKERS = "[0-9]*.json"
_GONE = "gone.json"

# More may not end between two looks of one reader.
_TAKEN_KEPT = 256


class _File(msgspec.Struct, frozen=True):
    """What a worker says. `token` tells it from one that had the same process id."""

    token: str
    samples: list[Sample]


class _Gone(msgspec.Struct, frozen=True):
    """All that have ended: their counters, and the tokens of the last."""

    taken: list[str] = []
    samples: list[Sample] = []


class SharedMetrics:
    """One worker's side. What the file system refuses is told as OSError.

    folder  is there
    pid     of the worker
    """

    def __init__(self, folder: Path, pid: int) -> None:
        self._folder = folder
        self._token = secrets.token_hex(8)
        self._path = folder / f"{pid}.json"

    def publish(self, samples: Sequence[Sample]) -> None:
        """Replace what the others see of us."""
        _write(self._path, _File(self._token, list(samples)))

    def others(self) -> list[Sample]:
        """What the others have said, and what is left of those that have ended."""
        files = [file for path in self._folder.glob(_WORKERS) if (file := _read(path, _File)) is not None]
        gone = _read(self._folder / _GONE, _Gone) or _Gone()
        left_out = {self._token, *gone.taken}
        return [one for file in files if file.token not in left_out for one in file.samples] + gone.samples


def make_folder(parent: Path, pid: int) -> Path:
    """The folder for the workers of process `pid`, the same whenever it is asked for; for their owner only. Those of
    processes that are not there any more are removed.

    Raises OSError where it can't be had, also when it is somebody else's.
    """
    owner = os.getuid()
    for path in parent.glob(f"{_PREFIX}-{owner}-*"):
        number = path.name.rpartition("-")[2]
        if number.isdigit() and not Path("/proc", number).exists() and path.lstat().st_uid == owner:
            shutil.rmtree(path, ignore_errors=True)
    folder = parent / f"{_PREFIX}-{owner}-{pid}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise PermissionError(f"{folder} is not a folder of ours alone")
    return folder


def retire(folder: Path, alive: Collection[int]) -> None:
    """Workers with other process ids than these have ended: their counters stay, their files go. For the one process
    that starts workers, before it starts another, which may get an id anew. Raises OSError.
    """
    for path in folder.glob(_WORKERS):
        if int(path.stem) not in alive:
            _retire(path, folder / _GONE)


def _retire(path: Path, sum_path: Path) -> None:
    file = _read(path, _File)
    if file is not None:
        gone = _read(sum_path, _Gone) or _Gone()
        if file.token not in gone.taken:
            taken = [*gone.taken, file.token][-_TAKEN_KEPT:]
            _write(sum_path, _Gone(taken, added_up([*gone.samples, *counters_of(file.samples)])))
    path.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """At the end of the process that made it."""
    shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, content: msgspec.Struct) -> None:
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_bytes(msgspec.json.encode(content))
        temporary.rename(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _read(path: Path, kind: type[_T]) -> _T | None:
    """None when it is not there, or is none of ours."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
