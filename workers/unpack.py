"""Unpack: the outputs of a finished job as the shards that they were made of.

Records come from an output that has them. A WARC is cut into its shards, which are copied as they are. Where there is
nothing but a WARC, the receipt says who failed and the WARC who was captured, which is all that its shards need to be
gone on with: their records say no more than that.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeVar

from app.errors import BrokenInput, UsageError
from app.files.unpacked import Unpacked, UnpackedFile
from app.policy.sharding import shard_of
from app.sinks.durable import copy_whole, sync_names, write_whole
from app.sinks.jsonl import OK, Stored, brief_record, stored_records
from app.sinks.outputs import OutputSpec, has_records, warc_path
from app.sinks.parquet_process import read_parquet_apart
from app.sinks.warc_shards import WarcShard, warc_shards
from workers.failed_indexes import unpacked
from workers.layout import SHARDS, shard_path
from workers.ledger import Ledger
from workers.phase import Phase
from workers.receipt import Receipt

T = TypeVar("T")


class _Shard(NamedTuple):
    """records: in input order, to be iterated over at once; pages: where its captures lie, None without a WARC."""

    number: int
    records: Iterable[Stored]
    pages: WarcShard | None


def unpack(specs: Sequence[OutputSpec], receipt: Receipt, folder: Path, shard_size: int, phase: Phase) -> None:
    """Cut the finished outputs of a job into the shards of the work folder `folder`. Memory follows one shard.

    receipt  theirs
    phase    counts records
    Raises OSError, Interrupted, and UsageError when an output can't be read as what the job has written.
    """
    phase.begin("unpacking", _source(specs), receipt.summary.records)
    ledger = Ledger(folder)
    warc = next((spec.path for spec in specs if spec.kind == "warc.gz"), None)
    try:
        with ExitStack() as stack:
            raw = None if warc is None else stack.enter_context(open(warc, "rb", buffering=0))
            pages = None if raw is None or warc is None else _readable(warc_shards(raw), warc)
            for shard in _shards(specs, pages, receipt.failed, shard_size):
                _write(shard, raw, folder, ledger, phase)
            if pages is not None and next(pages, None) is not None:
                raise _unfit(f"{warc} has more shards than records")
        sync_names(folder / SHARDS)
    finally:
        ledger.close()


def _shards(
    specs: Sequence[OutputSpec], pages: Iterator[WarcShard] | None, failed: dict[str, bytes] | None, shard_size: int
) -> Iterator[_Shard]:
    source = _source(specs)
    if has_records(source):
        return _recorded(_readable(_records_of(source), source.path), pages, shard_size)
    assert pages is not None, "what has no records is a WARC"
    if failed is None:
        raise _unfit("the receipt does not say which requests failed, as it was written by another version")
    return _captured(pages, unpacked(failed), shard_size)


def _source(specs: Sequence[OutputSpec]) -> OutputSpec:
    """The output to take the records from, if any has them."""
    # pyarrow is to be started for, so Parquet comes last.
    return min(specs, key=lambda spec: (not has_records(spec), spec.kind == "parquet"))


def _recorded(records: Iterable[Stored], pages: Iterator[WarcShard] | None, shard_size: int) -> Iterator[_Shard]:
    for number, found in groupby(records, lambda record: shard_of(record.index, shard_size)):
        if pages is None:
            yield _Shard(number, found, None)
            continue
        here = next(pages, None)
        if here is None or any(shard_of(capture.index, shard_size) != number for capture in here.captures):
            raise _unfit(f"the WARC has not the captures of shard {number}")
        yield _Shard(number, found, here)


def _captured(pages: Iterator[WarcShard], failures: Iterator[tuple[int, str]], shard_size: int) -> Iterator[_Shard]:
    """Every request has failed or was captured, or both."""
    failure = next(failures, None)
    last = -1
    for here in pages:
        identifiers = {capture.index: capture.identifier for capture in here.captures}
        first = min([*identifiers, *([failure[0]] if failure else [])], default=None)
        if first is None:
            raise _unfit("the WARC has a shard of nothing")
        number = shard_of(first, shard_size)
        end = (number + 1) * shard_size
        kinds: dict[int, str] = {}
        while failure is not None and failure[0] < end:
            kinds[failure[0]] = failure[1]
            failure = next(failures, None)
        if number <= last or any(index >= end for index in identifiers):
            raise _unfit(f"the WARC has not the captures of shard {number}")
        indexes = sorted(kinds.keys() | identifiers.keys())
        records = [brief_record(index, kinds.get(index, OK), identifiers.get(index)) for index in indexes]
        yield _Shard(number, records, here)
        last = number
    if failure is not None:
        raise _unfit(f"the WARC has no shard of request {failure[0]}")


def _write(shard: _Shard, raw: io.FileIO | None, folder: Path, ledger: Ledger, phase: Phase) -> None:
    path = shard_path(folder, shard.number)
    if shard.pages is not None and raw is not None:
        begin, end, _ = shard.pages
        copy_whole(raw.fileno(), begin, end - begin, warc_path(path))
    kinds: Counter[str] = Counter()
    write_whole(path, _counted(phase.counted(shard.records), kinds))
    ledger.note(shard.number, kinds)


def _counted(records: Iterable[Stored], kinds: Counter[str]) -> Iterator[bytes]:
    for record in records:
        kinds[record.kind] += 1
        yield record.line


def _records_of(spec: OutputSpec) -> Iterator[Stored]:
    if spec.kind == "parquet":
        yield from stored_records(read_parquet_apart(spec.path))
        return
    for path in sorted(spec.path.iterdir()) if spec.kind == "folder" else [spec.path]:
        with open(path, "rb", buffering=0) as file:
            size = 0
            whole = Unpacked(file)
            for record in stored_records(io.BufferedReader(UnpackedFile(whole))):
                size += len(record.line)
                yield record
            if size != whole.unpacked_bytes:
                raise BrokenInput(f"a line is no record, at byte {size:,} of {path.name}")


def _readable(items: Iterator[T], path: Path) -> Iterator[T]:
    try:
        yield from items
    except BrokenInput as error:
        raise _unfit(f"{path} can't be read as what this job has written: {error}") from None


def _unfit(why: str) -> UsageError:
    return UsageError(f"--retry-failed: {why}; --fresh does the whole job once more")
