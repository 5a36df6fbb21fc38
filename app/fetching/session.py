"""Session: `requests.Session` with one more verb, `fetch`, which is the engine's way to the network.

`fetch` differs from `get` in what a bulk fetcher needs: one deadline for the whole exchange, redirects
included; a limit on the decoded body, on every hop; cookies that live and die with the one fetch; no netrc
and no certificate paths from the environment; failures of a closed set of kinds.

The transport is requests' own, so the standard library must have been monkey-patched before requests was
imported; then every wait in here yields to the hub.
"""

from __future__ import annotations

import os
import ssl
from functools import cached_property
from typing import Any
from urllib.parse import urljoin
from urllib.request import getproxies

import certifi
import gevent
import requests
from requests.adapters import BaseAdapter
from requests.cookies import RequestsCookieJar
from requests.exceptions import InvalidURL
from requests.utils import requote_uri, should_bypass_proxies
from urllib3.util.ssl_ import create_urllib3_context

from app.errors import FetchError, InvalidRequest
from app.fetching.dialing import Dialer, DialingAdapter
from app.fetching.errormap import fetch_error
from app.fetching.page import Page
from app.model.outcome import ErrorKind
from app.model.request import Request
from app.policy.addresses import AddressPolicy
from app.policy.urls import origin_of

# A host with a dead address among good ones should get to the good one; the deadline bounds the rest.
_CONNECT_TIMEOUT_S = 10.0

_READ_SIZE_BYTES = 64 * 1024

_USER_AGENT = "percore/0.1"


class Session(requests.Session):
    """A requests session that dials vetted addresses only, with a pool of a size to choose, and `fetch`.

    origins         origins to which idle connections are kept
    per_origin      idle connections kept to each of them
    max_body_bytes  limit of the decoded body for `fetch`
    max_redirects   hops followed by `fetch`, and by requests' own verbs
    ca_bundle       file or folder of CA certificates; "" takes certifi's
    policy          which addresses, and for `fetch` which ports, may be contacted; None is all of them. Where it
                    sets a limit, no proxy is used, since a proxy looks names up itself
    """

    def __init__(
        self,
        *,
        origins: int = 100,
        per_origin: int = 100,
        max_body_bytes: int = 10 * 1024 * 1024,
        max_redirects: int = 10,
        ca_bundle: str = "",
        policy: AddressPolicy | None = None,
    ) -> None:
        super().__init__()
        self.max_redirects = max_redirects
        self.max_body_bytes = max_body_bytes
        self.verify = ca_bundle or True
        self.headers["User-Agent"] = _USER_AGENT
        self.policy = policy or AddressPolicy.allow_all()
        adapter = _Adapter(self.verify, Dialer(self.policy), pool_connections=origins, pool_maxsize=per_origin)
        self.mount("http://", adapter)
        self.mount("https://", adapter)
        self._environment_proxies: dict[str, str] = getproxies()

    def fetch(self, request: Request | str, *, timeout_s: float = 60.0) -> Page:
        """Fetch to the final answer, redirects included, whatever its status. Yields to the hub.

        Raises InvalidRequest for a request that can't be sent, FetchError for one that failed. Once this
        returns or raises, nothing of the exchange is left behind but a pooled connection.
        """
        if isinstance(request, str):
            request = Request(url=request)
        origin_of(request.url)
        visit = _Visit(self)
        prepared = visit.prepare(request)
        deadline = gevent.Timeout(timeout_s)
        try:
            with deadline:
                response = visit.send(
                    prepared,
                    stream=True,
                    timeout=(min(_CONNECT_TIMEOUT_S, timeout_s), None),
                    proxies=self._proxies_for(request.url),
                    verify=self.verify,
                    cert=self.cert,
                )
        except gevent.Timeout as expired:
            if expired is not deadline:
                raise
            raise FetchError(ErrorKind.TIMEOUT, f"no whole answer within {timeout_s:g} s") from None
        except FetchError:
            raise
        except Exception as error:
            known = fetch_error(error)
            if known is None:
                raise
            raise known from error
        return Page.of(response)

    def _proxies_for(self, url: str) -> dict[str, str]:
        if self.policy != AddressPolicy.allow_all():
            return {}
        if not self._environment_proxies or should_bypass_proxies(url, no_proxy=None):
            return {}
        return self._environment_proxies


class _Adapter(DialingAdapter):
    """The adapter that dials for us, with the CA certificates read once and not for every connection.

    Reading them takes some 20 ms, in which the hub stands still. A request with another `verify` than the
    session's, or with a client certificate, gets requests' own behaviour.
    """

    def __init__(self, verify: str | bool, dialer: Dialer, **options: Any) -> None:
        self._verify = verify
        super().__init__(dialer, **options)

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


class _Visit(requests.Session):
    """The state of one fetch: the parent's connections, a cookie jar of its own.

    requests' own constructor builds connection pools and copies tables that a visit shares with its parent,
    so it is deliberately not called.
    """

    def __init__(self, parent: Session) -> None:
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
        self._max_body_bytes = parent.max_body_bytes
        self._policy = parent.policy
        # Called on every hop before requests follows it, which would otherwise read any body whole.
        self.hooks = {"response": [self._read_body]}

    def prepare(self, request: Request) -> requests.PreparedRequest:
        """Raises InvalidRequest when requests finds the URL or a header impossible."""
        try:
            body = None if request.body is None else request.body.encode()
            # http.client would find this out too, but only with the connection open.
            "".join(request.headers.values()).encode("latin-1")
            return self.prepare_request(
                requests.Request(request.method.upper(), request.url, headers=request.headers, data=body)
            )
        except (ValueError, UnicodeError) as error:
            raise InvalidRequest(str(error)) from None

    def get_adapter(self, url: str) -> BaseAdapter:
        """Asked for on every hop. Raises FetchError for a port that the policy denies."""
        self._policy.check_origin(origin_of(url))
        return super().get_adapter(url)

    def get_redirect_target(self, response: requests.Response) -> str | None:
        """Where requests would go next. Raises FetchError when that is no place to go."""
        target = super().get_redirect_target(response)
        if target is not None:
            try:
                origin_of(requote_uri(urljoin(response.url, target)))
            except (InvalidRequest, InvalidURL, ValueError) as error:
                kind = getattr(error, "kind", ErrorKind.INVALID_REQUEST)
                if kind is not ErrorKind.UNSUPPORTED_SCHEME:
                    kind = ErrorKind.BAD_RESPONSE
                raise FetchError(kind, f"redirected to {target[:200]!r}: {error}") from None
        return target

    def _read_body(self, response: requests.Response, **_: object) -> None:
        limit_bytes = self._max_body_bytes
        pieces: list[bytes] = []
        size_bytes = 0
        for piece in response.iter_content(_READ_SIZE_BYTES):
            size_bytes += len(piece)
            if size_bytes > limit_bytes:
                response.close()
                raise FetchError(ErrorKind.BODY_TOO_LARGE, f"the body is larger than {limit_bytes:,} bytes")
            pieces.append(piece)
        # requests keeps every hop in `history`: what is only passed through is not worth the memory.
        response._content = b"" if response.is_redirect else b"".join(pieces)
