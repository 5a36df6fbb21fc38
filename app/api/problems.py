"""Problems: the one shape of every error answer, RFC 9457's `application/problem+json`, with a closed set of kinds.

A problem is about the call: nothing was fetched for it. What becomes of a request that was accepted is never a
problem but a record, which says so itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import falcon
import msgspec

_log = logging.getLogger("percore.api")

MEDIA_TYPE = "application/problem+json"


class ProblemKind(StrEnum):
    """Why a call was refused. Clients branch on it, so members may be added, never renamed."""

    BAD_REQUEST = "bad_request"
    """The request as such can't be understood."""
    MALFORMED_JSON = "malformed_json"
    """The body is no JSON text."""
    INCOMPLETE_BODY = "incomplete_body"
    """The body ended before its announced length, or its chunks are broken."""
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    BODY_TOO_LARGE = "body_too_large"
    """The body of the call has more bytes than the service takes."""
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    """The body is not declared as JSON, or is compressed."""
    INVALID_CALL = "invalid_call"
    """JSON, but not a call: a field is missing, unknown or of the wrong type."""
    TOO_MANY_REQUESTS = "too_many_requests"
    """The list is longer than the service takes in one call."""
    UNKNOWN_STAGE = "unknown_stage"
    INVALID_OPTION = "invalid_option"
    """An option is unknown, of the wrong type, or beyond what the service allows."""
    INTERNAL_ERROR = "internal_error"
    """A defect of Percore's own; the service's log has the traceback."""
    DRAINING = "draining"
    """The worker is about to stop; only /readyz answers so."""


STATUS_AND_TITLE: Mapping[ProblemKind, tuple[int, str]] = {
    ProblemKind.BAD_REQUEST: (400, "Bad request"),
    ProblemKind.MALFORMED_JSON: (400, "The body is no JSON"),
    ProblemKind.INCOMPLETE_BODY: (400, "The body did not come whole"),
    ProblemKind.NOT_FOUND: (404, "No such resource"),
    ProblemKind.METHOD_NOT_ALLOWED: (405, "Method not allowed"),
    ProblemKind.BODY_TOO_LARGE: (413, "The body is too large"),
    ProblemKind.UNSUPPORTED_MEDIA_TYPE: (415, "Unsupported media type"),
    ProblemKind.INVALID_CALL: (422, "Not a valid call"),
    ProblemKind.TOO_MANY_REQUESTS: (422, "Too many requests in one call"),
    ProblemKind.UNKNOWN_STAGE: (422, "Unknown stage"),
    ProblemKind.INVALID_OPTION: (422, "Invalid option"),
    ProblemKind.INTERNAL_ERROR: (500, "Internal error"),
    ProblemKind.DRAINING: (503, "Draining"),
}

_KIND_OF_STATUS = {404: ProblemKind.NOT_FOUND, 405: ProblemKind.METHOD_NOT_ALLOWED}


class ProblemBody(msgspec.Struct, frozen=True):
    """What is sent. `type` is a name and leads nowhere; `title` is the same for all problems of a kind."""

    type: str
    title: str
    status: int
    detail: str
    kind: ProblemKind


class Problem(falcon.HTTPError):
    """Raise it in a resource to answer with a problem.

    detail  one line for the caller about this very call
    """

    def __init__(self, kind: ProblemKind, detail: str, *, headers: dict[str, str] | None = None) -> None:
        status, title = STATUS_AND_TITLE[kind]
        super().__init__(HTTPStatus(status), title=title, description=detail, headers=headers)
        self.kind = kind


def write_problem(request: falcon.Request, response: falcon.Response, error: falcon.HTTPError) -> None:
    """Falcon's error serializer: Falcon's own errors become problems here too. Status and headers are set by then."""
    if isinstance(error, Problem):
        kind, detail = error.kind, error.description or ""
    else:
        kind = _KIND_OF_STATUS.get(error.status_code, _kind_of_class(error.status_code))
        detail = _own_words(kind, request) or error.description or error.title or ""
    response.content_type = MEDIA_TYPE
    response.data = msgspec.json.encode(
        ProblemBody(
            type=f"urn:percore:problem:{kind}",
            title=STATUS_AND_TITLE[kind][1],
            status=error.status_code,
            detail=detail,
            kind=kind,
        )
    )


def answer_defect(request: falcon.Request, response: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
    """Falcon's handler for an exception that nobody expected: logged whole, told to the caller without internals."""
    _log.error("%s %s met a defect", request.method, request.path, exc_info=error)
    raise Problem(ProblemKind.INTERNAL_ERROR, "a defect of the service; its log has more")


def _kind_of_class(status: int) -> ProblemKind:
    return ProblemKind.BAD_REQUEST if status < 500 else ProblemKind.INTERNAL_ERROR


def _own_words(kind: ProblemKind, request: falcon.Request) -> str:
    if kind is ProblemKind.NOT_FOUND:
        return f"there is nothing at {request.path}"
    if kind is ProblemKind.METHOD_NOT_ALLOWED:
        return f"{request.path} does not take {request.method}; the Allow header lists what it takes"
    return ""
