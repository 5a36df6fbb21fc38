"""Cached pages: from a page that the network brought to what is stored of it, and from that to the page again.

The law: a page from the cache is what the network's would have been: same status, headers, body and limits. Its headers
have an Age, as RFC 9111 section 4 wants it; what goes into a WARC has not, since no server sent that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import requests
from requests.adapters import HTTPAdapter

from app.errors import FetchError
from app.fetching.answer import Answer
from app.fetching.errormap import raise_known
from app.fetching.head import names_header
from app.fetching.page import Page
from app.fetching.raw import read_response
from app.fetching.stored_answer import StoredAnswer
from app.fetching.visit import decoded_body, too_large
from app.model.timing import Timing

MakeRequest = Callable[[], requests.PreparedRequest]

_as_requests_does = HTTPAdapter()


class Material(NamedTuple):
    """What of a page is stored; see StoredAnswer."""

    head: Sequence[bytes]
    body: bytes
    is_decoded: bool
    protocol: str


def material_of(page: Page) -> Material:
    """Of a page that the network brought, either transport's."""
    answer: Answer | None = page.__dict__.get("_answer")
    if answer is not None:
        return Material(answer.head, answer.body, False, answer.timing.protocol)
    version = page.raw.version or 11
    first = f"HTTP/{version // 10}.{version % 10} {page.status_code} {page.reason or ''}"
    lines = [first, *(f"{name}: {value}" for name, value in page.raw.headers.items()), ""]
    return Material([line.encode("latin-1", "replace") + b"\r\n" for line in lines], page.body, True, "")


def page_of(
    stored: StoredAnswer, method: str, url: str, make_request: MakeRequest, *, limit_bytes: int, age_s: float | None
) -> Page:
    """The page of a stored answer. Raises FetchError as for one that comes over the network.

    method  the body is left out for HEAD
    age_s   None for an answer that the origin has just confirmed
    """
    body = b"" if method == "HEAD" else stored.body
    head = stored.head if age_s is None else _with_age(stored.head, int(age_s))
    if stored.is_decoded:
        page = _decoded_page(head, stored.head, body, method, url, make_request)
    else:
        answer = Answer(head, body, None, Timing(0.0, 0.0, 0.0, 0.0, 0.0, False, stored.protocol))
        page = Page.of_answer(answer, method, url, make_request)
        page.__dict__["_archived_head"] = stored.head
        if names_header(head, b"content-encoding"):
            page.to_decode()
            page._content = _decoded(page, limit_bytes)
    if len(page.body) > limit_bytes:
        raise too_large(limit_bytes)
    page.began_s = stored.requested_s
    return page


def _decoded(page: Page, limit_bytes: int) -> bytes:
    try:
        return decoded_body(page, limit_bytes)
    except FetchError:
        raise
    except Exception as error:
        raise_known(error)


def _decoded_page(
    head: Sequence[bytes], archived_head: Sequence[bytes], body: bytes, method: str, url: str, make_request: MakeRequest
) -> Page:
    """As requests' own transport makes one; what is archived of it is its raw response's."""
    request = make_request()
    response = _as_requests_does.build_response(request, read_response(head, method, url))
    response._content = body
    response._content_consumed = True
    response.raw = read_response(archived_head, method, url)
    response.url = url
    return Page.of(response)


def _with_age(head: Sequence[bytes], age_s: int) -> list[bytes]:
    lines = [line for line in head[:-1] if line[:4].lower() != b"age:"]
    return [*lines, b"Age: %d\r\n" % age_s, head[-1]]
