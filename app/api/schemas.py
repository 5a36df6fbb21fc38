"""Schemas: what a call of POST /v1/fetch may look like, and how its bytes become entries, stages and options.

The law: everything that concerns the whole call is checked before anything is fetched, and a fault is a Problem;
a fault in one element of a list is that element's record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from app.api.problems import Problem, ProblemKind
from app.engine.stage_loading import load_stages
from app.engine.stage_rules import StageRules
from app.errors import UnknownStage
from app.model.job import FetchOptions
from app.model.outcome import ErrorKind, Failure
from app.model.request import Entry, Request
from app.settings import Settings
from app.sources.entry import parse_entry
from app.stages.base import Stage

_T = TypeVar("_T")


class SingleBody(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The single form: a request object with the call's own fields beside."""

    stages: list[str] = msgspec.field(default_factory=list)
    options: dict[str, Any] = msgspec.field(default_factory=dict)


class ListBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The list form. Elements stay raw: each is looked at when its turn comes."""

    requests: list[Raw]
    stages: list[str] = []
    options: dict[str, Any] = {}


class _Form(msgspec.Struct, frozen=True):
    url: Raw | UnsetType = UNSET
    requests: Raw | UnsetType = UNSET


class Call(msgspec.Struct, frozen=True):
    """A call that was accepted.

    requests       one Request in the single form; raw elements in the list form
    max_timeout_s  what an element's own deadline may be at most
    """

    is_single: bool
    requests: Sequence[Request | Raw]
    stages: tuple[Stage, ...]
    options: FetchOptions
    max_timeout_s: float

    def entries(self) -> Iterator[Entry]:
        """One entry for each request, in order; parsed as they are taken."""
        for index, request in enumerate(self.requests):
            if isinstance(request, Request):
                yield Entry(index, request, request.url)
            else:
                yield _bounded(_entry(index, bytes(request)), self.max_timeout_s)


def parse_call(body: bytes, settings: Settings) -> Call:
    """Read a call. `settings` gives the defaults of its options, which are their upper bounds too.

    Raises Problem with the first fault that concerns the call as a whole.
    """
    form = _decode(body, _Form)
    if (form.requests is UNSET) == (form.url is UNSET):
        raise Problem(ProblemKind.INVALID_CALL, "give either `url`, for one request, or `requests`, a list")
    read: SingleBody | ListBody
    requests: Sequence[Request | Raw]
    if form.requests is UNSET:
        read = single = _decode(body, SingleBody)
        requests = [Request(**{name: getattr(single, name) for name in Request.__struct_fields__})]
        if (single.timeout_s or 0) > settings.timeout_s:
            raise Problem(ProblemKind.INVALID_CALL, _over("timeout_s", single.timeout_s, settings.timeout_s))
    else:
        read = listed = _decode(body, ListBody)
        requests = listed.requests
        _check_length(len(requests), settings.max_requests)
    return Call(
        is_single=form.requests is UNSET,
        requests=requests,
        stages=_stages(read.stages, settings),
        options=_options(read.options, settings),
        max_timeout_s=settings.timeout_s,
    )


def _decode(body: bytes, form: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.ValidationError as error:
        raise Problem(ProblemKind.INVALID_CALL, _lower_first(str(error))) from None
    except RecursionError:
        raise Problem(ProblemKind.MALFORMED_JSON, "the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(ProblemKind.MALFORMED_JSON, str(error)) from None


def _check_length(length: int, limit: int) -> None:
    if not length:
        raise Problem(ProblemKind.INVALID_CALL, "`requests` is empty")
    if length > limit:
        raise Problem(ProblemKind.TOO_MANY_REQUESTS, f"{length:,} requests; a call may have {limit:,}")


def _stages(names: list[str], settings: Settings) -> tuple[Stage, ...]:
    try:
        return load_stages(names, StageRules.of(settings))
    except UnknownStage as error:
        raise Problem(ProblemKind.UNKNOWN_STAGE, str(error)) from None


def _options(given: dict[str, Any], settings: Settings) -> FetchOptions:
    try:
        defaults = {"timeout_s": settings.timeout_s, "retries": settings.retries, "robots": settings.robots}
        options = msgspec.convert(defaults | given, FetchOptions)
    except msgspec.ValidationError as error:
        detail = _lower_first(str(error)).replace("`$", "`options")
        raise Problem(ProblemKind.INVALID_OPTION, detail) from None
    if options.timeout_s > settings.timeout_s:
        raise Problem(ProblemKind.INVALID_OPTION, _over("timeout_s", options.timeout_s, settings.timeout_s))
    if options.retries > settings.retries:
        raise Problem(ProblemKind.INVALID_OPTION, _over("retries", options.retries, settings.retries))
    if settings.robots == "obey" != options.robots:
        raise Problem(ProblemKind.INVALID_OPTION, "`robots` must be `obey`: this service does not ignore robots.txt")
    _check_headers(options.headers)
    return options


def _check_headers(headers: dict[str, str]) -> None:
    """One name in two cases is one header (RFC 9110 section 5.1), with two values for each request to choose from."""
    seen: dict[str, str] = {}
    for name in headers:
        first = seen.setdefault(name.lower(), name)
        if first != name:
            detail = f"`options.headers` has `{first}` and `{name}`, which are the same header; give it once"
            raise Problem(ProblemKind.INVALID_OPTION, detail)


def _entry(index: int, element: bytes) -> Entry:
    # A plain string stands for a request object with nothing but a URL.
    entry = parse_entry(index, b'{"url":%b}' % element if element.startswith(b'"') else element, "json")
    assert entry is not None, "only a blank line has no entry, and no JSON value is blank"
    return entry


def _bounded(entry: Entry, max_timeout_s: float) -> Entry:
    request = entry.request
    if not isinstance(request, Request) or (request.timeout_s or 0) <= max_timeout_s:
        return entry
    failure = Failure(ErrorKind.INVALID_REQUEST, _over("timeout_s", request.timeout_s, max_timeout_s))
    return Entry(entry.index, failure, entry.url, entry.given_id, entry.given_meta)


def _over(name: str, given: float | None, limit: float) -> str:
    return f"`{name}` is {given:g}; this service allows at most {limit:g}"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
