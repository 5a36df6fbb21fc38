"""Source: the formats that an input can have, how a name tells its format, and how each is read as lines.

Reading is apart from parsing: whoever reads the stream (the parent of a batch) stays cheap, and whoever runs the
requests (its children) parses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import BinaryIO, Literal

import msgspec

from app.errors import UsageError
from app.sources.csv import read_csv, read_tsv
from app.sources.forms import JSON, URL
from app.sources.lines import read_lines
from app.sources.sitemap import read_sitemap

Format = Literal["txt", "jsonl", "csv", "tsv", "parquet", "warc", "sitemap"]

STANDARD_INPUT = "-"

_BY_SUFFIX: dict[str, Format] = {
    ".txt": "txt",
    ".list": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".warc": "warc",
    ".xml": "sitemap",
}

# What a name may have behind that; whether a file is packed is told by its bytes.
_PACKED = (".gz", ".zst")

_READERS: dict[Format, Callable[[BinaryIO, str], Iterator[bytes]]] = {
    "txt": lambda stream, _: (URL + line for line in read_lines(stream)),
    "jsonl": lambda stream, _: (JSON + line for line in read_lines(stream)),
    "csv": read_csv,
    "tsv": read_tsv,
    "sitemap": lambda stream, _: read_sitemap(stream),
}


class Source(msgspec.Struct, frozen=True):
    """How one stream is to be read.

    format      of the input; neither parquet nor warc, which are more than a stream
    url_column  of a .csv or .tsv
    """

    format: Format
    url_column: str = "url"

    def lines(self, stream: BinaryIO) -> Iterator[bytes]:
        """The lines of `stream` (app.sources.forms). Blocks as the stream does.

        Raises UsageError for what is not of that format (a .csv without URLs), BrokenInput where it can't be read on.
        """
        if self.format not in _READERS:
            raise UsageError(f"{self.format} is read from a file, by its name")
        return _READERS[self.format](stream, self.url_column)


def format_of(name: str) -> Format:
    """The format that a file's name tells; standard input ("-") is taken for .txt.

    Raises UsageError for a name that tells none.
    """
    if name == STANDARD_INPUT:
        return "txt"
    if "://" in name:
        raise UsageError(f"INPUT is a file of URLs, not a URL; for one: echo {name} | fetch-batch - -o OUT")
    path = PurePath(name)
    suffix = path.suffix.lower()
    if suffix in _PACKED:
        suffix = PurePath(path.stem).suffix.lower()
    if suffix not in _BY_SUFFIX:
        raise UsageError(
            f"can't tell the format of {name!r}; use {', '.join(_BY_SUFFIX)} (or these with .gz or .zst behind), "
            "or give --format"
        )
    return _BY_SUFFIX[suffix]
