"""Cache folder: files by name in a folder that many processes share, written, read and evicted. Everything here blocks.

The law: a file appears whole, by rename. So readers need no lock, and a process may be killed at any moment: what it
leaves is a file beside, which a later eviction takes away. Only the beginning of a file may be written over, which
takes a thirtieth of the time: whoever writes it sees to it that a mixture of both is known for none (a checksum).

Eviction takes those that were not used for longest; a file's time of change is when it was last used. One process at
a time does it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from app.errors import UsageError
from app.files.reasons import reason_of

# Of the form of files and their places: another one, another folder.
_VERSION = "v1"
_UNFINISHED = "unfinished"
_LOCK = "lock"
_FOLDERS = 256

# https://bford.info/cachedir/: what backups pass over.
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# A cache of HTTP answers, made by Percore. It may be deleted.\n"

# Below the limit by so much, so that not every answer evicts one.
_KEPT_SHARE = 0.9

# Names are spread evenly, so that some folders tell of all: exactly enough if they hold many files, and those take up
# less than half of the limit.
_SAMPLED_FOLDERS = 16
_SAMPLED_AT_LEAST = 500
_SURELY_SHARE = 0.5

# What a living process would have finished long ago.
_ABANDONED_S = 3600.0

_BLOCK_BYTES = 512


# What no other state of the machine would mend: the name is a mistake.
_MISTAKES = (errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)


def open_folder(folder: Path) -> str:
    """Make the folder, for its owner alone, if it is not there.

    Returns why it can't be used as the machine is now, else nothing.
    Raises UsageError for a name that can't be a folder's.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for sub_folder in (_UNFINISHED, *(f"{number:02x}" for number in range(_FOLDERS))):
            (folder / _VERSION / sub_folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        why = f"the cache {folder} can't be used: {reason_of(error)}"
        if error.filename is not None:
            why += f": {error.filename}"
        if error.errno in _MISTAKES:
            raise UsageError(why) from error
        return why
    _tag(folder / "CACHEDIR.TAG")
    return ""


def _tag(path: Path) -> None:
    """Tell backups. What is there can be read without, and a later run may have room for it."""
    try:
        if not path.exists():
            path.write_bytes(_TAG)
    except OSError:
        with suppress(OSError):
            path.unlink()


class CacheFolder:
    """One process's way to an open folder. Raises OSError. Safe in any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = f"{folder}/{_VERSION}"
        self._beginning = f"{self._folder}/{_UNFINISHED}/{os.getpid()}-{os.urandom(4).hex()}-"
        self._numbers = count()

    def path(self, name: str) -> str:
        """Of the file of that name: lower-case hexadecimal digits, evenly spread."""
        return f"{self._folder}/{name[:2]}/{name}"

    def write(self, name: str, pieces: Sequence[bytes]) -> None:
        """Put a file in place, over an older one. Nothing is left if that fails."""
        beside = f"{self._beginning}{next(self._numbers)}"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                _write_all(descriptor, pieces)
            finally:
                os.close(descriptor)
            os.rename(beside, self.path(name))
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise

    def amend(self, name: str, beginning: bytes) -> None:
        """Put other bytes at the beginning of a file, which counts as used."""
        descriptor = os.open(self.path(name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, beginning, 0)
        finally:
            os.close(descriptor)

    def remove(self, name: str) -> None:
        """Be rid of a file, if there is one."""
        with suppress(FileNotFoundError):
            os.unlink(self.path(name))

    def keep_within(self, limit_bytes: int, now_s: float) -> int:
        """Remove the files that were not used for longest until the rest takes up less than the limit; the bytes that
        it takes up then, by a sample where that is far from the limit. Memory follows the number of minutes in which
        files were used, not that of files.

        When another process is at it already, nothing is removed: what it will leave is told.
        """
        with open(f"{self._folder}/{_LOCK}", "ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                return int(limit_bytes * _KEPT_SHARE)
            self._remove_abandoned(now_s)
            sample = [_disk_bytes(found) for found in self._files(_SAMPLED_FOLDERS)]
            likely_bytes = sum(sample) * _FOLDERS // _SAMPLED_FOLDERS
            if len(sample) >= _SAMPLED_AT_LEAST and likely_bytes < limit_bytes * _SURELY_SHARE:
                return likely_bytes
            return self._evict(limit_bytes)

    def _evict(self, limit_bytes: int) -> int:
        by_minute: Counter[int] = Counter()
        for found in self._files():
            by_minute[_minute(found)] += _disk_bytes(found)
        used_bytes = by_minute.total()
        if used_bytes <= limit_bytes:
            return used_bytes
        excess_bytes = used_bytes - int(limit_bytes * _KEPT_SHARE)
        last_minute = _minute_up_to(by_minute, excess_bytes)
        for found in self._files():
            if excess_bytes > 0 and _minute(found) <= last_minute:
                with suppress(FileNotFoundError):
                    os.unlink(found[1])
                excess_bytes -= _disk_bytes(found)
                used_bytes -= _disk_bytes(found)
        return used_bytes

    def _files(self, folders: int = _FOLDERS) -> Iterator[tuple[os.stat_result, str]]:
        for number in range(folders):
            for found in os.scandir(f"{self._folder}/{number:02x}"):
                # Another process may have replaced or removed it.
                with suppress(FileNotFoundError):
                    yield found.stat(follow_symlinks=False), found.path

    def _remove_abandoned(self, now_s: float) -> None:
        for found in os.scandir(f"{self._folder}/{_UNFINISHED}"):
            with suppress(FileNotFoundError):
                if now_s - found.stat(follow_symlinks=False).st_mtime > _ABANDONED_S:
                    os.unlink(found.path)


def _write_all(descriptor: int, pieces: Sequence[bytes]) -> None:
    rest = [memoryview(piece) for piece in pieces if piece]
    while rest:
        written_bytes = os.writev(descriptor, rest)
        while rest and written_bytes >= len(rest[0]):
            written_bytes -= len(rest.pop(0))
        if rest:
            rest[0] = rest[0][written_bytes:]


def _minute(found: tuple[os.stat_result, str]) -> int:
    return int(found[0].st_mtime) // 60


def _disk_bytes(found: tuple[os.stat_result, str]) -> int:
    return found[0].st_blocks * _BLOCK_BYTES


def _minute_up_to(by_minute: Counter[int], wanted_bytes: int) -> int:
    """The last of the first minutes that have so many bytes together."""
    minute = 0
    for minute in sorted(by_minute):
        wanted_bytes -= by_minute[minute]
        if wanted_bytes <= 0:
            break
    return minute
