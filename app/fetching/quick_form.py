"""Quick form: a call's URL, parameters and body in the form that requests gives them, for the forms that are known.

The law: as requests.PreparedRequest.prepare_url and prepare_body, or NotQuick.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import requests
from requests.models import PreparedRequest

from app.fetching.wire_form import Target, plain_target

_SIMPLE = (str, int)


class NotQuick(Exception):
    """Requests' own way is to be gone."""


def address(url: str, params: Any) -> tuple[str, Target | None]:
    """The URL as requests prepares it, and where it leads if that is plain to see. Raises as requests does."""
    target = plain_target(url)
    if target is not None:
        if not params:
            return url, target
        if isinstance(params, (dict, list, tuple)):
            query = _encoded(params)
            if query:
                # What urlencode has written needs no second look.
                url = f"{url}{'&' if '?' in url else '?'}{query}"
                target = Target(url, target.scheme, target.host, target.port)
            return url, target
    prepared = PreparedRequest()
    prepared.prepare_url(url, params or {})
    made: Any = prepared.url
    if not made.startswith(("http://", "https://")) or "@" in made.split("/", 3)[2]:
        raise NotQuick
    return made, plain_target(made)


def body_of(data: Any, json: Any) -> tuple[bytes | str | None, str | None]:
    """The body, and the Content-Type that it gets if nobody gave one. Raises as requests does."""
    if not data:
        if json is None:
            return None, None
        try:
            text = requests.models.complexjson.dumps(json, allow_nan=False)  # type: ignore[attr-defined]
        except ValueError:
            # Their error names the request.
            raise NotQuick from None
        return text if isinstance(text, bytes) else text.encode("utf-8"), "application/json"
    if isinstance(data, (str, bytes)):
        return data, None
    if isinstance(data, (dict, list, tuple)):
        return _encoded(data), "application/x-www-form-urlencoded"
    raise NotQuick


def _encoded(pairs: Any) -> Any:
    """As PreparedRequest._encode_params, which asks each of its values what all it could be."""
    if type(pairs) is dict and all(type(name) is str and type(value) in _SIMPLE for name, value in pairs.items()):
        return urlencode(pairs)
    return PreparedRequest._encode_params(pairs)
