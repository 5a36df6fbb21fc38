"""Outputs: what `-o` names, and how finished shards become it.

The law: the shards are the truth, and an output is made of them at the end, beside where it shall stand, and appears
there at once (app.sinks.publishing). So a run that is killed while it makes one makes it again, and nothing else. What
needs the pages themselves (a WARC, bodies) is stored while they are here: `PageOutputs` says so to whoever fetches.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Literal
from uuid import uuid4

import msgspec

from app.errors import OutputError, UsageError
from app.files.parquet_extra import pyarrow_is_missing
from app.files.reasons import reason_of
from app.sinks.publishing import Publication
from app.sinks.streams import write_gzip, write_plain, write_zstd

Kind = Literal["jsonl", "jsonl.gz", "jsonl.zst", "parquet", "warc.gz", "folder"]

# The longest suffix that fits decides. NDJSON is another name for the same thing.
_SUFFIXES: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonl.gz": "jsonl.gz",
    ".ndjson.gz": "jsonl.gz",
    ".jsonl.zst": "jsonl.zst",
    ".ndjson.zst": "jsonl.zst",
    ".parquet": "parquet",
    ".warc.gz": "warc.gz",
}


WORK_SUFFIX = ".percore"
"""What the name of a work folder has behind that of its output."""


class OutputSpec(msgspec.Struct, frozen=True):
    """One output as it was asked for.

    name  of a file, or of a folder, without the slash at its end; of a symbolic link, what that leads to: whoever knows
          the output by its own name must find it locked, and a new one takes its place, not the link's
    """

    kind: Kind
    name: str

    @classmethod
    def parse(cls, text: str) -> OutputSpec:
        """Of an argument of `-o`. Raises UsageError for what is no output, and where it can't be written.

        Whether something stands there already is asked later, by whoever may replace it.
        """
        if text == "-":
            raise UsageError("records can't go to standard output, only to a file or a folder/ (-o out.jsonl)")
        path = Path(text)
        if not path.name or path.name == "..":
            raise UsageError(f"-o {text!r} is no name for an output")
        if path.is_symlink():
            path = Path(os.path.realpath(path))
            if path.is_symlink():
                raise UsageError(f"can't write {text}: the symbolic link leads back to itself")
        if not path.parent.is_dir():
            raise UsageError(f"can't write {text}: there is no folder {path.parent}")
        kind: Kind | None = "folder" if text.endswith("/") else _kind_of(Path(text).name)
        if kind is None:
            known = ", ".join(suffix for suffix in _SUFFIXES if "ndjson" not in suffix)
            raise UsageError(f"-o {text}: the name must end in {known}, or in / for a folder of shards")
        if path.name.endswith(WORK_SUFFIX):
            raise UsageError(f"-o {text}: names that end in {WORK_SUFFIX} are those of work folders")
        if kind == "parquet" and find_spec("pyarrow") is None:
            raise UsageError(f"-o {text}: {pyarrow_is_missing()}")
        return cls(kind, str(path))

    @property
    def path(self) -> Path:
        """Where it shall stand."""
        return Path(self.name)

    def __str__(self) -> str:
        return f"{self.name}/" if self.kind == "folder" else self.name

    @property
    def whole_name(self) -> str:
        """The same whatever folder the name was given from, or by way of what links."""
        return os.path.realpath(self.name) + ("/" if self.kind == "folder" else "")


class PageOutputs(msgspec.Struct, frozen=True):
    """What is kept of each page besides its record.

    warc    its exchanges, for a WARC
    bodies  folder of a body store, absolute; None for no bodies
    """

    warc: bool = False
    bodies: str | None = None

    def __bool__(self) -> bool:
        return self.warc or self.bodies is not None


NO_PAGES = PageOutputs()


def parse_outputs(texts: Sequence[str]) -> list[OutputSpec]:
    """The outputs of one run. Raises UsageError as `OutputSpec.parse`, and when two are the same."""
    specs = [OutputSpec.parse(text) for text in texts]
    places: dict[Path, str] = {}
    for spec, text in zip(specs, texts, strict=True):
        place = spec.path.resolve()
        if place in places:
            raise UsageError(f"-o {places[place]} and -o {text} are the same place")
        places[place] = text
    return specs


def page_outputs(specs: Iterable[OutputSpec], bodies: str | None = None) -> PageOutputs:
    """What these outputs, and `--store-bodies`, want of each page. Raises UsageError for what can't be a folder."""
    if bodies is not None:
        try:
            os.makedirs(bodies, exist_ok=True)
        except OSError as error:
            why = "it is a file" if os.path.isfile(bodies) else reason_of(error)
            raise UsageError(f"--store-bodies {bodies}: {why}") from None
        bodies = str(Path(bodies).resolve())
    return PageOutputs(any(spec.kind == "warc.gz" for spec in specs), bodies)


