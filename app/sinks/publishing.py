"""Publishing: a file or a folder that appears under its name at once and whole, and is known again as ours.

The order, which a kill may end after any step:

1. it is written beside its place, under a name of its own, and flushed to the disk;
2. a note in the job's folder says which file that is (device, inode, size, time of change: a new name alters none);
3. it gets its name: by a link, which fails where something stands already, or by a rename, which replaces it;
4. the other name goes, and the folder that holds the name is flushed.

After a kill before 3, all of it is done again. After 3, the note and what stands there agree, and nothing is done.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from app.errors import OutputError
from app.files.reasons import reason_of
from app.sinks.exchange import exchange


class _Note(msgspec.Struct, frozen=True):
    """Which file or folder has been, or is about to be, published."""

    device: int
    inode: int
    bytes: int
    mtime_ns: int


class Publication:
    """One output on its way to its place.

    path     its place
    folder   the job's own, which lives until all outputs of the job are published
    replace  whether what stands there already may go
    """

    def __init__(self, path: Path, folder: Path, *, replace: bool) -> None:
        self._path = path
        self._beside = path.with_name(f"{path.name}.percore-new")
        self._old = path.with_name(f"{path.name}.percore-old")
        # Two outputs may have the same name in two places.
        key = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
        self._note_path = folder / f"published-{key}.json"
        self._replace = replace

    def is_done(self) -> bool:
        """Whether it stands in its place. Clears away what a kill has left beside it. Raises OutputError."""
        try:
            noted = msgspec.json.decode(self._note_path.read_bytes(), type=_Note)
        except (FileNotFoundError, msgspec.DecodeError):
            return False
        if _note_of(self._path) != noted:
            return False
        try:
            self._clear_away()
            _flush_folder(self._path.parent)
        except OSError as error:
            raise OutputError(f"can't clear up beside {self._path}: {reason_of(error)}") from error
        return True

    @contextmanager
    def file(self) -> Iterator[BinaryIO]:
        """A file to be written; it is published at the end of the `with`, and gone if that raises."""
        self._check()
        self._clear_away()
        try:
            with open(self._beside, "xb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            self._publish()
        except BaseException:
            # The space is wanted most where there is none left.
            self._beside.unlink(missing_ok=True)
            raise

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """The same with a folder; the files in it must be on the disk already."""
        self._check()
        if self._replace and self._old.exists() and not os.path.lexists(self._path):
            # A kill between the two renames. It goes when the new one is ready, not before.
            os.rename(self._old, self._path)
        self._clear_away()
        try:
            os.mkdir(self._beside)
            yield self._beside
            _flush_folder(self._beside)
            self._publish_folder()
        except BaseException:
            shutil.rmtree(self._beside, ignore_errors=True)
            raise

    def _publish(self) -> None:
        self._write_note()
        if self._replace:
            os.replace(self._beside, self._path)
        else:
            try:
                os.link(self._beside, self._path)
                os.unlink(self._beside)
            except FileExistsError:
                raise self._taken() from None
            except OSError:
                # A file system without links; between the look and the rename is a moment that nothing guards.
                self._check()
                os.rename(self._beside, self._path)
        _flush_folder(self._path.parent)

    def _publish_folder(self) -> None:
        self._write_note()
        if self._replace and os.path.lexists(self._path):
            if not exchange(self._beside, self._path):
                # For a moment there is none.
                os.rename(self._path, self._old)
                os.rename(self._beside, self._path)
        else:
            self._check()
            os.rename(self._beside, self._path)
        self._clear_away()
        _flush_folder(self._path.parent)

    def _write_note(self) -> None:
        note = _note_of(self._beside)
        assert note is not None
        temporary = self._note_path.with_suffix(".tmp")
        with open(temporary, "wb") as out:
            out.write(msgspec.json.encode(note))
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, self._note_path)

    def _check(self) -> None:
        if not self._replace and os.path.lexists(self._path):
            raise self._taken()

    def _taken(self) -> OutputError:
        return OutputError(f"{self._path} has appeared since the start, and is not overwritten")

    def _clear_away(self) -> None:
        for left in (self._beside, self._old):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)


def _note_of(path: Path) -> _Note | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return _Note(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
