"""What a batch has acknowledged: the requests that have their record, and how often each was asked for by then.

A record counts once its whole line is in a file of the work folder. From then on its request must never be fetched
again, and its record must be there at the end, whatever happens in between.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.support.batch import records
from tests.support.origin import Origin, body_of


class _Index(msgspec.Struct):
    index: int


_decoder = msgspec.json.Decoder(_Index)


class Acknowledged:
    """Of one job, over all its runs.

    work   its work folder
    paths  of its requests at the origin, by index; all different
    """

    def __init__(self, work: Path, origin: Origin, paths: Sequence[str]) -> None:
        self._work = work
        self._origin = origin
        self._paths = paths
        self._asked: dict[int, int] = {}
        self._read: dict[Path, tuple[int, set[int]]] = {}  # size and indexes; a file of that name only grows, or goes

    def __len__(self) -> int:
        return len(self._asked)

    def look(self) -> set[int]:
        """Note what has its record at this moment, while others may be at work; all that is found now."""
        found = self._found()
        new = found - self._asked.keys()
        if new:
            requests = self._origin.counts().requests
            self._asked |= {index: requests[self._paths[index]] for index in new}
        return found

    def look_at_rest(self) -> None:
        """The same with nobody at work: then all that ever had its record has it."""
        lost = self._asked.keys() - self.look()
        assert not lost, f"{len(lost)} records were there and are not: {sorted(lost)[:10]}"

    def assert_none_again(self) -> None:
        """Nothing was asked for after its record was there."""
        requests = self._origin.counts().requests
        again = [index for index, asked in self._asked.items() if requests[self._paths[index]] != asked]
        assert not again, f"{len(again)} had their record, and were fetched again: {again[:10]}"

    def _found(self) -> set[int]:
        found: set[int] = set()
        for path in self._work.glob("*/*.jsonl"):
            with contextlib.suppress(FileNotFoundError):  # a part becomes a shard as we look
                size_bytes, indexes = self._read.get(path, (-1, set()))
                if path.stat().st_size != size_bytes:
                    lines = path.read_bytes()
                    indexes = {_decoder.decode(line).index for line in lines.splitlines(True) if line.endswith(b"\n")}
                    self._read[path] = len(lines), indexes
                found |= indexes
        return found


def assert_all_right(output: Path, lengths_bytes: Sequence[int]) -> None:
    """One record for each request, in order, ok, with the stage sha256 of the origin's body of that length."""
    got = records(output)
    assert [record["index"] for record in got] == list(range(len(lengths_bytes)))
    for record, length_bytes in zip(got, lengths_bytes, strict=True):
        assert record["ok"], record
        assert record["stages"]["sha256"] == hashlib.sha256(body_of(length_bytes)).hexdigest(), record
