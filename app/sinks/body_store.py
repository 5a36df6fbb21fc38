"""Body store: decoded bodies in a folder, each under the SHA-256 of its content: `DIR/ab/cd/abcd...`.

The law: a file under such a name is whole and has that content, whatever was killed when: it is written in
`DIR/.partial/` and renamed. Equal bodies share one file, those of other jobs too.

A body is not flushed to the disk by itself, which would cost more than its fetch: `flush` does it for all of a shard
before the shard counts as finished. Until then its record is believed only where the body is there and whole.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from pathlib import Path

from app.errors import OutputError
from app.files.reasons import reason_of

_BLOCK_BYTES = 1 << 20


class BodyStore:
    """folder: may be shared by many; slot: who else writes there at the same time has another.

    Raises OutputError whenever the file system refuses.
    """

    def __init__(self, folder: Path, slot: str) -> None:
        self._folder = folder
        self._partial = folder / ".partial" / slot
        try:
            os.makedirs(self._partial.parent, exist_ok=True)
            self._partial.unlink(missing_ok=True)
        except OSError as error:
            raise self._refused(error) from error

    def path_of(self, sha256: str) -> Path:
        """Where the body of that name lies."""
        return self._folder / sha256[:2] / sha256[2:4] / sha256

    def put(self, sha256: str, body: bytes) -> None:
        """Store a body under its digest, unless it is there."""
        path = self.path_of(sha256)
        try:
            if path.exists() and path.stat().st_size == len(body):
                return
            self._write(body)
            try:
                os.rename(self._partial, path)
            except FileNotFoundError:
                os.makedirs(path.parent, exist_ok=True)
                os.rename(self._partial, path)
        except OSError as error:
            # The space is wanted most where there is none left.
            self._partial.unlink(missing_ok=True)
            raise self._refused(error) from error

    def holds(self, sha256: str, size_bytes: int) -> bool:
        """Whether that body is here, with that content: it is read, since a power cut may have spoiled it."""
        digest = hashlib.sha256()
        try:
            with open(self.path_of(sha256), "rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size != size_bytes:
                    return False
                while block := file.read(_BLOCK_BYTES):
                    digest.update(block)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._refused(error) from error
        return digest.hexdigest() == sha256

    def discard(self, sha256: str) -> None:
        """Take a spoiled body away, so that `put` stores it anew."""
        try:
            self.path_of(sha256).unlink(missing_ok=True)
        except OSError as error:
            raise self._refused(error) from error

    def flush(self) -> None:
        """All that was stored is on the disk when this returns; it may take a while."""
        try:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                _sync_file_system(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._refused(error) from error

    def _write(self, body: bytes) -> None:
        descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            rest = memoryview(body)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)

    def _refused(self, error: OSError) -> OutputError:
        return OutputError(f"can't store bodies in {self._folder}: {reason_of(error)}")


_libc = ctypes.CDLL(None, use_errno=True)


def _sync_file_system(descriptor: int) -> None:
    """syncfs(2): one call for a thousand files. fsync of each would wait for the disk a thousand times."""
    if _libc.syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
