"""Pages made by hand, for tests of stages that need no server."""

from __future__ import annotations

import requests

from app.fetching.page import Page


def make_page(
    body: bytes | str = b"",
    *,
    url: str = "http://site.example/dir/page.html",
    content_type: str | None = "text/html; charset=utf-8",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Page:
    """A page as `Session.fetch` returns it."""
    response = requests.Response()
    response._content = body.encode() if isinstance(body, str) else body
    response.status_code = status
    response.url = url
    response.headers.update(headers or {})
    if content_type is not None:
        response.headers["Content-Type"] = content_type
    return Page.of(response)
