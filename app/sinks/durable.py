"""Durable: files and names that outlast a power failure, not only a process."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from app.sinks.copying import copy_bytes


def write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    """Write `pieces` to `path`, which has either all of them or what it had before. Raises OSError.

    They may come from the file at `path` itself.
    """
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def copy_whole(source: int, offset: int, length: int, path: Path) -> None:
    """Write a run of bytes of the open file `source` to `path`, as `write_whole` does. Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb", buffering=0) as file:
        copy_bytes(source, offset, length, file.fileno())
        os.fsync(file.fileno())
    os.replace(temporary, path)


def sync_names(folder: Path) -> None:
    """Flush to the disk which names there are in `folder`. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
