"""Visit: the state of one fetch over all its hops: a cookie jar of its own, limits, where redirects may lead.

The law: requests decides whether and how a redirect is followed; a visit adds what a bulk fetcher needs: every hop is
held to the policy's schemes and ports, and nothing is left behind by the fetch. Hops are made one at a time, so that
who fetches can ask each one's origin for leave.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Protocol, cast
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.cookies import RequestsCookieJar
from requests.exceptions import InvalidURL
from requests.utils import requote_uri

from app.errors import FetchError, InvalidRequest
from app.fetching.errormap import raise_known
from app.fetching.names import name_of
from app.fetching.page import Page
from app.model.outcome import ErrorKind
from app.model.request import Request
from app.policy.addresses import WEB_SCHEMES, AddressPolicy
from app.policy.urls import origin_of

# A host with a dead address among good ones should get to the good one; the deadline bounds the rest.
CONNECT_TIMEOUT_S = 10.0

READ_SIZE_BYTES = 64 * 1024


class Parent(Protocol):
    """What a visit takes over from its session."""

    headers: Any
    verify: Any
    cert: Any
    max_redirects: int
    adapters: MutableMapping[str, BaseAdapter]
    max_body_bytes: int
    policy: AddressPolicy


class Hop:
    """The next hop of a fetch: where a redirect leads, and as what.

    history  the pages that led here
    """

    __slots__ = ("history", "prepared", "visit")

    def __init__(self, visit: Visit, prepared: requests.PreparedRequest, history: list[requests.Response]) -> None:
        self.visit = visit
        self.prepared = prepared
        self.history = history

    @property
    def url(self) -> str:
        """Absolute; its scheme is http or https."""
        return self.prepared.url or ""

    @property
    def method(self) -> str:
        """In upper case; a redirect may have changed it."""
        return self.prepared.method or "GET"


class Visit(requests.Session):
    """One fetch for `parent`.

    requests' own constructor builds connection pools and copies tables that a visit shares with its parent,
    so it is deliberately not called.
    """

    def __init__(self, parent: Parent) -> None:
        self.headers = parent.headers
        self.auth = None
        self.proxies = {}
        self.params = {}
        self.stream = True
        self.verify = parent.verify
        self.cert = parent.cert
        self.max_redirects = parent.max_redirects
        self.trust_env = False
        self.cookies = RequestsCookieJar()
        self.adapters = parent.adapters
        self.hooks = {"response": []}
        self._max_body_bytes = parent.max_body_bytes
        self._policy = parent.policy

    def prepare(self, request: Request) -> requests.PreparedRequest:
        """Raises InvalidRequest when requests finds the URL or a header impossible."""
        try:
            body = None if request.body is None else request.body.encode()
            # http.client would find these out too, but only with the connection open.
            "".join(request.headers).encode("ascii")
            "".join(request.headers.values()).encode("latin-1")
            return self.prepare_request(
                requests.Request(request.method.upper(), request.url, headers=request.headers, data=body)
            )
        except (ValueError, UnicodeError) as error:
            raise InvalidRequest(str(error)) from None

    def carry(self, prepared: requests.PreparedRequest, timeout_s: float) -> Page:
        """One hop. Yields to the hub. Raises FetchError, and what requests and urllib3 raise."""
        raise NotImplementedError

    def next_hop(self, page: Page) -> Hop | None:
        """Where a redirect leads, None for nowhere. Raises FetchError when that is no place to go, or one too many."""
        history = page.history
        try:
            if len(history) >= self.max_redirects and self.get_redirect_target(page):
                raise FetchError(ErrorKind.TOO_MANY_REDIRECTS, f"Exceeded {self.max_redirects} redirects.")
            prepared = next(self.resolve_redirects(page, page.request, stream=True, yield_requests=True), None)
        except FetchError:
            raise
        except Exception as error:
            raise_known(error)
        # requests takes this for the first of a chain.
        page.history = history
        if prepared is None:
            return None
        # With yield_requests it is a request, whatever its type says.
        return Hop(self, cast("requests.PreparedRequest", prepared), [*history, page])

    def get_adapter(self, url: str) -> BaseAdapter:
        """Asked for on every hop. Raises FetchError for a port that the policy denies."""
        self._policy.check_origin(origin_of(url))
        return super().get_adapter(url)

    def get_redirect_target(self, response: requests.Response) -> str | None:
        """Where requests would go next. Raises FetchError when that is no place to go."""
        target = super().get_redirect_target(response)
        if target:
            try:
                self._check_target(urljoin(response.url or "", target))
            except (InvalidRequest, InvalidURL, ValueError) as error:
                kind = getattr(error, "kind", ErrorKind.INVALID_REQUEST)
                if kind is not ErrorKind.UNSUPPORTED_SCHEME:
                    kind = ErrorKind.BAD_RESPONSE
                raise FetchError(kind, f"redirected to {target[:200]!r}: {error}") from None
        return target

    def _check_target(self, url: str) -> None:
        # urljoin resolved it, so it has a scheme; a URL without a host is none of http's.
        if urlsplit(url).scheme not in WEB_SCHEMES:
            raise InvalidRequest("only http and https are supported", ErrorKind.UNSUPPORTED_SCHEME)
        name_of(origin_of(requote_uri(url)).host)

    def read_body(self, response: requests.Response) -> None:
        """Read the decoded body to its end. Raises FetchError when it is larger than the limit, before it is here."""
        body = decoded_body(response, self._max_body_bytes)
        # requests keeps every hop in `history`: what is only passed through is not worth the memory.
        leads_on = response.is_redirect and bool(response.headers.get("location"))
        response._content = b"" if leads_on else body


def decoded_body(response: requests.Response, limit_bytes: int) -> bytes:
    """The body, its content codings undone. Raises FetchError when it is larger than the limit, before it is here."""
    pieces: list[bytes] = []
    size_bytes = 0
    for piece in response.iter_content(READ_SIZE_BYTES):
        size_bytes += len(piece)
        if size_bytes > limit_bytes:
            response.close()
            raise too_large(limit_bytes)
        pieces.append(piece)
    return b"".join(pieces)


def too_large(limit_bytes: int) -> FetchError:
    """What a body over the limit is."""
    return FetchError(ErrorKind.BODY_TOO_LARGE, f"the body is larger than {limit_bytes:,} bytes")


def out_of_time(timeout_s: float) -> FetchError:
    """What a passed deadline is. timeout_s: of the whole fetch."""
    return FetchError(ErrorKind.TIMEOUT, f"no whole answer within {round(timeout_s, 3):g} s")
