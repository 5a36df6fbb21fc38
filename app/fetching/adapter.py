"""CurlAdapter: libcurl on the hub behind the interface that requests gives to transports.

    session = requests.Session()
    session.mount("https://", CurlAdapter())
    session.mount("http://", CurlAdapter())

The law: requests decides what is sent and what an answer means; this only carries it, and says what went wrong in
requests' own exceptions. Works in any greenlet of any hub; every hub has connections of its own. It is an HTTPAdapter
so that what others build on one (a cache that is mixed in, `isinstance`, pickling) takes it for one; the urllib3
pools that come with that stay empty.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NoReturn
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL, InvalidURL
from requests.structures import CaseInsensitiveDict
from requests.utils import prepend_scheme_if_needed, select_proxy
from urllib3.exceptions import InsecureRequestWarning, LocationParseError
from urllib3.util import parse_url
from urllib3.util.request import body_to_chunks

from app.errors import FetchError, InvalidRequest
from app.fetching.curl_errors import TransferError, requests_error
from app.fetching.curl_transport import CurlTransport, Transports
from app.fetching.head import names_header
from app.fetching.page import Page
from app.fetching.profile import AUTO_TLS_GROUPS, HttpVersion, Profile, profile_for
from app.fetching.raw import BufferedBody, raw_response, read_response
from app.fetching.streamed_body import StreamedBody
from app.fetching.time_limits import Limits, limits_of
from app.fetching.wire_form import Target, check_method, host_line, kept_lines, plain_target, target_of, wire_body
from app.policy.addresses import AddressPolicy

_BLOCK_BYTES = 16 * 1024

_BUILD_RESPONSE = HTTPAdapter.build_response


class CurlAdapter(HTTPAdapter):
    """A transport for any requests session. Needs gevent's monkey patching only in so far as the rest of the program
    does: its own waits yield to the hub in any case.

    policy                which addresses may be contacted; None is all of them, as with requests
    http                  the best version of HTTP to offer: "1.1", "2" (by ALPN) or "3"
    max_idle_connections  kept for later, all origins together, by each hub and policy; the first adapter decides
    tls_groups            key exchange groups to offer, such as "X25519:P-256"; "" leaves it to OpenSSL, "auto" offers
                          OpenSSL's, but makes no post-quantum key share before a server asks for it

    Hooks of HTTPAdapter that a subclass may use as there: `add_headers` and `build_response`. What works on urllib3's
    pools (`init_poolmanager`, `max_retries`, `proxy_manager_for` and the like) has no say.
    """

    # What is pickled.
    __attrs__ = [*HTTPAdapter.__attrs__, "policy", "http", "max_idle_connections", "tls_groups"]  # noqa: RUF012 - as it is there

    def __init__(
        self,
        *,
        policy: AddressPolicy | None = None,
        http: HttpVersion = "2",
        max_idle_connections: int = 1024,
        tls_groups: str = AUTO_TLS_GROUPS,
    ) -> None:
        super().__init__()
        self.policy = policy or AddressPolicy.allow_all()
        self.http: HttpVersion = http
        self.max_idle_connections = max_idle_connections
        self.tls_groups = tls_groups

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """As requests.adapters.HTTPAdapter.send, exceptions included. Yields to the hub.

        With `stream` it is back when the head is here, and reading the body yields; a body that is not read to its
        end or closed holds its connection. Without, the whole answer is here.
        """
        limits = limits_of(timeout)
        check_method(request.method or "", has_body=request.body is not None)
        try:
            target = plain_target(request.url or "") or target_of(request.url or "")
            self.policy.check_port(target.scheme, target.port)
            profile = self._profile(target, verify, cert, proxies)
        except (FetchError, InvalidRequest) as error:
            raise_ours(error, request)
        self.add_headers(request, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies)
        try:
            if stream or is_stream(request.body):
                return self._streamed(request, target, profile, limits)
            return self._whole(request, target, profile, limits)
        except TransferError as error:
            raise requests_error(error, request, is_proxied=bool(profile.proxy)) from error
        except (FetchError, InvalidRequest) as error:
            raise_ours(error, request)

    def close(self) -> None:
        """Closes nothing: connections belong to the hub (app.hub.per_hub.close_this_hub)."""
        super().close()

    def transport(self) -> CurlTransport:
        """This hub's."""
        return self._transports.here()

    @cached_property
    def _transports(self) -> Transports:
        return Transports(self.policy, max_idle_connections=self.max_idle_connections)

    def _whole(
        self, request: requests.PreparedRequest, target: Target, profile: Profile, limits: Limits
    ) -> requests.Response:
        method, url, body = request.method or "GET", request.url or "", bytes_of(request)
        answer = self.transport().exchange(
            profile,
            method,
            target.url,
            target.host,
            target.port,
            lines_of(request, target, has_body=body is not None),
            body=body,
            connect_timeout_s=limits[0],
            read_timeout_s=limits[1],
        )
        if getattr(self.build_response, "__func__", None) is not _BUILD_RESPONSE:
            # A subclass, or somebody's mock, wants to see it made.
            return self._response(request, answer.head, BufferedBody(answer.body, answer.error))
        page = Page.of_answer(answer, method, url)
        # What a session looks at in any case.
        page.request = request
        page.connection = self
        page.history = []
        page.raw = read_response(answer.head, method, url)
        if answer.error is not None or names_header(answer.head, b"content-encoding"):
            page.to_decode()
        return page

    def _streamed(
        self, request: requests.PreparedRequest, target: Target, profile: Profile, limits: Limits
    ) -> requests.Response:
        chunks: Iterable[bytes] | None = None
        length: int | None = None
        if request.body is not None:
            made = body_to_chunks(request.body, request.method or "GET", _BLOCK_BYTES)
            given = request.headers.get("Content-Length")
            length = int(given) if given else made.content_length
            pieces: Iterable[Any] = made.chunks or ()
            chunks = (piece.encode() if isinstance(piece, str) else piece for piece in pieces)
        elif bytes_of(request) is not None:
            chunks, length = (), 0
        opened = self.transport().open_stream(
            profile,
            request.method or "GET",
            target.url,
            target.host,
            target.port,
            lines_of(request, target, has_body=chunks is not None),
            chunks=chunks,
            length_bytes=length,
            connect_timeout_s=limits[0],
            read_timeout_s=limits[1],
        )
        return self._response(request, opened.answer_head, StreamedBody(opened))

    def _response(self, request: requests.PreparedRequest, head: Any, body: Any) -> requests.Response:
        return self.build_response(request, raw_response(head, body, request.method or "GET", request.url or ""))

    def _profile(self, target: Target, verify: bool | str, cert: Any, proxies: Mapping[str, str] | None) -> Profile:
        named = select_proxy(target.url, dict(proxies)) if proxies else None
        proxy = _proxy_url(named) if named else ""
        has_tls = target.scheme == "https" or proxy.startswith("https:")
        return profile_for(
            target.scheme,
            self.http,
            self.tls_groups,
            checked_verify(verify, target.host) if has_tls else True,
            _checked_cert(cert) if cert else None,
            proxy,
        )


