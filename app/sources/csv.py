"""CSV: rows under a header line, one of whose columns holds the URL; each becomes a JSON request object.

The column `id`, if there is one, becomes the request's id; all others go into `meta`, as text. `index` counts
rows after the header, since a quoted field may hold line breaks.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from app.errors import UsageError
from app.sources.lines import MAX_LINE_BYTES, read_lines


def read_rows(stream: BinaryIO, url_column: str = "url") -> Iterator[bytes]:
    """Each row as the bytes of a JSON object. Blocks as the stream does.

    Raises UsageError, before the first row, when the header has no column `url_column`. A row that can't be
    read becomes an object without URL, hence a failed record; so does one with more fields than the header.
    """
    # Line by line, of bounded length: what is no CSV at all must not fill the memory.
    text = (line.decode(errors="replace") for line in read_lines(stream, keep_ends=True))
    csv.field_size_limit(MAX_LINE_BYTES)
    rows = csv.reader(text)
    try:
        header = [name.strip() for name in next(rows, [])]
    except csv.Error as error:
        raise UsageError(f"the header is no CSV: {error}") from None
    if url_column not in header:
        columns = ", ".join(header) or "none"
        raise UsageError(
            f"no column {url_column!r} in the header (columns: {columns}; they are separated by commas); "
            "name it with --url-column"
        )
    return _objects(rows, header, url_column)


def _objects(rows: Iterator[list[str]], header: list[str], url_column: str) -> Iterator[bytes]:
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield msgspec.json.encode({"unreadable": str(error)})
            continue
        yield _object(row, header, url_column) if row else b""


def _object(row: list[str], header: list[str], url_column: str) -> bytes:
    if len(row) > len(header):
        return msgspec.json.encode({"unreadable": f"{len(row)} fields under a header of {len(header)}"})
    fields = dict(zip(header, row, strict=False))
    request: dict[str, object] = {"url": fields.pop(url_column, "").strip()}
    if "id" in fields:
        request["id"] = fields.pop("id")
    return msgspec.json.encode(request | {"meta": fields} if fields else request)
