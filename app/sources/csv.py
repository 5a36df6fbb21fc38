"""CSV and TSV: rows under a header line, as text.

CSV is read as RFC 4180 says, so a quoted field may hold line breaks, and `index` counts rows after the header. TSV is
read as text/tab-separated-values says (IANA): a row is a line, fields are what stands between tabs, and a quote is a
character like any other.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO

from app.errors import UsageError
from app.sources.forms import unreadable_line
from app.sources.lines import MAX_LINE_BYTES, read_lines
from app.sources.rows import Rows


def read_csv(stream: BinaryIO, url_column: str = "url") -> Iterator[bytes]:
    """A line (app.sources.forms) for each row. Blocks as the stream does.

    Raises UsageError, before the first row, when the header has no column `url_column`. A row that can't be read
    becomes a line without request, hence a failed record; so does one with more fields than the header.
    """
    # Line by line, of bounded length: what is no CSV at all must not fill the memory.
    text = (line.decode(errors="replace") for line in read_lines(stream, keep_ends=True))
    csv.field_size_limit(MAX_LINE_BYTES)
    records = csv.reader(text)
    try:
        header = next(records, [])
    except csv.Error as error:
        raise UsageError(f"the header is no CSV: {error}") from None
    return _csv_lines(records, Rows(_names(header), url_column, hint="; commas separate them"))


def read_tsv(stream: BinaryIO, url_column: str = "url") -> Iterator[bytes]:
    """As `read_csv`."""
    lines = (line.decode(errors="replace") for line in read_lines(stream))
    header = next(lines, "").split("\t")
    return _tsv_lines(lines, Rows(_names(header), url_column, hint="; tabs separate them"))


def _names(header: list[str]) -> list[str]:
    return [name.strip() for name in header]


def _csv_lines(records: Iterator[list[str]], rows: Rows) -> Iterator[bytes]:
    while True:
        try:
            row = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            yield unreadable_line(f"the row can't be read: {error}")
            continue
        yield rows.line(row) if row else b""


def _tsv_lines(lines: Iterator[str], rows: Rows) -> Iterator[bytes]:
    for line in lines:
        if len(line) > MAX_LINE_BYTES:
            yield unreadable_line(f"the row is longer than {MAX_LINE_BYTES:,} bytes")
        else:
            yield rows.line(line.split("\t")) if line.strip() else b""
