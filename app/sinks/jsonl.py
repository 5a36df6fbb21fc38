"""JSON Lines: one shard's records in a file, and how a shard's file is finished.

While a shard is under way, its records lie in a part, in the order of completion. A record counts as done once
its whole line has been handed to the kernel, in one write. A part that was left behind (a kill, a full disk) is
taken up again: a torn last line is cut off, whole lines stay. A finished shard is written in input order under
its final name, by rename, so a file of that name is always whole.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from uuid import UUID

import msgspec

from app.errors import OutputError
from app.files.reasons import reason_of
from app.model.outcome import ErrorKind, Failure, Outcome
from app.sinks.copying import copy_bytes
from app.sinks.durable import sync_names
from app.sinks.record import encode_record

Kinds = Counter[str]
"""How many records there are of each error kind, and under "ok" of those that have none."""


class Brief(msgspec.Struct):
    """What a store needs to know of a record: of its page too, if that is kept (app.sinks.page_sink)."""

    index: int
    error: Failure | None
    bytes: int = 0
    warc_id: str | None = None
    body_sha256: str | None = None


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A record as it lies in a file; `line` has its line end, `kind` is "ok" or an error kind."""

    index: int
    kind: str
    line: bytes


OK = "ok"
"""The kind of a record without error."""

_brief = msgspec.json.Decoder(Brief)
_encoder = msgspec.json.Encoder()

# A part of up to this size is put in order in memory, which takes a tenth of the time of copying line by line.
_IN_MEMORY_BYTES = 8 << 20


class JsonlPart:
    """The records of one shard that is under way. Open it, append, then `finish` or `close`.

    path     the part file; taken up again when it exists
    is_kept  whether a record that is taken up again still counts; one that does not is as if it had never been
    Raises OutputError whenever the file system refuses.
    """

    def __init__(self, path: Path, is_kept: Callable[[Brief], bool] = lambda record: True) -> None:
        self._path = path
        self._is_kept = is_kept
        self._places: dict[int, tuple[int, int]] = {}  # index -> (offset, length) of its line
        self._warc_ids: dict[int, str] = {}
        self._kinds: Kinds = Counter()
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._size_bytes = self._recover()
        except OSError as error:
            raise OutputError(f"can't open {path}: {reason_of(error)}") from error

    @property
    def kinds(self) -> Kinds:
        """Counts of the records that are stored by now."""
        return self._kinds.copy()

    @property
    def done(self) -> frozenset[int]:
        """Indexes that have their record."""
        return frozenset(self._places)

    @property
    def warc_ids(self) -> list[str]:
        """Of the records that name one, in input order."""
        return [identifier for _, identifier in sorted(self._warc_ids.items())]

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Store records, in one write. Raises OutputError when they can't be; then the file still ends in a whole line,
        and none of these is in it.
        """
        lines = [encode_record(outcome) + b"\n" for outcome in outcomes]
        try:
            self._write(b"".join(lines))
        except OSError as error:
            os.ftruncate(self._descriptor, self._size_bytes)
            raise OutputError(f"can't write to {self._path}: {reason_of(error)}") from error
        for outcome, line in zip(outcomes, lines, strict=True):
            self._places[outcome.index] = (self._size_bytes, len(line))
            self._size_bytes += len(line)
            self._kinds[_kind(outcome.error)] += 1
            if isinstance(outcome.warc_id, str):
                self._warc_ids[outcome.index] = outcome.warc_id

    def finish(self, path: Path) -> None:
        """Write the records to `path` in input order, flushed to the disk, and drop the part file."""
        temporary = path.with_name(path.name + ".tmp")
        places = [place for _, place in sorted(self._places.items())]
        try:
            with open(temporary, "wb") as out:
                if self._size_bytes <= _IN_MEMORY_BYTES:
                    whole = os.pread(self._descriptor, self._size_bytes, 0)
                    out.write(b"".join([whole[offset : offset + length] for offset, length in places]))
                    out.flush()
                else:
                    for offset, length in places:
                        copy_bytes(self._descriptor, offset, length, out.fileno())
                os.fsync(out.fileno())
            os.rename(temporary, path)
            # The new name is on the disk before the old one goes.
            sync_names(path.parent)
            os.unlink(self._path)
        except OSError as error:
            # The space is wanted most where there is none left.
            temporary.unlink(missing_ok=True)
            raise OutputError(f"can't write {path}: {reason_of(error)}") from error
        finally:
            self.close()

    def duplicate(self) -> int:
        """A descriptor of the part file, for a thread that flushes it to the disk: it outlives `finish` and `close`."""
        return os.dup(self._descriptor)

    def close(self) -> None:
        """Leave the part as it is, to be taken up again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, line: bytes) -> None:
        # The kernel may take a part of it when the disk is nearly full; the next write then says why.
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _recover(self) -> int:
        """Note the whole lines of an earlier run, cut off a torn last one; the size in bytes then."""
        offset = 0
        with open(self._descriptor, "rb", closefd=False) as file:
            for line in file:
                try:
                    brief = _brief.decode(line)
                except msgspec.DecodeError:
                    break
                if not line.endswith(b"\n"):
                    break
                if self._is_kept(brief):
                    self._places[brief.index] = (offset, len(line))
                    self._kinds[_kind(brief.error)] += 1
                    if brief.warc_id is not None:
                        self._warc_ids[brief.index] = brief.warc_id
                offset += len(line)
        os.ftruncate(self._descriptor, offset)
        return offset


def stored_records(lines: Iterable[bytes]) -> Iterator[Stored]:
    """The records of an open file, up to the first line that is none, or is torn."""
    for line in lines:
        try:
            brief = _brief.decode(line)
        except msgspec.DecodeError:
            return
        if not line.endswith(b"\n"):
            return
        yield Stored(brief.index, _kind(brief.error), line)


def brief_record(index: int, kind: str, warc_id: UUID | None) -> Stored:
    """The least that a record can say: for shards whose own records are gone, and that no output will show."""
    error = None if kind == OK else Failure(ErrorKind(kind), "")
    brief = Brief(index, error, warc_id=None if warc_id is None else warc_id.urn)
    return Stored(index, kind, _encoder.encode(brief) + b"\n")


def count_kinds(path: Path) -> Kinds | None:
    """Counts of the records in a finished file; None when there is no such file, or it is spoiled, or it has none.

    Raises OutputError when it can't be read.
    """
    try:
        with open(path, "rb") as file:
            return Counter(_kind(_brief.decode(line).error) for line in file) or None
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    except OSError as error:
        raise OutputError(f"can't read {path}: {reason_of(error)}") from error


def _kind(error: Failure | None) -> str:
    return error.kind.value if error is not None else OK
