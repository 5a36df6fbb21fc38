"""Work folder: where a batch keeps its shards until the output is whole: `OUTPUT.percore/`.

    manifest.json          what is being done; a run with another manifest may not go on in here
    lock                   held by the parent that works here
    parts/000000.jsonl     records of a shard under way, in the order of completion
    shards/000000.jsonl    a finished shard, in input order
    output.jsonl           all of them, for the moment before it becomes the output

The output itself appears at once and whole, at the end, and the folder goes away.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from pathlib import Path

import msgspec

from app.errors import OutputError, UsageError
from app.model.job import FetchOptions
from app.sinks.jsonl import concatenate

_WHOLE = "output.jsonl"

_SHARD_NAME = re.compile(r"\d{6,}\.jsonl")


class Manifest(msgspec.Struct, frozen=True):
    """What of the command decides the records of a job, and so whether a run may go on with another's work.

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
    deny_private: bool
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
    Raises UsageError when the output exists or can't be written, or the folder belongs to another job or is in use.
    """

    def __init__(self, output: str, manifest: Manifest, *, fresh: bool) -> None:
        self._as_folder = output.endswith("/")
        self.output = Path(output)
        self._fresh = fresh
        self._check_name(output)
        self.path = self.output.with_name(self.output.name + ".percore")
        self._clean_up_after_the_end()
        self._check_output(output)
        self._is_new = not self.path.exists()
        try:
            self.path.mkdir(exist_ok=True)
            self._lock()
            if fresh:
                self._clear()
            self._adopt(manifest)
            for folder in ("parts", "shards"):
                (self.path / folder).mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(f"can't write {output}: {error.strerror}: {error.filename}") from error

    def discard_if_new(self) -> None:
        """Leave nothing behind when it turns out that the job can't be done as it was asked for."""
        if self._is_new:
            shutil.rmtree(self.path, ignore_errors=True)

    def _check_name(self, output: str) -> None:
        if output == "-":
            raise UsageError("records can't go to standard output, only to a file or a folder/ (-o out.jsonl)")
        if not self.output.name or self.output.name == "..":
            raise UsageError(f"-o {output!r} is no name for an output")
        if not self.output.parent.is_dir():
            raise UsageError(f"can't write {output}: there is no folder {self.output.parent}")

    def _check_output(self, output: str) -> None:
        if not self.output.exists():
            return
        if self.output.is_dir() != self._as_folder:
            what = "a folder" if self.output.is_dir() else "a file"
            raise UsageError(f"{output} is {what}; a name with a / at its end means a folder of shards")
        # What we did not write ourselves is not ours to throw away.
        if self._as_folder and not all(_SHARD_NAME.fullmatch(path.name) for path in self.output.iterdir()):
            raise UsageError(f"{output} holds other things than shards, and is left alone")
        if not self._fresh:
            raise UsageError(f"{output} exists already and is never overwritten; --fresh replaces it")

    def assemble(self, shards: int) -> None:
        """Turn `shards` finished shards into the output, and remove the folder. Raises OutputError.

        An output that has appeared in the meantime is somebody else's, and is not replaced.
        """
        whole = self.path / _WHOLE
        try:
            if self._as_folder:
                if self._fresh and self.output.exists():
                    shutil.rmtree(self.output)
                os.rename(self.path / "shards", self.output)
            else:
                concatenate((shard_path(self.path, number) for number in range(shards)), whole)
                self._publish(whole)
            shutil.rmtree(self.path)
        except OSError as error:
            raise OutputError(f"can't write {self.output}: {error.strerror}") from error

    def _publish(self, whole: Path) -> None:
        if self._fresh:
            os.replace(whole, self.output)
            return
        try:
            # Unlike a rename, a link fails where there is something already.
            os.link(whole, self.output)
        except FileExistsError:
            raise OutputError(f"{self.output} has appeared since the start, and is not overwritten") from None
        except OSError:
            # A file system without links; between the look and the rename is a moment that nothing guards.
            if self.output.exists():
                raise OutputError(f"{self.output} has appeared since the start, and is not overwritten") from None
            os.rename(whole, self.output)

    def _clean_up_after_the_end(self) -> None:
        """Remove a folder whose output was published, by a run that was killed before it could remove it."""
        whole = self.path / _WHOLE
        if self.output.is_file() and whole.is_file() and self.output.samefile(whole):
            shutil.rmtree(self.path)

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

    def _adopt(self, manifest: Manifest) -> None:
        """Go on with an earlier run's work. Raises UsageError when that was another job's."""
        path = self.path / "manifest.json"
        if path.exists():
            why = _difference(path.read_bytes(), manifest)
            if why:
                raise UsageError(f"{self.path}/ holds an unfinished run ({why}); --fresh starts over")
            return
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.encode(manifest))
        os.rename(temporary, path)


def _difference(found: bytes, manifest: Manifest) -> str:
    """Why the work of the manifest `found` can't be gone on with, in words; "" when it can."""
    if manifest.input_bytes < 0:
        return "standard input can't be read again"
    try:
        theirs, ours = msgspec.json.decode(found), msgspec.to_builtins(manifest)
    except msgspec.DecodeError:
        return "its manifest can't be read"
    differing = [name for name in ours if theirs.get(name) != ours[name]]
    if "options" in differing:
        options = theirs.get("options", {})
        differing.remove("options")
        differing += [name for name, value in ours["options"].items() if options.get(name) != value]
    return f"of another {', '.join(differing)}" if differing else ""
