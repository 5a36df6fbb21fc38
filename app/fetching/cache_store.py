"""Cache store: a cache folder as the hub uses it: without being held up, within a size, and without a failed fetch
when the disk is full.

What is small and in memory is read at once (preadv2(2), RWF_NOWAIT); what would have to wait for the disk, or is
large, in the hub's thread pool. Small files are written at once, to the page cache; a thread would cost more, and wait
for the GIL at each of its four system calls.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast

import gevent
from gevent import get_hub

from app.files.cache_folder import CacheFolder
from app.files.reasons import reason_of

# Beyond this, writing and reading are worth a thread.
_ASIDE_BYTES = 256 * 1024

# A file is marked as used so seldom: for what is used all the time that is enough.
_TOUCH_EVERY_S = 600.0

# Answers that take a larger share of the limit would throw out all others.
_LARGEST_SHARE = 0.25

# What a file takes besides its content.
_FILE_BYTES = 4096


class CacheStore:
    """The files under `folder`, for one hub.

    limit_bytes  of what they take up on the disk; a little more for a moment
    writers      processes that write there at the same time
    warn         told once, in words, when the folder can't be written or read; the work goes on without it
    """

    def __init__(
        self,
        folder: Path,
        limit_bytes: int,
        *,
        writers: int,
        warn: Callable[[str], None],
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._given = folder
        self._folder = CacheFolder(folder)
        self._limit_bytes = limit_bytes
        self._writers = writers
        self._warn = warn
        self._wall_s = wall_s
        # Mutable, changed in this hub's thread, between two switches.
        self._is_writing = True
        self._has_warned = False
        self._used_bytes: int | None = None  # by all, when last looked at
        self._added_bytes = 0  # by us since then
        self.is_evicting = False

    def read(self, name: str) -> bytes | bytearray | None:
        """The content of that file, None if there is none. Yields to the hub if it has to wait for the disk."""
        path = self._folder.path(name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                status = os.fstat(descriptor)
                data = _read_from_memory(descriptor, status.st_size) if status.st_size <= _ASIDE_BYTES else None
                self._touch(descriptor, status)
            finally:
                os.close(descriptor)
            # By its name: the thread reads on when who waits here is killed.
            return _aside(_read_file, path) if data is None else data
        except FileNotFoundError:
            return None
        except OSError as error:
            self._complain("read", error)
            return None

    def write(self, name: str, pieces: Sequence[bytes]) -> bool:
        """Put a file in place, over an older one; whether it is there now. Yields to the hub if it is large."""
        size_bytes = sum(map(len, pieces))
        if not self._is_writing or size_bytes > self._limit_bytes * _LARGEST_SHARE:
            return False
        try:
            if size_bytes > _ASIDE_BYTES:
                _aside(self._folder.write, name, pieces)
            else:
                self._folder.write(name, pieces)
        except OSError as error:
            # What it was (a full disk) will not be otherwise for the next answer, and each try costs time.
            self._is_writing = False
            self._complain("written", error)
            return False
        self._added_bytes += size_bytes + _FILE_BYTES
        self._mind_limit()
        return True

    def amend(self, name: str, beginning: bytes) -> bool:
        """Put other bytes at the beginning of a file; whether they are there now."""
        if not self._is_writing:
            return False
        try:
            self._folder.amend(name, beginning)
        except FileNotFoundError:
            return False
        except OSError as error:
            self._is_writing = False
            self._complain("written", error)
            return False
        return True

    def remove(self, name: str) -> None:
        """Be rid of a file, if there is one."""
        try:
            self._folder.remove(name)
        except OSError as error:
            self._complain("cleared", error)

    def _touch(self, descriptor: int, status: os.stat_result) -> None:
        now_s = self._wall_s()
        if now_s - status.st_mtime > _TOUCH_EVERY_S:
            try:
                os.utime(descriptor, (now_s, now_s))
            except OSError:
                # Somebody else's file, or a file system that is read only: it can be read all the same.
                return

    def _complain(self, what: str, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._warn(f"the cache {self._given} can't be {what}: {reason_of(error)}; going on without it")

    def _mind_limit(self) -> None:
        # Others write as much as we do, as far as we know.
        used_bytes = self._used_bytes
        is_near = used_bytes is None or used_bytes + self._added_bytes * self._writers > self._limit_bytes
        if is_near and not self.is_evicting:
            self._added_bytes = 0
            self.is_evicting = True
            gevent.spawn(self._evict)

    def _evict(self) -> None:
        try:
            self._used_bytes = _aside(self._folder.keep_within, self._limit_bytes, self._wall_s())
        except OSError as error:
            # Not to be tried for every answer.
            self._used_bytes = 0
            self._complain("cleared", error)
        self.is_evicting = False


_T = TypeVar("_T")


def _aside(function: Callable[..., _T], *args: object) -> _T:
    """In a thread. Yields to the hub. Raises OSError."""
    found = get_hub().threadpool.apply(_value_or_error, (function, *args))
    if isinstance(found, OSError):
        raise found
    return cast("_T", found)


def _value_or_error(function: Callable[..., object], *args: object) -> object:
    """The error as a value: gevent prints what is raised in its threads."""
    try:
        return function(*args)
    except OSError as error:
        return error


def _read_file(path: str) -> bytes:
    return Path(path).read_bytes()


def _read_from_memory(descriptor: int, size_bytes: int) -> bytearray | None:
    """The file's bytes; None if they are not all in memory, or the file system can't tell."""
    buffer = bytearray(size_bytes)
    try:
        if os.preadv(descriptor, [buffer], 0, os.RWF_NOWAIT) == size_bytes:
            return buffer
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EOPNOTSUPP):
            raise
    return None
