"""The engine's way over libcurl: a fetch from its first hop to its final page, with nothing done that nobody asked for.

A plain GET is one exchange and one page. What is more than that (a body, a URL to be put in order, a redirect) goes
through requests' own preparation and its own redirect rules, hop by hop, over the same exchange.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pycurl
import requests
from requests.cookies import extract_cookies_to_jar

from app.errors import FetchError, InvalidRequest
from app.fetching.adapter import CurlAdapter, bytes_of
from app.fetching.curl_errors import TransferError
from app.fetching.curl_transport import Answer
from app.fetching.errormap import fetch_error
from app.fetching.merged_headers import MergedHeaders
from app.fetching.page import Page
from app.fetching.transfer import Profile
from app.fetching.visit import CONNECT_TIMEOUT_S, Parent, Visit, out_of_time, too_large
from app.fetching.wire_form import Target, check_method, header_lines, plain_target, target_of
from app.model.outcome import ErrorKind
from app.model.request import Request
from app.policy.urls import origin_of

_BODILESS = ("GET", "HEAD")


class CurlFetcher:
    """Fetches for `parent` over `adapter`'s transport. proxy_for: URL -> proxy URL, or "" for none."""

    def __init__(self, parent: Parent, adapter: CurlAdapter, proxy_for: Callable[[str], str]) -> None:
        self._parent = parent
        self._adapter = adapter
        self._proxy_for = proxy_for
        self._headers = MergedHeaders(parent)

    def fetch(self, request: Request, timeout_s: float) -> Page:
        """See Session.fetch."""
        deadline_s = time.monotonic() + timeout_s
        try:
            target = plain_target(request.url)
            if target is None or request.body is not None or request.method not in _BODILESS:
                page = self._fetch_any(request, deadline_s)
            else:
                page = self._fetch_plain(request, target, deadline_s, timeout_s)
        except FetchError as error:
            if error.kind is ErrorKind.TIMEOUT:
                raise out_of_time(timeout_s) from error
            raise
        except InvalidRequest:
            raise
        except Exception as error:
            known = fetch_error(error)
            if known is None:
                raise
            raise known from error
        return page

    def exchange(
        self, method: str, target: Target, lines: list[bytes], body: bytes | None, deadline_s: float
    ) -> Answer:
        """One hop. Raises FetchError; InvalidRequest for a host that is none."""
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise FetchError(ErrorKind.TIMEOUT, "no time left")
        self._parent.policy.check_port(target.scheme, target.port)
        try:
            answer = self._adapter.transport().exchange(
                self._profile(target, method),
                method,
                target.url,
                target.host,
                target.port,
                lines,
                body=body,
                timeout_s=left_s,
                connect_timeout_s=CONNECT_TIMEOUT_S if left_s > CONNECT_TIMEOUT_S else None,
            )
        except TransferError as error:
            if error.code == pycurl.E_OPERATION_TIMEDOUT and left_s <= CONNECT_TIMEOUT_S:
                # Not connected, but that had no limit of its own: it is the deadline.
                raise FetchError(ErrorKind.TIMEOUT, str(error)) from error
            raise self._failed(error) from error
        if answer.error is not None:
            raise self._failed(answer.error)
        return answer

    def _fetch_plain(self, request: Request, target: Target, deadline_s: float, timeout_s: float) -> Page:
        lines = self._lines_for(request)
        answer = self.exchange(request.method, target, lines, None, deadline_s)
        page = Page.of_answer(answer, request.method, target.url, lambda: CurlVisit(self, 0.0).prepare(request))
        self._read(page, answer)
        if page.status_code in _REDIRECTS and page.is_redirect:
            return CurlVisit(self, deadline_s).follow(page)
        return page

    def _fetch_any(self, request: Request, deadline_s: float) -> Page:
        origin_of(request.url)
        try:
            check_method(request.method.upper(), has_body=request.body is not None)
        except ValueError as error:
            raise InvalidRequest(str(error)) from None
        visit = CurlVisit(self, deadline_s)
        page = visit.carry(visit.prepare(request))
        return visit.follow(page) if page.is_redirect else page

    def _lines_for(self, request: Request) -> list[bytes]:
        """Raises InvalidRequest for a header that can't be sent."""
        try:
            return self._headers.of(request.headers).lines()
        except (ValueError, UnicodeError) as error:
            raise InvalidRequest(str(error)) from None

    def _profile(self, target: Target, method: str) -> Profile:
        parent = self._parent
        return Profile(
            verify=parent.verify if target.scheme == "https" else True,
            cert=parent.cert,
            proxy=self._proxy_for(target.url),
            http=self._adapter.http,
            # An answer to HEAD announces a body that will not come. 0 would be no limit.
            max_wire_bytes=0 if method == "HEAD" else max(1, parent.max_body_bytes),
        )

    def _read(self, page: Page, answer: Answer) -> None:
        """Undo the body's content codings, within the limit."""
        if answer.names(b"content-encoding"):
            page.to_decode()
            CurlVisit(self, 0.0).read_body(page)
        elif len(answer.body) > self._parent.max_body_bytes:
            raise too_large(self._parent.max_body_bytes)

    def _failed(self, error: TransferError) -> FetchError:
        if error.kind is ErrorKind.BODY_TOO_LARGE:
            return too_large(self._parent.max_body_bytes)
        return FetchError(error.kind, str(error))


class CurlVisit(Visit):
    """A visit whose hops are exchanges, the first of which may have been made already. deadline_s: monotonic."""

    def __init__(self, fetcher: CurlFetcher, deadline_s: float) -> None:
        super().__init__(fetcher._parent)
        self._fetcher = fetcher
        self._deadline_s = deadline_s

    def follow(self, page: Page) -> Page:
        """From a redirect to the final page. Raises as `fetch`, and what requests raises for too many of them."""
        extract_cookies_to_jar(self.cookies, page.request, page.raw)
        hops = [page, *self.resolve_redirects(page, page.request, stream=True)]
        final = hops.pop()
        assert isinstance(final, Page)
        final.history = list(hops)
        return final

    def send(self, request: requests.PreparedRequest, **_: Any) -> Page:
        """How requests asks for the next hop."""
        return self.carry(request)

    def carry(self, request: requests.PreparedRequest) -> Page:
        """One hop of a prepared request."""
        method, url = request.method or "GET", request.url or ""
        self._policy.check_origin(origin_of(url))
        target = plain_target(url) or target_of(url)
        body = bytes_of(request)
        lines = header_lines(request.headers.items(), has_body=body is not None)
        answer = self._fetcher.exchange(method, target, lines, body, self._deadline_s)
        page = Page.of_answer(answer, method, url, lambda: request)
        self._fetcher._read(page, answer)
        if page.is_redirect and page.headers["location"]:
            # What is only passed through is not worth the memory: requests keeps every hop in `history`.
            page._content = b""
        extract_cookies_to_jar(self.cookies, request, page.raw)
        return page


_REDIRECTS = frozenset(requests.models.REDIRECT_STATI)
