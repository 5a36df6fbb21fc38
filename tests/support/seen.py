"""Seen: all that can be seen of a response, a request, a cookie jar or an exception, as plain values to compare."""

from __future__ import annotations

import pickle
from typing import Any

import requests

Seen = dict[str, Any]

_COOKIE_FIELDS = (
    "version", "name", "value", "port", "port_specified", "domain", "domain_specified", "domain_initial_dot", "path",
    "path_specified", "secure", "expires", "discard", "comment", "comment_url", "rfc2109", "_rest",
)  # fmt: skip


def of_jar(jar: Any) -> Any:
    return None if jar is None else [{name: getattr(cookie, name) for name in _COOKIE_FIELDS} for cookie in jar]


def of_request(request: Any) -> Seen | None:
    if request is None:
        return None
    body = request.body
    return {
        "type": type(request).__name__,
        "method": request.method,
        "url": request.url,
        "path_url": request.path_url,
        "headers": list(request.headers.items()),
        "headers type": type(request.headers).__name__,
        "body": body if isinstance(body, bytes | str | None) else type(body).__name__,
        "cookies": of_jar(request._cookies),
        "hooks": {name: len(hooks) for name, hooks in request.hooks.items()},
    }


def of_response(response: requests.Response, *, has_raw: bool = True, has_history: bool = True) -> Seen:
    """The body is read by this if it was not. Of a hop's own history only the URLs are told: each has one."""
    raw = response.raw
    seen: Seen = {"consumed": response._content_consumed}
    seen["content"] = _try(lambda: response.content)
    seen |= {
        "status": response.status_code,
        "reason": response.reason,
        "headers": list(response.headers.items()),
        "headers type": type(response.headers).__name__,
        "url": response.url,
        "encoding": response.encoding,
        "cookies": of_jar(response.cookies),
        "cookies type": type(response.cookies).__name__,
        "ok": response.ok,
        "bool": bool(response),
        "repr": repr(response),
        "raises": _try(response.raise_for_status),
        "is_redirect": response.is_redirect,
        "is_permanent_redirect": response.is_permanent_redirect,
        "links": _try(lambda: response.links),
        "request": of_request(response.request),
        "elapsed": type(response.elapsed).__name__,
        "history": [
            of_response(each, has_raw=has_raw, has_history=False) if has_history else each.url
            for each in response.history
        ],
    }
    if isinstance(seen["content"], bytes):
        seen |= {
            "text": _try(lambda: response.text),
            "json": _try(response.json),
            "apparent encoding": _try(lambda: response.apparent_encoding),
            "lines": _try(lambda: list(response.iter_lines())),
        }
    if has_raw:
        seen |= {
            "next": of_request(response.next),
            "raw": {
                "headers": list(raw.headers.items()),
                "status": raw.status,
                "reason": raw.reason,
                "version": raw.version,
                "rest": _try(raw.read),
                "closed": raw.closed,
                "type": type(raw).__name__,
            },
        }
    return seen


def of_pickled(response: requests.Response) -> Seen:
    """Of a copy that went through pickle."""
    return of_response(pickle.loads(pickle.dumps(response)), has_raw=False)


def of_exception(error: BaseException) -> Seen:
    request, response = getattr(error, "request", None), getattr(error, "response", None)
    return {
        "exception": type(error).__name__,
        "request": None if request is None else request.url,
        "response": None if response is None else of_response(response, has_raw=False),
    }


def _try(look: Any) -> Any:
    try:
        return look()
    except Exception as error:
        return type(error).__name__
