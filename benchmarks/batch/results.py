"""What a contestant has on the disk: read line by line, finished or not, with nobody at work."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct, field

from benchmarks.batch.contestants import Contestant, Output
from benchmarks.batch.judge import Found


class _Line(Struct):
    """Ours has the digest among its stages, the others beside the URL."""

    url: str
    sha256: str = ""
    stages: dict[str, msgspec.Raw] = field(default_factory=dict)


_decoder = msgspec.json.Decoder(_Line)


def finished(contestant: Contestant, folder: Path, base: str) -> Iterator[Found | None]:
    """The lines of the output; None for one that is torn. `base` is what the URLs of files begin with."""
    if contestant.output is Output.FILES:
        yield from _sums(folder / "sums.txt", base)
        return
    for path in _files(contestant, folder):
        yield from _lines(path)


def stored(contestant: Contestant, folder: Path, base: str) -> Iterator[Found | None]:
    """What is there at this moment, the output or what will become it."""
    if contestant.output is Output.FILES:
        for path in (folder / "out").glob("*"):
            yield Found(base + path.name, hashlib.sha256(path.read_bytes()).hexdigest())
        return
    yield from finished(contestant, folder, base)
    for path in folder.glob("out.jsonl.percore/**/*.jsonl"):
        yield from _lines(path)


def _files(contestant: Contestant, folder: Path) -> list[Path]:
    if contestant.output is Output.SHARDS:
        return sorted((folder / "out").glob("*.jsonl"))
    return [path for path in (folder / "out.jsonl",) if path.exists()]


def _lines(path: Path) -> Iterator[Found | None]:
    with path.open("rb") as file:
        for line in file:
            try:
                read = _decoder.decode(line)
                stage = read.stages.get("sha256")
                digest = msgspec.json.decode(stage, type=str) if stage is not None else read.sha256
                yield Found(read.url, digest) if line.endswith(b"\n") else None
            except msgspec.DecodeError:
                yield None


def _sums(path: Path, base: str) -> Iterator[Found | None]:
    """What sha256sum wrote: digest, two characters, name."""
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            digest, _, name = line.rstrip("\n").partition("  ")
            yield Found(base + Path(name).name, digest) if line.endswith("\n") and name else None
