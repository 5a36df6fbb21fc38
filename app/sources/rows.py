"""Rows: values under a header, one of whose columns holds the URL; each row becomes a JSON request object.

The column `id`, if there is one, becomes the request's id; all others go into `meta` under their names.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.errors import UsageError
from app.sources.forms import json_line, unreadable_line

_encoder = msgspec.json.Encoder(enc_hook=str)


class Rows:
    """Rows under one header. Raises UsageError when it has no column `url_column`; `hint` then says more."""

    def __init__(self, header: Sequence[str], url_column: str, hint: str = "") -> None:
        if url_column not in header:
            columns = ", ".join(header)[:500] or "none"
            raise UsageError(f"no column {url_column!r} (columns: {columns}{hint}); name it with --url-column")
        self._header = tuple(header)
        self._url_column = url_column

    def line(self, row: Sequence[object]) -> bytes:
        """The row as a line (app.sources.forms). It may be shorter than the header; one that can't be a request becomes
        an unreadable line.
        """
        fields = dict(zip(self._header, row, strict=False))
        url = fields.pop(self._url_column, "")
        if len(row) > len(self._header):
            message = f"the row has {len(row):,} fields under a header of {len(self._header):,}"
            return unreadable_line(message, str(url))
        request: dict[str, object] = {"url": url.strip() if isinstance(url, str) else url or ""}
        if (given := fields.pop("id", None)) is not None:
            request["id"] = given if isinstance(given, str | int) else str(given)
        if fields:
            request["meta"] = fields
        try:
            return json_line(_encoder.encode(request))
        except Exception as error:
            return unreadable_line(f"the row can't be written as JSON: {type(error).__name__}: {error}", str(url))
