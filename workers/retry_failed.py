"""Retry: how records of failures are taken out of a job again, so that an ordinary run fetches just these.

A finished job's outputs are cut into shards first (workers.unpack). Then each shard with such a record becomes a part
without it, and without its capture. Both can be done once more after a kill in the middle: nothing has been fetched
yet, and the outputs lie where they were.
"""

from __future__ import annotations

import io
from collections.abc import Container, Iterator
from pathlib import Path

from app.errors import BrokenInput, UsageError
from app.model.outcome import ErrorKind
from app.sinks.capture_part import Place, write_part
from app.sinks.durable import sync_names, write_whole
from app.sinks.jsonl import stored_records
from app.sinks.outputs import captures_path, warc_path
from app.sinks.warc_shards import warc_shards
from workers.layout import PARTS, SHARDS, output_of, part_path
from workers.ledger import Ledger
from workers.phase import Phase

ALL_KINDS = frozenset(kind.value for kind in ErrorKind)


def parse_kinds(text: str) -> frozenset[str]:
    """The error kinds that a comma list names; "all" is every one. Raises UsageError for an unknown one."""
    if text == "all":
        return ALL_KINDS
    kinds = frozenset(kind.strip() for kind in text.split(","))
    for kind in sorted(kinds - ALL_KINDS):
        raise UsageError(f"--retry-failed: {kind!r} is no error kind; there are {', '.join(sorted(ALL_KINDS))}")
    return kinds


def drop_failed(folder: Path, kinds: frozenset[str], phase: Phase) -> None:
    """Take all records of these error kinds out of the work folder's shards and parts, and their captures. Raises
    OSError, Interrupted, and UsageError when a shard's WARC is damaged.

    phase  counts shards and parts
    """
    parts = sorted((folder / PARTS).glob("*.jsonl"))
    shards = sorted((folder / SHARDS).glob("*.jsonl"))
    phase.begin("dropping", output_of(folder), len(parts) + len(shards))
    ledger = Ledger(folder)
    try:
        for shard in phase.counted(shards):
            number = int(shard.stem)
            counted = ledger.finished(number)
            if counted is None or kinds & counted.keys():
                _begin_again(shard, part_path(folder, number), kinds)
    finally:
        ledger.close()
    # What they have captured of these stays behind: nothing will name it.
    for part in phase.counted(parts):
        write_whole(part, _kept(part, kinds))


def _begin_again(shard: Path, part: Path, kinds: frozenset[str]) -> None:
    """Make a part of a finished shard. First the part, then the shard goes: until then that counts as finished."""
    warc = warc_path(shard)
    if warc.exists():
        with open(shard, "rb") as file:
            kept = {record.index for record in stored_records(file) if record.kind not in kinds}
        with open(warc, "rb", buffering=0) as raw:
            write_part(captures_path(part), raw.fileno(), _places(raw, warc, kept))
    write_whole(part, _kept(shard, kinds))
    sync_names(part.parent)
    shard.unlink()
    warc.unlink(missing_ok=True)


def _places(raw: io.FileIO, path: Path, indexes: Container[int]) -> Iterator[Place]:
    """Where the captures of these requests lie."""
    try:
        for shard in warc_shards(raw):
            for found in shard.captures:
                if found.index in indexes:
                    yield Place(found.identifier, found.begin, found.end - found.begin)
    except BrokenInput as error:
        raise UsageError(f"{path}: {error}; --fresh does the whole job once more") from None


def _kept(path: Path, kinds: frozenset[str]) -> Iterator[bytes]:
    with open(path, "rb") as file:
        yield from (record.line for record in stored_records(file) if record.kind not in kinds)
