"""Outcome: the one result of one request, and its closed set of failure kinds.

The field order below is the order of keys in a Record (one JSON line), which is a public contract:
fields may be added at the end, none may be renamed or moved.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from app.model.caching import CacheUse
from app.model.timing import Timing


class ErrorKind(StrEnum):
    """Why an outcome failed. Closed: a failure that fits none of these is a defect (INTERNAL_ERROR)."""

    INVALID_REQUEST = "invalid_request"
    """The input line or request object can't be read as a request."""
    UNSUPPORTED_SCHEME = "unsupported_scheme"
    """The URL, or a redirect's target, is neither http nor https."""
    NAME_NOT_RESOLVED = "name_not_resolved"
    """DNS gave no address for the host."""
    ADDRESS_DENIED = "address_denied"
    """The host's address is one that we were told not to contact."""
    CONNECT_FAILED = "connect_failed"
    """No connection: refused, unreachable, proxy failure, or not answered in time."""
    TLS_FAILED = "tls_failed"
    """The handshake or the certificate's verification failed."""
    CONNECTION_LOST = "connection_lost"
    """Reset, closed or truncated before the whole answer had come."""
    BAD_RESPONSE = "bad_response"
    """What came is not HTTP, or its content coding is broken."""
    CIRCUIT_OPEN = "circuit_open"
    """The origin could not be reached many times in a row; it was left alone, and not asked for this request."""
    ROBOTS_DENIED = "robots_denied"
    """The origin's robots.txt does not allow the URL, or could not be had."""
    TOO_MANY_REDIRECTS = "too_many_redirects"
    BODY_TOO_LARGE = "body_too_large"
    """The decoded body passed the limit; the rest was not read."""
    TIMEOUT = "timeout"
    """The whole fetch, retries included, did not end within its deadline."""
    HTTP_STATUS = "http_status"
    """A final response came, with a status of 400 or above."""
    STAGE_FAILED = "stage_failed"
    """A stage raised; `error.stage` names it."""
    STAGE_TIMEOUT = "stage_timeout"
    """A stage used up its budget; `error.stage` names it."""
    WORKER_CRASHED = "worker_crashed"
    """The process that ran the request died each time it was tried."""
    INTERNAL_ERROR = "internal_error"
    """A defect of Percore's own; please report it."""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `error` of a failed outcome. `message` is one line; `stage` is set for stage failures only."""

    kind: ErrorKind
    message: str
    stage: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of one request. `ok` means: final status below 400 and every stage succeeded.

    index      0-based number of the input line (or place in the request list)
    id         the request's own id, absent when none was given
    status     final HTTP status, None when no response came
    headers    of the final response, lower-case names; repeated ones joined by ", "
    bytes      length of the decoded body, 0 when none came
    elapsed_s  from the first attempt's start to the end of the last stage
    attempts   tries made, 0 when the request never reached the network
    stages     stage name -> JSON value, in the order they ran
    body       only when asked for: text, or base64
    meta       the request's own `meta`, carried through
    timing     of the final hop; only when asked for
    warc_id    WARC-Record-ID of the final response in the job's WARC; only where there is one, and a response came
    body_sha256  name of the decoded body in the job's body store, in hex; likewise
    cache      what the job's cache had to do with the final response; only where there is one, and a response came
    """

    index: int
    id: str | int | UnsetType = UNSET
    url: str
    ok: bool
    status: int | None = None
    final_url: str | None = None
    headers: dict[str, str] = {}
    bytes: int = 0
    elapsed_s: float = 0.0
    attempts: int = 0
    stages: dict[str, Any] = {}
    error: Failure | None = None
    body: str | UnsetType = UNSET
    meta: Any | UnsetType = UNSET
    timing: Timing | UnsetType = UNSET
    warc_id: str | UnsetType = UNSET
    body_sha256: str | UnsetType = UNSET
    cache: CacheUse | UnsetType = UNSET
