"""Body: the bytes of a call, read within a limit, or the problem that keeps them from being read."""

from __future__ import annotations

import falcon

from app.api.problems import Problem, ProblemKind

MAX_CALL_BYTES = 16 * 1024 * 1024
"""1,000 requests with 16 KB of headers and body each. It is held in memory whole, once for each call under way."""

_READ_BYTES = 64 * 1024

# The rest of a body that was refused would be taken for the next request by a client that goes on.
_CLOSE = {"Connection": "close"}


def read_json_body(request: falcon.Request) -> bytes:
    """The whole body. Yields to the hub while it comes in.

    Raises Problem: the body is not declared as JSON, is compressed, too large or does not come whole.
    """
    _check_type(request)
    if (request.content_length or 0) > MAX_CALL_BYTES:
        raise _too_large()
    # A server that ends its input by itself has taken the chunks apart; with others Content-Length is the end.
    stream = request.stream if request.env.get("wsgi.input_terminated") else request.bounded_stream
    pieces: list[bytes] = []
    size_bytes = 0
    try:
        while piece := stream.read(_READ_BYTES):
            size_bytes += len(piece)
            if size_bytes > MAX_CALL_BYTES:
                raise _too_large()
            pieces.append(piece)
    except OSError as error:
        raise Problem(ProblemKind.INCOMPLETE_BODY, f"the body can't be read: {error}", headers=_CLOSE) from None
    if size_bytes < (request.content_length or 0):
        raise Problem(ProblemKind.INCOMPLETE_BODY, f"the body ended after {size_bytes:,} bytes", headers=_CLOSE)
    return b"".join(pieces)


def _check_type(request: falcon.Request) -> None:
    """An absent type is refused as well: a page in somebody's browser may send such a call to us unasked, while
    a declared JSON makes the browser ask first, and we never allow it."""
    declared = (request.content_type or "").partition(";")[0].strip().lower()
    if declared != "application/json":
        found = f"not as {declared}" if declared else "and has no type"
        raise Problem(
            ProblemKind.UNSUPPORTED_MEDIA_TYPE, f"the body must come as `Content-Type: application/json`, {found}"
        )
    coding = (request.get_header("Content-Encoding") or "identity").strip().lower()
    if coding != "identity":
        raise Problem(ProblemKind.UNSUPPORTED_MEDIA_TYPE, f"the body must come uncompressed, not as {coding}")


def _too_large() -> Problem:
    return Problem(
        ProblemKind.BODY_TOO_LARGE,
        f"a call has at most {MAX_CALL_BYTES:,} bytes; cut the list, or use fetch-batch for long ones",
        headers=_CLOSE,
    )
