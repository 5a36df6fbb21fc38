"""The plain transport: requests' and urllib3's own, under the same interface as libcurl's (PERCORE_TRANSPORT=requests).

The standard library must have been monkey-patched before requests was imported; then every wait in here yields to
the hub. It is the reference that libcurl's transport is held to, and a way out where libcurl misbehaves.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from functools import cached_property
from typing import Any

import certifi
import gevent
import requests
from requests.cookies import extract_cookies_to_jar
from urllib3.util.ssl_ import create_urllib3_context

from app.errors import FetchError, InvalidRequest
from app.fetching.dialing import Dialer, DialingAdapter
from app.fetching.errormap import raise_known
from app.fetching.page import Page
from app.fetching.visit import CONNECT_TIMEOUT_S, Hop, Parent, Visit
from app.model.outcome import ErrorKind
from app.model.request import Request
from app.policy.addresses import AddressPolicy
from app.policy.urls import origin_of


class PlainFetcher:
    """Fetches for `parent` over its own adapter. proxies_for: URL -> proxies, as requests takes them."""

    def __init__(self, parent: Parent, proxies_for: Callable[[str], dict[str, str]]) -> None:
        self.parent = parent
        self.proxies_for = proxies_for

    def hop(self, request: Request | Hop, timeout_s: float) -> Page:
        """See Session.fetch_hop."""
        if timeout_s <= 0:
            raise FetchError(ErrorKind.TIMEOUT, "no time left")
        try:
            if isinstance(request, Hop):
                return request.visit.carry(request.prepared, timeout_s)
            origin_of(request.url)
            visit = PlainVisit(self)
            return visit.carry(visit.prepare(request), timeout_s)
        except (FetchError, InvalidRequest):
            raise
        except Exception as error:
            raise_known(error)

    def visit_after(self, page: Page) -> Visit:
        """As CurlFetcher's; of what this fetches, every page has one."""
        visit = PlainVisit(self)
        extract_cookies_to_jar(visit.cookies, page.request, page.raw)
        return visit


class PlainAdapter(DialingAdapter):
    """The adapter that dials for us, with the CA certificates read once and not for every connection.

    Reading them takes some 20 ms, in which the hub stands still. A request with another `verify` than the
    session's, or with a client certificate, gets requests' own behaviour.
    """

    def __init__(self, verify: str | bool, dialer: Dialer, **options: Any) -> None:
        self._verify = verify
        super().__init__(dialer, **options)

    def __reduce__(self) -> Any:
        # Threads and TLS contexts can't be pickled; what they were made from can.
        return _made_anew, (self._verify, self._dialer.policy, self._pool_connections, self._pool_maxsize)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        bundle = self._verify if isinstance(self._verify, str) else certifi.where()
        context = create_urllib3_context()
        if os.path.isdir(bundle):
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
        return context

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https" and verify == self._verify and cert is None:
            pool = {"ssl_context": self._context, "cert_reqs": "CERT_REQUIRED"}
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        if verify != self._verify or cert is not None:
            super().cert_verify(conn, url, verify, cert)


def _made_anew(verify: str | bool, policy: AddressPolicy, pool_connections: int, pool_maxsize: int) -> PlainAdapter:
    return PlainAdapter(verify, Dialer(policy), pool_connections=pool_connections, pool_maxsize=pool_maxsize)


class PlainVisit(Visit):
    """A visit whose hops go over requests' own adapter."""

    def __init__(self, fetcher: PlainFetcher) -> None:
        super().__init__(fetcher.parent)
        self._fetcher = fetcher
        # Called before requests reads the body, which it would do whole.
        self.hooks = {"response": [self._on_response]}

    def carry(self, prepared: requests.PreparedRequest, timeout_s: float) -> Page:
        """One hop of a prepared request."""
        deadline = gevent.Timeout(timeout_s)
        try:
            with deadline:
                response = self.send(
                    prepared,
                    stream=True,
                    allow_redirects=False,
                    # Not both at the same moment: what is out of time in all is no matter of connecting.
                    timeout=(CONNECT_TIMEOUT_S if timeout_s > CONNECT_TIMEOUT_S else None, None),
                    proxies=self._fetcher.proxies_for(prepared.url or ""),
                    verify=self.verify,
                    cert=self.cert,
                )
        except gevent.Timeout as expired:
            if expired is not deadline:
                raise
            raise FetchError(ErrorKind.TIMEOUT, "the deadline passed") from None
        page = Page.of(response)
        page.visit = self
        return page

    def _on_response(self, response: requests.Response, **_: object) -> None:
        try:
            self.read_body(response)
        except requests.RequestException:
            raise
        except ValueError as error:
            # urllib3 takes a chunk's negative size for a number of bytes to read.
            raise FetchError(ErrorKind.BAD_RESPONSE, f"the body's framing is broken: {error}") from error
