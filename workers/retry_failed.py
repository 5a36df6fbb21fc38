"""Retry: how records of failures are taken out of a job again, so that an ordinary run fetches just these.

A finished output is cut into shards first. Then each shard with such a record becomes a part without it. Both can be
done once more after a kill in the middle: nothing has been fetched yet, and the output lies where it was.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from app.errors import UsageError
from app.files.unpacked import Unpacked, UnpackedFile
from app.model.outcome import ErrorKind
from app.policy.sharding import shard_of
from app.sinks.durable import sync_names, write_whole
from app.sinks.jsonl import Stored, stored_records
from app.sinks.outputs import OutputSpec
from workers.layout import PARTS, SHARDS, part_path, shard_path
from workers.ledger import Ledger

ALL_KINDS = frozenset(kind.value for kind in ErrorKind)


def parse_kinds(text: str) -> frozenset[str]:
    """The error kinds that a comma list names; "all" is every one. Raises UsageError for an unknown one."""
    if text == "all":
        return ALL_KINDS
    kinds = frozenset(kind.strip() for kind in text.split(","))
    for kind in sorted(kinds - ALL_KINDS):
        raise UsageError(f"--retry-failed: {kind!r} is no error kind; there are {', '.join(sorted(ALL_KINDS))}")
    return kinds


def source_of(specs: Sequence[OutputSpec]) -> OutputSpec:
    """The output that records can be taken from again. Raises UsageError when there is none."""
    if any(spec.kind == "warc.gz" for spec in specs):
        raise UsageError("--retry-failed can't take requests out of a WARC again; --fresh does the whole job once more")
    for spec in specs:
        if spec.kind != "parquet":
            return spec
    raise UsageError("--retry-failed needs an output of JSON lines beside it; --fresh does the whole job once more")


def unpack(output: Path, folder: Path, shard_size: int) -> None:
    """Cut a finished output of source_of's into the shards of the work folder `folder`.

    Raises OSError, and UsageError when the output has a line that is no record.
    """
    files = sorted(output.iterdir()) if output.is_dir() else [output]
    ledger = Ledger(folder)
    try:
        for number, records in groupby(_all_records(files), lambda record: shard_of(record.index, shard_size)):
            kinds: Counter[str] = Counter()
            write_whole(shard_path(folder, number), _counted(records, kinds))
            ledger.note(number, kinds)
        sync_names(folder / SHARDS)
    finally:
        ledger.close()


def drop_failed(folder: Path, kinds: frozenset[str]) -> None:
    """Take all records of these error kinds out of the work folder's shards and parts. Raises OSError."""
    parts = sorted((folder / PARTS).iterdir())
    ledger = Ledger(folder)
    try:
        for shard in sorted((folder / SHARDS).glob("*.jsonl")):
            number = int(shard.stem)
            counted = ledger.finished(number)
            if counted is None or kinds & counted.keys():
                # First the part, then the shard goes: between the two the shard still counts as finished.
                write_whole(part_path(folder, number), _kept(shard, kinds))
                sync_names(folder / PARTS)
                shard.unlink()
    finally:
        ledger.close()
    for part in parts:
        write_whole(part, _kept(part, kinds))


def _counted(records: Iterable[Stored], kinds: Counter[str]) -> Iterator[bytes]:
    for record in records:
        kinds[record.kind] += 1
        yield record.line


def _kept(path: Path, kinds: frozenset[str]) -> Iterator[bytes]:
    with open(path, "rb") as file:
        yield from (record.line for record in stored_records(file) if record.kind not in kinds)


def _all_records(files: list[Path]) -> Iterator[Stored]:
    for path in files:
        with open(path, "rb", buffering=0) as file:
            size = 0
            unpacked = Unpacked(file)
            for record in stored_records(io.BufferedReader(UnpackedFile(unpacked))):
                size += len(record.line)
                yield record
            if size != unpacked.unpacked_bytes:
                raise UsageError(f"{path} has a line that is no record, at byte {size:,}")