def has_records(spec: OutputSpec) -> bool:
    """Whether the output has the job's records in it."""
    return spec.kind != "warc.gz"


def captures_path(part: Path) -> Path:
    """Where the captures of a shard under way lie, beside its part."""
    return part.with_suffix(".captures")


def warc_path(shard: Path) -> Path:
    """Where the WARC of a shard lies, beside its records."""
    return shard.with_name(f"{shard.name.removesuffix('.jsonl')}.warc.gz")


def assemble(spec: OutputSpec, shards: Iterable[Path], folder: Path, *, replace: bool = False) -> None:
    """Make the output of finished shards, in the order given; nothing where it was made already.

    folder   the job's own, for a note of what has been published; shards and folder must stay until all outputs of
             the job are assembled
    replace  what stands in its place goes, at the same moment as the output comes

    Memory does not follow the number of shards or records. Safe to be killed anywhere and called again. Does not
    yield. Raises OutputError when the file system refuses, and when something that is not ours has appeared there.
    """
    publication = Publication(spec.path, folder, replace=replace)
    if publication.is_done():
        return
    try:
        if spec.kind == "folder":
            with publication.folder() as beside:
                for shard in shards:
                    _link_or_copy(shard, beside / shard.name)
        else:
            with publication.file() as out:
                _WRITERS[spec.kind](shards, out)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise OutputError(f"can't write {spec}: {reason_of(error)}{where}") from error


def is_assembled(spec: OutputSpec, folder: Path) -> bool:
    """Whether `assemble` has published it, and it still stands there."""
    return Publication(spec.path, folder, replace=False).is_done()


def _kind_of(name: str) -> Kind | None:
    fitting = [suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)]
    return _SUFFIXES[max(fitting, key=len)] if fitting else None


def _write_warc(shards: Iterable[Path], out: BinaryIO) -> None:
    # Each is a whole WARC, so all of them together are one (ISO 28500, annex D: one gzip member per record).
    write_plain((warc_path(shard) for shard in shards), out)
    if not out.tell():
        # Only now: it takes half of what fetches along, and hardly any batch is empty.
        from app.sinks.warc import warcinfo

        # Nothing at all would be no gzip file.
        out.write(warcinfo(uuid4(), time.time()))


def _write_parquet(shards: Iterable[Path], out: BinaryIO) -> None:
    # Only now: hardly any batch needs it.
    from app.sinks.parquet_process import write_parquet_apart

    write_parquet_apart(shards, out)


def _link_or_copy(source: Path, target: Path) -> None:
    """The same file under another name, which takes no space; a copy where the file system has no links."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        with open(target, "xb") as out:
            write_plain([source], out)
            out.flush()
            os.fsync(out.fileno())


_WRITERS: dict[Kind, Callable[[Iterable[Path], BinaryIO], None]] = {
    "jsonl": write_plain,
    "jsonl.gz": write_gzip,
    "jsonl.zst": write_zstd,
    "parquet": _write_parquet,
    "warc.gz": _write_warc,
}
