"""Session: `requests.Session` over libcurl: requests' meaning at a fraction of its cost, and one more verb, `fetch`.

    Session().get(url)      as requests.Session's, in everything that can be seen
    Session().fetch(url)    the engine's way: one deadline for the whole, redirects included; a limit on the decoded
                            body, on every hop; cookies that live and die with the one fetch; no netrc and no
                            certificate paths from the environment; failures of a closed set of kinds

The law of the verbs: what the session, the call and the environment leave at their defaults is not worked out anew.
Whatever is not at its default, and has no quick way here, goes requests' own way, over the same transport.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any, Literal
from urllib.request import getproxies

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.models import REDIRECT_STATI
from requests.utils import select_proxy, should_bypass_proxies

from app.errors import FetchError
from app.fetching.adapter import CurlAdapter
from app.fetching.curl_fetch import CurlFetcher
from app.fetching.curl_transport import TransportStatistics
from app.fetching.dialing import Dialer
from app.fetching.page import Page
from app.fetching.plain import PlainAdapter, PlainFetcher
from app.fetching.profile import AUTO_TLS_GROUPS, HttpVersion
from app.fetching.quick import QuickVerbs
from app.fetching.visit import Hop, out_of_time
from app.model.outcome import ErrorKind
from app.model.request import Request
from app.policy.addresses import AddressPolicy

Transport = Literal["curl", "requests"]

USER_AGENT = "percore/0.1"

_SEND = HTTPAdapter.send


class Session(requests.Session):
    """A requests session that contacts vetted addresses only, with a pool of a size to choose, and `fetch`.

    origins         origins to which idle connections are kept
    per_origin      idle connections kept to each of them
    max_body_bytes  limit of the decoded body for `fetch`
    max_redirects   hops followed by `fetch`, and by requests' own verbs
    ca_bundle       file or folder of CA certificates; "" takes certifi's
    policy          which addresses, and for `fetch` which ports, may be contacted; None is all of them. Where it
                    sets a limit, `fetch` uses no proxy, since a proxy looks names up itself
    transport       "curl", or "requests" for requests' own, which needs gevent's monkey patching
    http            the best version of HTTP to offer, with "curl": "1.1", "2" (by ALPN) or "3"
    tls_groups      key exchange groups to offer, with "curl": see CurlAdapter
    """

    # What is pickled, as there; the rest is made anew.
    __attrs__ = [*requests.Session.__attrs__, "max_body_bytes", "policy", "transport", "_own_adapter", "_pools"]  # noqa: RUF012

    def __init__(
        self,
        *,
        origins: int = 100,
        per_origin: int = 100,
        max_body_bytes: int = 10 * 1024 * 1024,
        max_redirects: int = 30,
        ca_bundle: str = "",
        policy: AddressPolicy | None = None,
        transport: Transport = "curl",
        http: HttpVersion = "2",
        tls_groups: str = AUTO_TLS_GROUPS,
    ) -> None:
        super().__init__()
        self.max_redirects = max_redirects
        self.max_body_bytes = max_body_bytes
        self.verify = ca_bundle or True
        self.headers["User-Agent"] = USER_AGENT
        self.policy = policy or AddressPolicy.allow_all()
        self.transport: Transport = transport
        self._pools = {"pool_connections": origins, "pool_maxsize": per_origin}
        adapter: CurlAdapter | PlainAdapter
        if transport == "curl":
            idle = origins * per_origin
            adapter = CurlAdapter(policy=self.policy, http=http, max_idle_connections=idle, tls_groups=tls_groups)
        else:
            adapter = self._plain_adapter
        self._use(adapter)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def close(self) -> None:
        """As requests.Session's, but what is mounted twice is closed once."""
        for adapter in {id(adapter): adapter for adapter in self.adapters.values()}.values():
            adapter.close()

    def _use(self, adapter: CurlAdapter | PlainAdapter) -> None:
        self._own_adapter = adapter
        self._environment_proxies: dict[str, str] = getproxies()
        self._curl: CurlAdapter | None = None
        self._fetcher: CurlFetcher | PlainFetcher
        if isinstance(adapter, CurlAdapter):
            self._curl = adapter
            self._fetcher = CurlFetcher(self, adapter, self._proxy_for)
            self._quick = QuickVerbs(self, adapter, Session)
        else:
            self._fetcher = PlainFetcher(self, self._proxies_for)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._use(self._own_adapter)

    def fetch(self, request: Request | str, *, timeout_s: float = 60.0, limit_s: float | None = None) -> Page:
        """Fetch to the final answer, redirects included, whatever its status. Yields to the hub.

        limit_s  of all attempts, of which `timeout_s` are left; None if there was none before
        Raises InvalidRequest for a request that can't be sent, FetchError for one that failed. Once this
        returns or raises, nothing of the exchange is left behind but a pooled connection.
        """
        if isinstance(request, str):
            request = Request(url=request)
        deadline_s = time.monotonic() + timeout_s
        try:
            page = self._fetcher.hop(request, timeout_s)
            while page.status_code in REDIRECT_STATI and (hop := self.next_hop(page)) is not None:
                page = self._fetch_next(hop, deadline_s - time.monotonic())
        except FetchError as error:
            if error.kind is ErrorKind.TIMEOUT:
                raise out_of_time(limit_s or timeout_s) from error
            raise
        return page

    def fetch_hop(self, request: Request | Hop, *, timeout_s: float, limit_s: float | None = None) -> Page:
        """One hop of a fetch: as `fetch`, but a redirect is an answer too. Where it leads, `next_hop` says, and
        `fetch_hop` takes. Yields to the hub.

        limit_s  of the whole fetch, of which `timeout_s` are left; None if there was nothing before
        """
        try:
            if isinstance(request, Hop):
                return self._fetch_next(request, timeout_s)
            return self._fetcher.hop(request, timeout_s)
        except FetchError as error:
            if error.kind is ErrorKind.TIMEOUT:
                raise out_of_time(limit_s or timeout_s) from error
            raise

    def next_hop(self, page: Page) -> Hop | None:
        """Where a page of `fetch_hop` leads; None if it is the final one.

        Raises FetchError when a redirect leads to what is no place to go, or is one too many.
        """
        if page.status_code not in REDIRECT_STATI or not page.is_redirect:
            return None
        visit = page.visit or self._fetcher.visit_after(page)
        return visit.next_hop(page)

    def _fetch_next(self, hop: Hop, timeout_s: float) -> Page:
        page = self._fetcher.hop(hop, timeout_s)
        page.history = hop.history
        return page

    def transport_statistics(self) -> TransportStatistics | None:
        """What this hub's transport has done so far; None under requests' own."""
        return None if self._curl is None else self._curl.transport().statistics()

    def request(self, method: str, url: Any, *args: Any, **options: Any) -> requests.Response:
        """As requests.Session.request. Yields to the hub."""
        if self._curl is not None and not args:
            page = self._quick.request(method, url, options)
            if page is not None:
                return page
        return super().request(method, url, *args, **options)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """As requests.Session.send. Yields to the hub."""
        if self._curl is not None:
            page = self._quick.send(request, options)
            if page is not None:
                return page
        return super().send(request, **options)

    def get_adapter(self, url: str) -> BaseAdapter:
        """As requests.Session.get_adapter."""
        adapter = super().get_adapter(url)
        if adapter is self._curl and HTTPAdapter.send is not _SEND:
            # Somebody has replaced what requests sends with, as the mocks of tests do: they shall see the request.
            return self._plain_adapter
        return adapter

    @cached_property
    def _plain_adapter(self) -> PlainAdapter:
        return PlainAdapter(self.verify, Dialer(self.policy), **self._pools)

    def _proxies_for(self, url: str) -> dict[str, str]:
        if self.policy != AddressPolicy.allow_all():
            return {}
        if not self._environment_proxies or should_bypass_proxies(url, no_proxy=None):
            return {}
        return self._environment_proxies

    def _proxy_for(self, url: str) -> str:
        if not self._environment_proxies:
            return ""
        return select_proxy(url, self._proxies_for(url)) or ""
