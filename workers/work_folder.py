"""Work folder: where a batch keeps its shards until the output is whole: `OUTPUT.percore/`.

    manifest.json          what is being done; a run with another manifest may not go on in here
    lock                   held by the parent that works here
    parts/000000.jsonl     records of a shard under way, in the order of completion
    shards/000000.jsonl    a finished shard, in input order

The output itself appears by one rename at the end, and the folder goes away.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from app.errors import OutputError, UsageError
from app.model.job import FetchOptions
from app.sinks.jsonl import concatenate


class Manifest(msgspec.Struct, frozen=True):
    """What decides the records of a job. Two runs with equal manifests write equal files.

    input_name, input_bytes, input_mtime_ns  of the input; -1 for standard input, which can't be told again
    """

    input_name: str
    input_bytes: int
    input_mtime_ns: int
    format: str
    url_column: str
    shard_size: int
    stages: list[str]
    options: FetchOptions
    max_body_bytes: int
    max_redirects: int
    version: int = 1


def part_path(folder: Path, number: int) -> Path:
    """Where shard `number` lies while it is under way."""
    return folder / "parts" / f"{number:06d}.jsonl"


def shard_path(folder: Path, number: int) -> Path:
    """Where shard `number` lies once it is finished."""
    return folder / "shards" / f"{number:06d}.jsonl"


class WorkFolder:
    """The folder of one run, open and locked.

    output  the final file, or with a trailing "/" the folder of shards
    fresh   throw away an earlier output and an earlier run's work
    Raises UsageError when the output exists, or the folder belongs to another job or is in use;
    OutputError when the file system refuses.
    """

    def __init__(self, output: str, manifest: Manifest, *, fresh: bool) -> None:
        self._as_folder = output.endswith("/")
        self.output = Path(output)
        self.path = self.output.with_name(self.output.name + ".percore")
        if self.output.exists() and not fresh:
            raise UsageError(f"{output} exists already and is never overwritten; --fresh replaces it")
        try:
            self.path.mkdir(exist_ok=True)
            self._lock()
            if fresh:
                self._clear()
            self.is_resumed = self._adopt(manifest)
            for folder in ("parts", "shards"):
                (self.path / folder).mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(f"can't write {output}: {error.strerror}: {error.filename}") from error

    def finished(self, number: int) -> Path | None:
        """The finished file of shard `number`, if there is one."""
        path = shard_path(self.path, number)
        return path if path.exists() else None

    def assemble(self, shards: int) -> None:
        """Turn `shards` finished shards into the output, and remove the folder. Raises OutputError."""
        try:
            if self._as_folder:
                self._replace_folder()
            else:
                concatenate(self._paths(shards), self.output)
            shutil.rmtree(self.path)
        except OSError as error:
            raise OutputError(f"can't write {self.output}: {error.strerror}") from error

    def _paths(self, shards: int) -> Iterator[Path]:
        return (shard_path(self.path, number) for number in range(shards))

    def _replace_folder(self) -> None:
        if self.output.exists():
            shutil.rmtree(self.output)
        os.rename(self.path / "shards", self.output)

    def _lock(self) -> None:
        # Kept open, and so locked, until this process ends in whatever way.
        self._lock_file = open(self.path / "lock", "a+")  # noqa: SIM115
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock_file.seek(0)
            holder = self._lock_file.read().strip() or "?"
            raise UsageError(f"another fetch-batch (process {holder}) is writing {self.output}") from None
        self._lock_file.truncate(0)
        self._lock_file.write(str(os.getpid()))
        self._lock_file.flush()

    def _clear(self) -> None:
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()

    def _adopt(self, manifest: Manifest) -> bool:
        """Whether an earlier run's work is gone on with. Raises UsageError when that was another job's."""
        path = self.path / "manifest.json"
        wanted = msgspec.json.encode(manifest)
        if path.exists():
            if manifest.input_bytes < 0 or path.read_bytes() != wanted:
                why = "standard input can't be read again" if manifest.input_bytes < 0 else "other input or options"
                raise UsageError(f"{self.path}/ holds an unfinished run ({why}); --fresh starts over")
            return True
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(wanted)
        os.rename(temporary, path)
        return False
