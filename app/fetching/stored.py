"""Stored: the page of a response that a WARC file keeps. Nothing is contacted.

The law: the page is what the fetch would have given then: same status, headers, body and URL, held to the same
limits. A redirect is a page, too, and leads nowhere: what it led to, if that was kept, is a record of its own.

Files are read in the hub's thread pool, one read at a time and in the order of asking: records that lie in one member
are then read forwards, and none of it twice.
"""

from __future__ import annotations

import io
from collections import OrderedDict

from gevent import get_hub
from gevent.lock import BoundedSemaphore

from app.errors import BrokenInput, FetchError, InvalidRequest
from app.fetching.errormap import fetch_error
from app.fetching.page import Page
from app.fetching.stored_message import MAX_HEAD_BYTES, answer_of, is_still_coded
from app.fetching.visit import Parent, Visit, decoded_body, too_large
from app.files.placed import PlacedReader
from app.files.reasons import reason_of
from app.files.unpacked import Place, Unpacked
from app.files.warc import Record, read_record
from app.hub.per_hub import of_this_hub
from app.model.request import Request, StoredResponse

_FILES_KEPT = 8

# Of chunked bodies what is between the data; else a body just within its limit would look larger.
_CHUNKING_SHARE = 8


def stored_page(stored: StoredResponse, parent: Parent) -> Page:
    """The page. `parent`'s limit holds for its body. Yields to the hub.

    Raises FetchError; InvalidRequest when the record can't be read any more.
    """
    limit_bytes = parent.max_body_bytes
    files = of_this_hub(_Files, _Files)
    record, message = files.read(stored, limit_bytes + limit_bytes // _CHUNKING_SHARE + MAX_HEAD_BYTES)
    answer = answer_of(message, is_truncated="warc-truncated" in record.fields or len(message) < record.length_bytes)
    page = Page.of_answer(answer, "GET", stored.url, lambda: Visit(parent).prepare(Request(url=stored.url)))
    if is_still_coded(answer):
        page._content = _decoded(page, limit_bytes)
    if len(answer.body) > limit_bytes or len(message) < record.length_bytes:
        raise too_large(limit_bytes)
    return page


def _decoded(page: Page, limit_bytes: int) -> bytes:
    page.to_decode()
    try:
        return decoded_body(page, limit_bytes)
    except FetchError:
        raise
    except Exception as error:
        known = fetch_error(error)
        if known is None:
            raise
        raise known from error


class _Files:
    """One hub's open files, those that were read last. Mutable: by whoever has the turn."""

    def __init__(self) -> None:
        self._turn = BoundedSemaphore(1)
        self._open: OrderedDict[bytes, tuple[io.FileIO, PlacedReader]] = OrderedDict()
        self.is_closed = False

    def read(self, stored: StoredResponse, limit_bytes: int) -> tuple[Record, bytes]:
        """The record there and its block, up to `limit_bytes`. Raises InvalidRequest."""
        with self._turn:
            found = get_hub().threadpool.apply(self._read_or_say, (stored, limit_bytes))
        if isinstance(found, str):
            raise InvalidRequest(f"the stored response can't be read: {found}")
        return found

    def close(self) -> None:
        """Close the files. Does not yield."""
        self.is_closed = True
        for file, _ in self._open.values():
            file.close()
        self._open.clear()

    def abandon(self) -> None:
        """In a forked child: positions of open files are shared with the parent, descriptors are not."""
        self.close()

    def _read_or_say(self, stored: StoredResponse, limit_bytes: int) -> tuple[Record, bytes] | str:
        """In a thread. The error as a value: gevent prints what is raised in its threads."""
        try:
            reader = self._reader(stored.path)
            return read_record(reader, Place(stored.member_bytes, stored.skip_bytes), limit_bytes)
        except BrokenInput as error:
            self._forget(stored.path)
            return str(error)
        except OSError as error:
            self._forget(stored.path)
            return reason_of(error)

    def _reader(self, path: bytes) -> PlacedReader:
        if path not in self._open:
            if len(self._open) >= _FILES_KEPT:
                self._forget(next(iter(self._open)))
            file = io.FileIO(path)
            self._open[path] = (file, PlacedReader(Unpacked(file)))
        self._open.move_to_end(path)
        return self._open[path][1]

    def _forget(self, path: bytes) -> None:
        if (opened := self._open.pop(path, None)) is not None:
            opened[0].close()
