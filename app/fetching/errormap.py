"""From what requests and urllib3 raise to the closed set of error kinds.

An exception that is not named here is a defect and is let through: the pipeline records it as INTERNAL_ERROR.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import NoReturn

import requests.exceptions
import urllib3.exceptions

from app.errors import FetchError
from app.fetching.curl_errors import TransferError
from app.fetching.dialing import AddressDenied
from app.files.reasons import LACKS
from app.model.outcome import ErrorKind

# First match wins, so a subclass stands before its base.
_BY_TYPE: tuple[tuple[type[BaseException], ErrorKind], ...] = (
    (requests.exceptions.TooManyRedirects, ErrorKind.TOO_MANY_REDIRECTS),
    (requests.exceptions.InvalidSchema, ErrorKind.UNSUPPORTED_SCHEME),
    (requests.exceptions.SSLError, ErrorKind.TLS_FAILED),
    (requests.exceptions.ProxyError, ErrorKind.CONNECT_FAILED),
    # There is a limit on connecting only, which holds for the TLS handshake too; the deadline is not requests'.
    (requests.exceptions.Timeout, ErrorKind.CONNECT_FAILED),
    (requests.exceptions.ContentDecodingError, ErrorKind.BAD_RESPONSE),
    # The first URL was checked before: a bad one now is where a redirect points.
    (requests.exceptions.InvalidURL, ErrorKind.BAD_RESPONSE),
    (requests.exceptions.MissingSchema, ErrorKind.BAD_RESPONSE),
    (urllib3.exceptions.LocationParseError, ErrorKind.BAD_RESPONSE),
    (UnicodeError, ErrorKind.BAD_RESPONSE),
)

_BY_CAUSE: tuple[tuple[type[BaseException], ErrorKind], ...] = (
    (AddressDenied, ErrorKind.ADDRESS_DENIED),
    (urllib3.exceptions.NameResolutionError, ErrorKind.NAME_NOT_RESOLVED),
    (urllib3.exceptions.NewConnectionError, ErrorKind.CONNECT_FAILED),
    (urllib3.exceptions.SSLError, ErrorKind.TLS_FAILED),
    (urllib3.exceptions.InvalidChunkLength, ErrorKind.BAD_RESPONSE),
    (http.client.RemoteDisconnected, ErrorKind.CONNECTION_LOST),
    (http.client.IncompleteRead, ErrorKind.CONNECTION_LOST),
    (urllib3.exceptions.IncompleteRead, ErrorKind.CONNECTION_LOST),
    (http.client.HTTPException, ErrorKind.BAD_RESPONSE),
    (urllib3.exceptions.InvalidHeader, ErrorKind.BAD_RESPONSE),
)


def raise_known(error: Exception) -> NoReturn:
    """Raise the FetchError that `error` comes to; itself, if it is none of what a fetch may come to."""
    known = fetch_error(error)
    if known is None:
        raise error
    raise known from error


def fetch_error(error: Exception) -> FetchError | None:
    """The FetchError that `error` means, or None for one that no network can cause."""
    chain = list(_causes(error))
    is_local = any(isinstance(link, OSError) and link.errno in LACKS for link in chain)
    for link in chain:
        # Ours, inside of what requests raises: who failed knows best why.
        if isinstance(link, FetchError):
            return link
        if isinstance(link, TransferError):
            return FetchError(link.kind, _message(link), is_local=link.is_local)
    for cause, kind in _BY_TYPE:
        if isinstance(error, cause):
            return FetchError(kind, _message(error), is_local=is_local)
    for cause, kind in _BY_CAUSE:
        for link in chain:
            if isinstance(link, cause):
                return FetchError(kind, _message(link), is_local=is_local)
    if isinstance(error, requests.exceptions.RequestException | urllib3.exceptions.HTTPError | OSError):
        return FetchError(ErrorKind.CONNECTION_LOST, _message(chain[-1]), is_local=is_local)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it wraps: both libraries hand causes on as arguments, `reason` or `__cause__`."""
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        link = queue.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        queue += [getattr(link, "reason", None), *link.args, link.__cause__]


def _message(error: BaseException) -> str:
    """One line, without the addresses of objects that urllib3 puts into its texts."""
    text = " ".join(_text(error).split()) or type(error).__name__
    if text.startswith("<") and ">: " in text:
        text = text.partition(">: ")[2]
    # The last two are those of app.fetching.dialing.
    if text.startswith(("HTTPConnection(", "HTTPSConnection(", "Plain(", "Secure(")) and "): " in text:
        text = text.partition("): ")[2]
    return text[:500]


def _text(error: BaseException) -> str:
    """As str() gives it, but of several arguments their texts, and no Python tuple."""
    parts = error.args
    if len(parts) == 1 and isinstance(parts[0], BaseException):
        return _text(parts[0])
    if len(parts) > 1 and type(error).__str__ is BaseException.__str__:
        return " ".join(_text(part) if isinstance(part, BaseException) else str(part) for part in parts)
    return str(error)
