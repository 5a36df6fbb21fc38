"""Ledger: which shards are finished, and what is in them, so that a resumed run need not read them all.

The law: the ledger is an aid and no witness. A line counts only when the shard's file has the size that it had when
it was finished; without a line the file itself is read. So a ledger that is torn, stale or gone costs time only.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from app.errors import OutputError
from app.files.reasons import reason_of
from app.sinks.jsonl import Kinds, count_kinds
from workers.layout import LEDGER, shard_path


class _Note(msgspec.Struct, frozen=True):
    number: int
    bytes: int
    kinds: dict[str, int]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Note)


class Ledger:
    """The ledger of the work folder `folder`. `note` and `finished` may be called by different threads.

    Raises OutputError when the file system refuses.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LEDGER
        self._notes = self._read()
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise OutputError(f"can't open {self._path}: {reason_of(error)}") from error

    def note(self, number: int, kinds: Mapping[str, int]) -> None:
        """Shard `number` is finished, and its file in place."""
        with suppress(OSError):  # a full disk is found out by those whose records matter
            size = shard_path(self._folder, number).stat().st_size
            os.write(self._descriptor, _encoder.encode(_Note(number, size, dict(kinds))) + b"\n")

    def finished(self, number: int) -> Kinds | None:
        """Counts of a finished shard's records; None when it is not finished, or its file is spoiled."""
        path = shard_path(self._folder, number)
        note = self._notes.pop(number, None)
        try:
            if note is not None and path.stat().st_size == note.bytes:
                return Counter(note.kinds)
        except OSError:
            return None
        kinds = count_kinds(path)
        if kinds is not None:
            self.note(number, kinds)
        return kinds

    def close(self) -> None:
        """No more notes are taken."""
        os.close(self._descriptor)

    def _read(self) -> dict[int, _Note]:
        notes = {}
        with suppress(FileNotFoundError), self._path.open("rb") as lines:
            for line in lines:
                with suppress(msgspec.DecodeError):
                    note = _decoder.decode(line)
                    notes[note.number] = note
        return notes
