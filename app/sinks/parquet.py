"""Parquet: finished shards as one table, a row for each record, and its records again. Needs pyarrow, the extra
`percore[parquet]`.

The law: the columns are those of the record, in its order, and the same in every file, whatever the job was. What has
a shape of its own in each job (stages, meta) is JSON text; `id` is text, a number's too; what a record leaves out is
null. docs/reference/outputs.md has the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import UNSET, Raw, UnsetType

from app.errors import BrokenInput
from app.model.outcome import Failure, Outcome
from app.model.timing import Timing

# A row group is what is in memory at once: by rows for the usual records, by bytes for those with bodies. One record
# can't be cut.
_GROUP_ROWS = 4096
_GROUP_BYTES = 4 << 20

_ROWS_AT_ONCE = 500
_BUFFER_BYTES = 256 * 1024


class _Error(msgspec.Struct, frozen=True):
    kind: str
    message: str
    stage: str | None = None


class _Row(msgspec.Struct, frozen=True):
    """A record as it is read; see app.model.outcome. What becomes JSON text is not taken apart."""

    index: int
    url: str
    ok: bool
    id: str | int | None = None
    status: int | None = None
    final_url: str | None = None
    headers: dict[str, str] = {}
    bytes: int = 0
    elapsed_s: float = 0.0
    attempts: int = 0
    stages: Raw | UnsetType = UNSET
    error: _Error | None = None
    body: str | None = None
    meta: Raw | UnsetType = UNSET
    timing: Timing | None = None
    warc_id: str | None = None
    body_sha256: str | None = None
    cache: str | None = None


_row = msgspec.json.Decoder(_Row)
_encoder = msgspec.json.Encoder()


def write_parquet(shards: Iterable[Path], out: BinaryIO) -> None:
    """Write the records of finished shards as a Parquet file. Memory follows a row group. Raises OSError."""
    # Its types are not for mypy, and who has no use for it has not installed it.
    arrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    schema, pool = _schema(arrow), _pool(arrow)
    with parquet.ParquetWriter(out, schema, compression="zstd", memory_pool=pool) as writer:
        for rows in _groups(shards):
            columns = [
                arrow.array(
                    list(map(_VALUES.get(field.name, attrgetter(field.name)), rows)), type=field.type, memory_pool=pool
                )
                for field in schema
            ]
            writer.write_batch(arrow.RecordBatch.from_arrays(columns, schema=schema))


def read_parquet(path: Path) -> Iterator[bytes]:
    """The records of a file that `write_parquet` has written, as JSON lines: writing these would give the same rows.

    Memory follows a run of rows. Blocks as the disk does. Raises BrokenInput for what is damaged or no such file,
    OSError when the disk fails.
    """
    arrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    arrow.set_memory_pool(_pool(arrow))
    try:
        with parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False, memory_map=False) as file:
            names = file.schema_arrow.names
            # An earlier version had fewer at the end.
            if names != _schema(arrow).names[: len(names)] or "error" not in names:
                raise BrokenInput("its columns are not those of a record")
            # One thread: more would read ahead.
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False):
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    yield _line(dict(zip(names, values, strict=True)))
    except (arrow.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BrokenInput(f"its data is damaged: {' '.join(str(error).split())[:300]}") from None


def _line(values: dict[str, Any]) -> bytes:
    for name, restore in _RECORDS.items():
        if values.get(name) is not None:
            values[name] = restore(values[name])
    for name in _LEFT_OUT:
        if values.get(name) is None:
            values[name] = UNSET
    return _encoder.encode(Outcome(**values)) + b"\n"


def _groups(shards: Iterable[Path]) -> Iterator[list[_Row]]:
    rows: list[_Row] = []
    held_bytes = 0
    for shard in shards:
        with open(shard, "rb") as file:
            for line in file:
                rows.append(_row.decode(line))
                held_bytes += len(line)
                if len(rows) >= _GROUP_ROWS or held_bytes >= _GROUP_BYTES:
                    yield rows
                    rows = []
                    held_bytes = 0
    if rows:
        yield rows


def _pool(arrow: Any) -> Any:
    # Arrow's own keeps 20 MB more of what was freed, for a speed that nobody needs here.
    return arrow.system_memory_pool()


def _schema(arrow: Any) -> Any:
    text, number, seconds = arrow.string(), arrow.int64(), arrow.float64()
    error = arrow.struct([(name, text) for name in ("kind", "message", "stage")])
    timing = arrow.struct(
        [(name, seconds) for name in ("name_s", "connect_s", "tls_s", "first_byte_s", "total_s")]
        + [("is_reused", arrow.bool_()), ("protocol", text)]
    )
    return arrow.schema(
        [
            arrow.field("index", number, nullable=False),
            ("id", text),
            arrow.field("url", text, nullable=False),
            arrow.field("ok", arrow.bool_(), nullable=False),
            ("status", arrow.int32()),
            ("final_url", text),
            ("headers", arrow.map_(text, text)),
            ("bytes", number),
            ("elapsed_s", seconds),
            ("attempts", arrow.int32()),
            ("stages", text),
            ("error", error),
            ("body", arrow.large_string()),
            ("meta", text),
            ("timing", timing),
            ("warc_id", text),
            ("body_sha256", text),
            ("cache", text),
        ]
    )


def _json(value: Raw | UnsetType) -> str | None:
    return None if value is UNSET else bytes(value).decode()


def _struct(value: msgspec.Struct | None) -> dict[str, Any] | None:
    return None if value is None else msgspec.structs.asdict(value)


# Of the columns that are not the record's own values.
_VALUES: dict[str, Callable[[_Row], Any]] = {
    "id": lambda row: None if row.id is None else str(row.id),
    "headers": lambda row: list(row.headers.items()),
    "stages": lambda row: _json(row.stages),
    "error": lambda row: _struct(row.error),
    "meta": lambda row: _json(row.meta),
    "timing": lambda row: _struct(row.timing),
}


# Back again: what a record has where the row has something else, and what it leaves out where the row has null.
_RECORDS: dict[str, Callable[[Any], Any]] = {
    "headers": dict,
    "stages": lambda text: Raw(text.encode()),
    "error": lambda fields: Failure(**fields),
    "meta": lambda text: Raw(text.encode()),
    "timing": lambda fields: Timing(**fields),
}
_LEFT_OUT = tuple(field.name for field in msgspec.structs.fields(Outcome) if field.default is UNSET)
