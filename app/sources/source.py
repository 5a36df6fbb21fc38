"""Source: where requests come from: which format an input has, and the raw lines in it.

Reading is apart from parsing: whoever reads the stream (the parent of a batch) stays cheap, and whoever runs the
requests (its children) parses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import BinaryIO, Literal

import msgspec

from app.errors import UsageError
from app.sources.csv import read_rows
from app.sources.lines import read_lines

Format = Literal["txt", "jsonl", "csv"]

_BY_SUFFIX: dict[str, Format] = {
    ".txt": "txt",
    ".list": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
}


class Source(msgspec.Struct, frozen=True):
    """How an input is to be read.

    format      of the input
    url_column  of a .csv
    """

    format: Format
    url_column: str = "url"

    @property
    def entry_form(self) -> str:
        """The form that `app.sources.entry.parse_entry` is to expect of each line."""
        return "url" if self.format == "txt" else "json"

    def lines(self, stream: BinaryIO) -> Iterator[bytes]:
        """The raw lines of `stream`. Blocks as the stream does; raises UsageError for a .csv without URLs."""
        if self.format == "csv":
            return read_rows(stream, self.url_column)
        return read_lines(stream)


def format_of(name: str) -> Format:
    """The format that a file's name tells; standard input ("-") is taken for .txt.

    Raises UsageError for a name that tells none.
    """
    if name == "-":
        return "txt"
    suffix = PurePath(name).suffix.lower()
    if "://" in name:
        raise UsageError(f"INPUT is a file of URLs, not a URL; for one: echo {name} | fetch-batch - -o OUT")
    if suffix not in _BY_SUFFIX:
        raise UsageError(f"can't tell the format of {name!r}; use {', '.join(_BY_SUFFIX)} or give --format")
    return _BY_SUFFIX[suffix]
