"""Testing: pages made by hand, for tests of stages. No network, no server, no event loop."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import responses

import requests

from app.fetching.answer import Answer
from app.fetching.page import Page
from app.model.timing import Timing

_NO_TIMING = Timing(0.0, 0.0, 0.0, 0.0, 0.0, False, "HTTP/1.1")


def make_page(
    body: str | bytes = b"",
    *,
    url: str = "http://site.example/",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Page:
    """A page as a stage would be given it, had a server at `url` answered with that.

    body     decoded, as `page.content` gives it; a str is encoded as UTF-8
    headers  of the response; without a Content-Type among them it is that of HTML in UTF-8
    Raises ValueError for a header that no server could send: a line break in it, or what is not latin-1.
    """
    fields = dict(headers or {})
    if "content-type" not in {name.lower() for name in fields}:
        fields["Content-Type"] = "text/html; charset=utf-8"
    lines = [f"HTTP/1.1 {status} {responses.get(status, '')}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    for line in lines:
        if "\r" in line or "\n" in line:
            raise ValueError(f"a line break in the header {line!r}")
    head = [line.encode("latin-1") + b"\r\n" for line in [*lines, ""]]
    answer = Answer(head, body.encode() if isinstance(body, str) else body, None, _NO_TIMING)
    return Page.of_answer(answer, "GET", url, lambda: requests.Request("GET", url).prepare())