def raise_ours(error: FetchError | InvalidRequest, request: requests.PreparedRequest) -> NoReturn:
    """What requests raises for a name that leads nowhere, and for a host that is none."""
    kind = InvalidURL if isinstance(error, InvalidRequest) else requests.exceptions.ConnectionError
    raise kind(error, request=request) from error


def lines_of(request: requests.PreparedRequest, target: Target, *, has_body: bool) -> list[bytes]:
    """Its headers as wire_form.header_lines, with the Host that libcurl would write otherwise."""
    headers: Any = request.headers
    # What requests prepares keeps just these pairs; its `items` would take many times as long.
    pairs = headers._store.values() if type(headers) is CaseInsensitiveDict else headers.items()
    lines = kept_lines(pairs, has_body=has_body)
    host = host_line(target, headers)
    return host + lines if host else lines


def is_stream(body: object) -> bool:
    return body is not None and not isinstance(body, (bytes, bytearray, str))


def bytes_of(request: requests.PreparedRequest) -> bytes | None:
    """The body, as wire_form.wire_body."""
    return wire_body(request.method or "GET", request.headers.get("Content-Length"), request.body)


def checked_verify(verify: bool | str, host: str) -> bool | str:
    """How `host` is to be verified; where not at all, with urllib3's warning.

    Raises OSError like requests' own adapter for a bundle that is not there.
    """
    if isinstance(verify, bool) or verify is None:
        if not verify:
            said = f"Unverified HTTPS request is being made to host '{host}'"
            warnings.warn(said, InsecureRequestWarning, stacklevel=2)
        return bool(verify)
    path = os.fspath(verify)
    if not os.path.exists(path):
        raise OSError(f"Could not find a suitable TLS CA certificate bundle, invalid path: {path}")
    return path


def _checked_cert(cert: Any) -> str | tuple[str, str]:
    paths = (cert, None) if isinstance(cert, str) else (cert[0], cert[1])
    for path, what in zip(paths, ("certificate file", "key file"), strict=True):
        if path and not os.path.exists(path):
            raise OSError(f"Could not find the TLS {what}, invalid path: {path}")
    return cert if isinstance(cert, str) else (cert[0], cert[1])


def _proxy_url(proxy: str) -> str:
    """Raises InvalidProxyURL."""
    url = prepend_scheme_if_needed(proxy, "http")
    try:
        host = parse_url(url).host
        urlsplit(url).port  # noqa: B018 - raises for what is no port
    except (LocationParseError, ValueError):
        host = None
    if not host:
        raise InvalidProxyURL("Please check proxy URL. It is malformed and could be missing the host.")
    return url
