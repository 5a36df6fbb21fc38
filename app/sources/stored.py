"""Stored responses: the entries of a WARC file: its records of HTTP responses, each as the place where it stands.

The parent of a batch passes over the bodies; a child reads them (app.fetching.stored). Other records (requests,
metadata, DNS answers, and revisits, which name a response that is stored elsewhere) are no entries and no lines.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.files.placed import PlacedReader
from app.files.warc import Record, Unreadable, scan
from app.model.request import StoredResponse
from app.sources.forms import stored_line, unreadable_line


def stored_lines(reader: PlacedReader, path: bytes, name: str) -> Iterator[bytes]:
    """A line (app.sources.forms) for each response, and one for whatever is damaged. Blocks as the file does.

    path  of the file, absolute;  name  as the user gave it
    """
    for found in scan(reader):
        if isinstance(found, Unreadable):
            yield unreadable_line(f"{name}: the record {_at(found)} can't be read: {found.why}")
        elif _is_http_response(found):
            yield stored_line(_stored(found, path))


def _is_http_response(record: Record) -> bool:
    media_type = record.fields.get("content-type", "application/http").partition(";")[0]
    return record.fields.get("warc-type") == "response" and media_type.strip().lower() == "application/http"


def _stored(record: Record, path: bytes) -> StoredResponse:
    fields = record.fields
    # Some tools write URIs in brackets everywhere, as WARC 1.0's grammar had it.
    given = {name: _bare(fields[name]) for name in ("warc-target-uri", "warc-record-id") if name in fields}
    meta = {name.replace("-", "_"): fields[name] for name in ("warc-date", "warc-truncated") if name in fields}
    return StoredResponse(
        url=given.get("warc-target-uri", ""),
        path=path,
        member_bytes=record.place.member_bytes,
        skip_bytes=record.place.skip_bytes,
        id=given.get("warc-record-id", ""),
        meta=meta,
    )


def _bare(uri: str) -> str:
    return uri[1:-1] if uri.startswith("<") and uri.endswith(">") else uri


def _at(found: Unreadable) -> str:
    member_bytes, skip_bytes = found.place
    return f"at byte {member_bytes:,}" + (f" (unpacked: {skip_bytes:,} further)" if skip_bytes else "")
