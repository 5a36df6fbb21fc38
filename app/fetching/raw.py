"""Raw: the `raw` of a response: urllib3's own response class over bytes that libcurl brought.

The class is urllib3's, since so much reads its insides: content codings, requests-cache, CacheControl, pickling. What
lies under it is a file of ours that raises what a connection of urllib3's would, and is closed, like one of
http.client's, once all of it was read: CacheControl waits for that before it keeps a body.

Pages have it in isolated children too, which have no libcurl: so no pycurl and no gevent here.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import brotli
import urllib3
from urllib3 import HTTPHeaderDict
from urllib3.exceptions import DecodeError

from app.fetching.head import headers_of, is_in, reason_of, status_of, version_of

if TYPE_CHECKING:
    from app.fetching.curl_errors import TransferError


class ComingBody(io.RawIOBase):
    """A body that is read while it comes. `read1` gives what is here, and waits only if nothing is."""


class BufferedBody(io.BytesIO):
    """A body that is here. `error` is raised where it breaks off, once; then it is closed, as one of http.client's."""

    def __init__(self, body: bytes, error: TransferError | None = None) -> None:
        super().__init__(body)
        self._length = len(body)
        self._error = error

    @property
    def is_whole(self) -> bool:
        """Whether it does not break off, and nobody has begun to read it."""
        return self._error is None and not super().closed and not self.tell()

    def isclosed(self) -> bool:
        """Whether all has been read. http.client's response ends itself then, and urllib3 asks for it."""
        return self.closed

    @property
    def closed(self) -> bool:
        return super().closed or (self._error is None and self.tell() >= self._length)

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        if self._error is not None and size != 0 and (not piece or size is None or size < 0):
            error, self._error = self._error, None
            raise error.in_body()
        return piece

    def read1(self, size: int | None = -1, /) -> bytes:
        return self.read(size)


class _Original:
    """What urllib3's response expects of http.client's: the cookie jar asks it for headers."""

    def __init__(self, head: Sequence[bytes], body: io.IOBase | None = None) -> None:
        """body: None for one that was read."""
        self.head = head
        self._body = body

    @cached_property
    def msg(self) -> HTTPHeaderDict:
        return headers_of(self.head)

    def __bool__(self) -> bool:
        """Whether it may have cookies to give: requests takes the whole request apart for each one that is true.
        urllib3 closes what is true after an error; a body that is here closes itself.
        """
        is_here = self._body is None or isinstance(self._body, BufferedBody)
        # Both names that it may have.
        return not is_here or is_in(b"\nset-cookie", b"".join(self.head).lower())

    def isclosed(self) -> bool:
        return self._body is None or self._body.closed

    def close(self) -> None:
        if self._body is not None:
            self._body.close()


class HTTPResponse(urllib3.HTTPResponse):
    """urllib3's own, but for three things: where it asks a brotli decoder that has failed whether there is more, it
    lets the decoder's exception through; it makes a way of many steps of handing out what is here already; and it hands
    out chunks as they come only if it undoes the transfer coding itself.
    """

    def read(self, *args: Any, **options: Any) -> bytes:
        try:
            return super().read(*args, **options)
        except brotli.error as error:
            raise _not_decoded(error) from error

    def stream(self, *args: Any, **options: Any) -> Iterator[bytes]:  # type: ignore[override]
        body: Any = self._fp
        if type(body) is BufferedBody and body.is_whole and len(args) == 1 and "content-encoding" not in self.headers:
            while piece := body.read(*args):
                self._fp_bytes_read += len(piece)
                yield piece
            return
        try:
            # Not for what wraps a body to see all that is read of it, as CacheControl does.
            if isinstance(body, ComingBody) and self._comes_in_pieces:
                while piece := self.read1(*args, **options):
                    yield piece
            else:
                yield from super().stream(*args, **options)
        except brotli.error as error:
            raise _not_decoded(error) from error

    def read_chunked(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:  # type: ignore[override]
        body: Any = self._fp
        if self.chunked and isinstance(body, ComingBody):
            return self.stream(amt, decode_content)
        return super().read_chunked(amt, decode_content)

    @property
    def _comes_in_pieces(self) -> bool:
        """Whether who reads by pieces gets each as soon as it is here, however small, as urllib3 gives chunks: events
        come so. HTTP/2 and later have no chunks, but what would be sent in them has no length there either.
        """
        return self.chunked or (self.version >= 20 and "content-length" not in self.headers)


def _not_decoded(error: Exception) -> DecodeError:
    return DecodeError("Received response with content-encoding: br, but failed to decode it.", error)


class _ReadResponse(HTTPResponse):
    """One whose body was read, and at which nobody has looked yet: it becomes an HTTPResponse at the first look.

    Sessions look at `_original_response` alone, and the interpreter, at its end, at `closed`.
    """

    closed = True

    def __init__(self, head: Sequence[bytes], method: str, url: str) -> None:
        kept = self.__dict__
        kept["_made_of"] = (method, url)
        kept["_original_response"] = _Original(head)

    def __getattr__(self, name: str) -> Any:
        self._become()
        return getattr(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self._become()
        setattr(self, name, value)

    def _become(self) -> None:
        kept = self.__dict__
        method, url = kept.pop("_made_of")
        object.__setattr__(self, "__class__", HTTPResponse)
        _begin(self, kept["_original_response"], BufferedBody(b""), method, url)


def read_response(head: Sequence[bytes], method: str, url: str) -> HTTPResponse:
    """A response whose body was read to its end. Most are never looked at, and cost next to nothing until then."""
    return _ReadResponse(head, method, url)


def raw_response(head: Sequence[bytes], body: io.IOBase, method: str, url: str) -> HTTPResponse:
    """A response whose head is here, not yet decoded, at the beginning of its body."""
    made = HTTPResponse.__new__(HTTPResponse)
    _begin(made, _Original(head, body), body, method, url)
    return made


def _begin(response: HTTPResponse, original: _Original, body: io.IOBase, method: str, url: str) -> None:
    head = original.head
    HTTPResponse.__init__(
        response,
        body=body,
        headers=original.msg,
        status=status_of(head),
        version=version_of(head),
        reason=reason_of(head),
        preload_content=False,
        decode_content=False,
        original_response=original,  # type: ignore[arg-type]
        request_method=method,
        request_url=url,
        # libcurl has checked it, and says so with an error of its own.
        enforce_content_length=False,
    )
