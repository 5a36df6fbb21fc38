"""Parquet: the rows of a file, read by pyarrow (the extra `percore[parquet]`), a run of rows at a time.

Column chunks are read through a small buffer and decoded as far as is asked for, so memory follows the size of a page
and of a run, neither the file's length nor that of its row groups.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from app.errors import BrokenInput, UsageError
from app.files.parquet_extra import pyarrow_is_missing
from app.sources.rows import Rows

_ROWS_AT_ONCE = 500
_BUFFER_BYTES = 256 * 1024


class ParquetRows:
    """One file. Raises UsageError when pyarrow is missing, it is no Parquet, or it has no column `url_column`.

    Safe to ask for `share` in any thread.
    """

    def __init__(self, path: str, url_column: str = "url") -> None:
        try:
            arrow = importlib.import_module("pyarrow")
            parquet = importlib.import_module("pyarrow.parquet")
        except ImportError:
            raise UsageError(pyarrow_is_missing()) from None
        self._errors: tuple[type[Exception], ...] = (arrow.ArrowException, OSError)
        self._string = arrow.string()
        # Its own pool keeps what was given back for a while.
        arrow.set_memory_pool(arrow.system_memory_pool())
        try:
            self._file: Any = parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False, memory_map=False)
        except self._errors as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise UsageError(f"it is no Parquet file that can be read: {error}") from None
        self._rows = Rows(self._file.schema_arrow.names, url_column)
        self._count = self._file.metadata.num_rows
        self._passed = 0

    def __len__(self) -> int:
        """Rows, as the file itself says."""
        return int(self._count)

    @property
    def share(self) -> float:
        """Of the rows that were read, 0 to 1."""
        return self._passed / self._count if self._count else 1.0

    def lines(self) -> Iterator[bytes]:
        """A line (app.sources.forms) for each row. Blocks as the disk does; raises BrokenInput where it is damaged."""
        for batch in self._batches():
            columns = [self._values(column) for column in batch.columns]
            for row in zip(*columns, strict=True):
                yield self._rows.line(row)
            self._passed += batch.num_rows

    def close(self) -> None:
        self._file.close()

    def _batches(self) -> Iterator[Any]:
        try:
            # One thread: more would read ahead, and the batch's cores are its children's.
            yield from self._file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False)
        except self._errors as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise BrokenInput(f"its data is damaged: {' '.join(str(error).split())[:300]}") from None

    def _values(self, column: Any) -> list[object]:
        try:
            return list(column.to_pylist())
        except (ValueError, OverflowError):
            # Nanoseconds, which Python has none of, and text that is none: one by one.
            return [self._value(value) for value in column]

    def _value(self, value: Any) -> object:
        try:
            return value.as_py()
        except (ValueError, OverflowError):
            try:
                return value.cast(self._string).as_py()
            except (OSError, ValueError):
                return None
