"""Finished shards, for outputs to be made of, and the records that a table of theirs gives."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.model.outcome import Outcome
from app.sinks.jsonl import JsonlPart
from app.sinks.outputs import warc_path


def outcome(index: int, **fields: Any) -> Outcome:
    return Outcome(index=index, url=f"http://a/{index}", ok=True, **fields)


def shards_of(folder: Path, outcomes: Sequence[Outcome], size: int = 2) -> list[Path]:
    """Finished shards of `size` records, and for each a file that stands for its WARC."""
    paths = []
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    for number in range(-(-len(outcomes) // size)):
        path = folder / "shards" / f"{number:06d}.jsonl"
        part = JsonlPart(folder / "part")
        part.append(outcomes[number * size : (number + 1) * size][::-1])
        part.finish(path)
        warc_path(path).write_bytes(gzip.compress(b"captures %d\n" % number))
        paths.append(path)
    return paths


def as_record(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table as the record that it was."""
    record = {name: value for name, value in row.items() if value is not None}
    record["headers"] = dict(row["headers"])
    for name in ("stages", "meta"):
        if name in record:
            record[name] = json.loads(record[name])
    return record


def as_read(record: dict[str, Any]) -> dict[str, Any]:
    """A record, but for what the table does not tell apart: null and absent, an id's number and its text."""
    if record.get("error"):
        record["error"].setdefault("stage", None)
    if "meta" in record and record["meta"] is None:
        return as_read({name: value for name, value in record.items() if name != "meta"}) | {"meta": None}
    if "id" in record:
        record["id"] = str(record["id"])
    return {name: value for name, value in record.items() if value is not None}
