"""Inputs made of files, and what is read from them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from backports import zstd
from hypothesis import HealthCheck, settings

from app.model.outcome import Failure
from app.model.request import Entry
from app.sources.entry import is_entry, parse_entry
from app.sources.inputs import Inputs

# Files of hypothesis' examples may share a folder.
wild = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write(folder: Path, name: str, data: bytes) -> str:
    (folder / name).write_bytes(data)
    return str(folder / name)


def entries(inputs: Inputs) -> list[Entry]:
    found = []
    for index, line in enumerate(inputs.lines()):
        entry = parse_entry(index, line)
        assert is_entry(line) == (entry is not None)
        if entry is not None:
            found.append(entry)
    return found


def read(*names: str, **options: Any) -> list[Entry]:
    return entries(Inputs(names, **options))


def one(folder: Path, name: str, data: bytes, **options: Any) -> list[Entry]:
    return read(write(folder, name, data), **options)


def shown(found: list[Entry]) -> list[tuple[int, str]]:
    """Index and URL of each; of what is no request "!" and the message."""
    return [
        (each.index, f"!{each.request.message}" if isinstance(each.request, Failure) else each.url) for each in found
    ]


PACKINGS = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress}


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> str:
    pq.write_table(pa.table(columns), path, **options)
    return str(path)
