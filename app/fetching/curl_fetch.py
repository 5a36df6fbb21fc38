"""The engine's way over libcurl: one hop, with nothing done that nobody asked for.

A plain GET is one exchange and one page. What is more than that (a body, a URL to be put in order, a redirect) goes
through requests' own preparation and its own redirect rules (`app.fetching.visit`), over the same exchange.
"""

from __future__ import annotations

from collections.abc import Callable

import pycurl
import requests
from requests.cookies import extract_cookies_to_jar

from app.errors import FetchError, InvalidRequest
from app.fetching.adapter import CurlAdapter, bytes_of, lines_of
from app.fetching.answer import Answer
from app.fetching.curl_errors import TransferError
from app.fetching.errormap import raise_known
from app.fetching.head import names_header
from app.fetching.merged_headers import MergedHeaders
from app.fetching.page import Page
from app.fetching.profile import Profile, profile_for
from app.fetching.sending import BODILESS
from app.fetching.visit import CONNECT_TIMEOUT_S, Hop, Parent, Visit, too_large
from app.fetching.wire_form import Target, check_method, plain_target, target_of
from app.model.outcome import ErrorKind
from app.model.request import Request
from app.policy.urls import origin_of


class CurlFetcher:
    """Fetches for `parent` over `adapter`'s transport. proxy_for: URL -> proxy URL, or "" for none."""

    def __init__(self, parent: Parent, adapter: CurlAdapter, proxy_for: Callable[[str], str]) -> None:
        self.parent = parent
        self._adapter = adapter
        self._proxy_for = proxy_for
        self._headers = MergedHeaders(parent)

    def hop(self, request: Request | Hop, timeout_s: float) -> Page:
        """See Session.fetch_hop."""
        try:
            if isinstance(request, Hop):
                return request.visit.carry(request.prepared, timeout_s)
            target = plain_target(request.url)
            if target is None or request.body is not None or request.method not in BODILESS:
                return self._hop_of_any(request, timeout_s)
            answer = self.exchange(request.method, target, self._lines_for(request), None, timeout_s)
            page = Page.of_answer(answer, request.method, target.url, lambda: CurlVisit(self).prepare(request))
            self.read(page, answer)
            return page
        except (FetchError, InvalidRequest):
            raise
        except Exception as error:
            raise_known(error)

    def visit_after(self, page: Page) -> Visit:
        """The visit that `page` is the first hop of, for one that was fetched without."""
        visit = CurlVisit(self)
        extract_cookies_to_jar(visit.cookies, page.request, page.raw)
        return visit

    def exchange(self, method: str, target: Target, lines: list[bytes], body: bytes | None, timeout_s: float) -> Answer:
        """One hop. Raises FetchError; InvalidRequest for a host that is none."""
        if timeout_s <= 0:
            raise FetchError(ErrorKind.TIMEOUT, "no time left")
        self.parent.policy.check_port(target.scheme, target.port)
        try:
            answer = self._adapter.transport().exchange(
                self._profile(target, method),
                method,
                target.url,
                target.host,
                target.port,
                lines,
                body=body,
                timeout_s=timeout_s,
                connect_timeout_s=CONNECT_TIMEOUT_S if timeout_s > CONNECT_TIMEOUT_S else None,
            )
        except TransferError as error:
            if error.code == pycurl.E_OPERATION_TIMEDOUT and timeout_s <= CONNECT_TIMEOUT_S:
                # Not connected, but that had no limit of its own: it is the deadline.
                raise FetchError(ErrorKind.TIMEOUT, str(error)) from error
            raise self._failed(error) from error
        if answer.error is not None:
            raise self._failed(answer.error)
        return answer

    def _hop_of_any(self, request: Request, timeout_s: float) -> Page:
        origin_of(request.url)
        try:
            check_method(request.method.upper(), has_body=request.body is not None)
        except ValueError as error:
            raise InvalidRequest(str(error)) from None
        visit = CurlVisit(self)
        return visit.carry(visit.prepare(request), timeout_s)

    def _lines_for(self, request: Request) -> list[bytes]:
        """Raises InvalidRequest for a header that can't be sent."""
        try:
            return self._headers.of(request.headers).lines() if request.headers else self._headers.own_lines()
        except (ValueError, UnicodeError) as error:
            raise InvalidRequest(str(error)) from None

    def _profile(self, target: Target, method: str) -> Profile:
        parent, adapter = self.parent, self._adapter
        return profile_for(
            target.scheme,
            adapter.http,
            adapter.tls_groups,
            parent.verify,
            parent.cert,
            self._proxy_for(target.url),
            # An answer to HEAD announces a body that will not come. 0 would be no limit.
            0 if method == "HEAD" else max(1, parent.max_body_bytes),
        )

    def read(self, page: Page, answer: Answer) -> None:
        """Undo the body's content codings, within the limit."""
        if names_header(answer.head, b"content-encoding"):
            page.to_decode()
            CurlVisit(self).read_body(page)
        elif len(answer.body) > self.parent.max_body_bytes:
            raise too_large(self.parent.max_body_bytes)

    def _failed(self, error: TransferError) -> FetchError:
        if error.kind is ErrorKind.BODY_TOO_LARGE:
            return too_large(self.parent.max_body_bytes)
        return FetchError(error.kind, str(error), is_local=error.is_local)


class CurlVisit(Visit):
    """A visit whose hops are exchanges."""

    def __init__(self, fetcher: CurlFetcher) -> None:
        super().__init__(fetcher.parent)
        self._fetcher = fetcher

    def carry(self, prepared: requests.PreparedRequest, timeout_s: float) -> Page:
        """One hop of a prepared request."""
        method, url = prepared.method or "GET", prepared.url or ""
        self._policy.check_origin(origin_of(url))
        target = plain_target(url) or target_of(url)
        body = bytes_of(prepared)
        try:
            lines = lines_of(prepared, target, has_body=body is not None)
        except ValueError as error:
            raise InvalidRequest(str(error)) from None
        answer = self._fetcher.exchange(method, target, lines, body, timeout_s)
        page = Page.of_answer(answer, method, url, lambda: prepared)
        page.visit = self
        self._fetcher.read(page, answer)
        if page.is_redirect and page.headers["location"]:
            # What is only passed through is not worth the memory: every hop is kept in `history`.
            page._content = b""
        extract_cookies_to_jar(self.cookies, prepared, page.raw)
        return page
