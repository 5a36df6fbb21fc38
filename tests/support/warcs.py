"""WARC files in tests: made by warcio, and by hand where they are to be wrong."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from warcio.recordloader import ArcWarcRecord
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

Stored = tuple[str, bytes]
"""A URL, and the response that came for it as it came over the wire."""


def write_warc(path: Path, responses: Iterable[Stored], *, gzip: bool = False) -> Path:
    """A file as crawlers write it: a warcinfo record, and for each response a request record and its own."""
    with open(path, "wb") as file:
        writer = WARCWriter(file, gzip=gzip)
        writer.write_record(writer.create_warcinfo_record(path.name, {"software": "warcio"}))
        for url, message in responses:
            head = StatusAndHeaders("GET / HTTP/1.1", [("Host", "a")], is_http_request=True)
            writer.write_record(writer.create_warc_record(url, "request", io.BytesIO(b""), http_headers=head))
            writer.write_record(_as_it_came(writer, url, message))
    return path


def _as_it_came(writer: WARCWriter, url: str, message: bytes) -> ArcWarcRecord:
    """Its own way to make a record would read the head, and write it anew."""
    kind = "application/http; msgtype=response"
    head = StatusAndHeaders(
        "",
        [
            ("WARC-Type", "response"),
            ("WARC-Record-ID", writer._make_warc_id()),
            ("WARC-Target-URI", url),
            ("WARC-Date", writer.curr_warc_date()),
            ("Content-Type", kind),
        ],
        protocol=writer.warc_version,
    )
    return ArcWarcRecord("warc", "response", head, io.BytesIO(message), None, kind, len(message))


def record(
    block: bytes, *, url: str = "http://a/", length: object = None, kind: str = "response", **fields: str
) -> bytes:
    """One record by hand. length: what its Content-Length says, None for the truth."""
    head = [
        "WARC/1.1",
        f"WARC-Type: {kind}",
        f"WARC-Target-URI: {url}",
        "WARC-Record-ID: <urn:uuid:1>",
        "WARC-Date: 2026-01-02T03:04:05Z",
        *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items()),
        f"Content-Length: {len(block) if length is None else length}",
    ]
    if "Content_Type" not in fields:
        head.append("Content-Type: application/http; msgtype=response")
    return "\r\n".join([*head, "", ""]).encode() + block + b"\r\n\r\n"


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An HTTP response."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1") + body
