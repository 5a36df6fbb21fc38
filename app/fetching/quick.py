"""Quick verbs: requests' verbs over libcurl without what requests works out anew for every call.

The law: a call is taken only if everything that could change its meaning is at its default, and its result is what
requests' own way gives (a property test compares them). None is no failure: the call then goes that way.

What is spared: a PreparedRequest nobody looks at, merging headers that have not changed, an environment that has
nothing to say, headers and cookies of answers that nobody reads.
"""

from __future__ import annotations

from typing import Any

import requests
from requests.cookies import (
    RequestsCookieJar,
    cookiejar_from_dict,
    extract_cookies_to_jar,
    get_cookie_header,
    merge_cookies,
)
from requests.hooks import default_hooks
from requests.models import REDIRECT_STATI, PreparedRequest
from requests.structures import CaseInsensitiveDict
from requests.utils import to_key_val_list

from app.errors import FetchError, InvalidRequest
from app.fetching.adapter import (
    CurlAdapter,
    bytes_of,
    check_method,
    checked_verify,
    is_stream,
    limits_of,
    raise_ours,
    seconds_of,
)
from app.fetching.curl_errors import TransferError, requests_error
from app.fetching.environment import Environment
from app.fetching.page import Page
from app.fetching.transfer import Profile
from app.fetching.wire_form import Target, header_lines, plain_target, target_of

_OPTIONS = frozenset(("params", "data", "json", "headers", "cookies", "timeout", "allow_redirects"))

_BODILESS = ("GET", "HEAD")

# The steps of requests' own way that are passed over here. Who puts something in place of one wants it to be gone.
_STEPS = ("send", "prepare_request", "merge_environment_settings")
_ADAPTER_STEPS = [(name, getattr(CurlAdapter, name)) for name in ("send", "build_response")]


def _netrc_step() -> Any:
    return vars(requests.sessions)["get_netrc_auth"]


_NETRC = _netrc_step()


class QuickVerbs:
    """For one session and the adapter that it came with. own: the session's class, of which subclasses may differ."""

    def __init__(self, session: requests.Session, adapter: CurlAdapter, own: type[requests.Session]) -> None:
        self._session = session
        self._steps = [(name, getattr(own, name)) for name in _STEPS]
        self._adapter = adapter
        self._environment = Environment()
        # What the session's own headers were when their lines were made.
        self._pairs: list[tuple[str, Any]] = []
        self._lines: list[bytes] = []

    def request(self, method: str, url: Any, options: dict[str, Any]) -> Page | None:
        """The answer to session.request(method, url, **options), or None: requests' own way is to be gone.

        Raises as requests does. Yields to the hub.
        """
        session = self._session
        if not self._is_usual(options) or type(url) is not str or not self._has_own_steps():
            return None
        method = method.upper()
        given = options.get
        data, json, params = given("data"), given("json"), given("params")
        if method not in _BODILESS or data or json is not None or params or given("cookies") is not None:
            prepared = self._prepare(method, url, options)
            return None if prepared is None else self._send(prepared, options, self._verify())
        target = plain_target(url)
        if target is None:
            address = PreparedRequest()
            address.prepare_url(url, None)
            if "@" in (address.url or "") or not (address.url or "").startswith(("http://", "https://")):
                return None
            url = address.url or ""
            target = target_of(url)
        if not self._is_own_adapter(url):
            return None
        headers = given("headers")
        if headers is None and not _has_any(session.cookies):
            pairs, lines = self._session_lines()
            sent: Any = pairs
        else:
            sent = self._merged(headers)
            if _has_any(session.cookies):
                cookie = get_cookie_header(session.cookies, _Asked(url, sent))  # type: ignore[arg-type]
                if cookie is not None:
                    sent["Cookie"] = cookie
            lines = header_lines(sent.items(), has_body=False)

        def make_request() -> PreparedRequest:
            made = PreparedRequest()
            made.method, made.url, made.hooks = method, url, default_hooks()
            made.headers = CaseInsensitiveDict(sent)
            made._cookies = merge_cookies(RequestsCookieJar(), session.cookies)
            return made

        return self._carry(method, url, target, lines, None, make_request, options, self._verify())

    def send(self, prepared: Any, options: dict[str, Any]) -> Page | None:
        """The answer to session.send(prepared, **options), or None as in `request`."""
        session = self._session
        if not isinstance(prepared, PreparedRequest):
            return None
        if options.get("stream", session.stream):
            return None
        if options.get("proxies") or options.get("cert", session.cert) or (prepared.hooks or {}).get("response"):
            return None
        if "proxies" not in options and not self.is_undisturbed():
            return None
        if is_stream(prepared.body) or not self._is_own_adapter(prepared.url or ""):
            return None
        verify = options.get("verify")
        return self._send(prepared, options, session.verify if verify is None else verify)

    def is_undisturbed(self) -> bool:
        """Whether neither the session nor the environment has a proxy or a netrc file to add."""
        session = self._session
        if session.proxies:
            return False
        return not session.trust_env or (_netrc_step() is _NETRC and self._environment.is_silent())

    def _is_usual(self, options: dict[str, Any]) -> bool:
        session = self._session
        if session.auth is not None or session.params or session.stream or session.cert is not None:
            return False
        if session.hooks.get("response") or not self.is_undisturbed():
            return False
        return all(name in _OPTIONS or value is None for name, value in options.items())

    def _verify(self) -> Any:
        """What `verify` comes to for a call that says nothing of it: the environment's word is before the session's."""
        session = self._session
        return (self._environment.ca_bundle() if session.trust_env else None) or session.verify

    def _has_own_steps(self) -> bool:
        session = self._session
        return _are_own(session, self._steps)

    def _is_own_adapter(self, url: str) -> bool:
        adapter = self._session.get_adapter(url)
        return adapter is self._adapter and _are_own(adapter, _ADAPTER_STEPS)

    def _session_lines(self) -> tuple[list[tuple[str, Any]], list[bytes]]:
        headers = self._session.headers
        pairs = list(headers._store.values() if type(headers) is CaseInsensitiveDict else headers.items())
        if pairs != self._pairs:
            made = self._merged(None)
            self._lines = header_lines(made.items(), has_body=False)
            self._pairs = pairs
            self._sent = list(made.items())
        return self._sent, self._lines

    def _merged(self, headers: Any) -> CaseInsensitiveDict[Any]:
        """The session's headers and the call's, checked, as requests merges them."""
        session_headers = self._session.headers
        merged: CaseInsensitiveDict[Any] = CaseInsensitiveDict(to_key_val_list(session_headers or {}))
        if headers:
            merged.update(to_key_val_list(headers))
        for name in [name for name, value in merged.items() if value is None]:
            del merged[name]
        checked = PreparedRequest()
        checked.prepare_headers(merged)
        return checked.headers

    def _prepare(self, method: str, url: str, options: dict[str, Any]) -> PreparedRequest | None:
        """As requests.Session.prepare_request, in its order."""
        session = self._session
        prepared = PreparedRequest()
        prepared.prepare_method(method)
        params = options.get("params")
        if params or plain_target(url) is None:
            prepared.prepare_url(url, params or {})
        else:
            prepared.url = url
        if "@" in (prepared.url or "") or not (prepared.url or "").startswith(("http://", "https://")):
            return None
        if not self._is_own_adapter(prepared.url or ""):
            return None
        prepared.headers = self._merged(options.get("headers"))
        cookies = options.get("cookies")
        jar = merge_cookies(RequestsCookieJar(), session.cookies)
        if cookies:
            # A dict that is merged as such would not take the place of what is there.
            jar = merge_cookies(jar, cookiejar_from_dict(cookies) if isinstance(cookies, dict) else cookies)
        prepared.prepare_cookies(jar)
        prepared.prepare_body(options.get("data") or {}, None, options.get("json"))
        prepared.hooks = default_hooks()
        return None if is_stream(prepared.body) else prepared

    def _send(self, prepared: PreparedRequest, options: dict[str, Any], verify: Any) -> Page:
        url = prepared.url or ""
        body = bytes_of(prepared)
        lines = header_lines(prepared.headers.items(), has_body=body is not None)
        target = plain_target(url) or target_of(url)
        return self._carry(prepared.method or "GET", url, target, lines, body, lambda: prepared, options, verify)

    def _carry(
        self,
        method: str,
        url: str,
        target: Target,
        lines: list[bytes],
        body: bytes | None,
        make_request: Any,
        options: dict[str, Any],
        verify: Any,
    ) -> Page:
        """One hop, and all that follows from its answer."""
        check_method(method)
        session, adapter = self._session, self._adapter
        timeout = options.get("timeout")
        connect_s = read_s = None
        if timeout is not None:
            limits = limits_of(timeout)
            connect_s, read_s = seconds_of(limits.connect_timeout), seconds_of(limits.read_timeout)
        profile = Profile(checked_verify(verify) if target.scheme == "https" else True, None, "", adapter.http)
        try:
            adapter.policy.check_port(target.scheme, target.port)
            answer = adapter.transport().exchange(
                profile,
                method,
                target.url,
                target.host,
                target.port,
                lines,
                body=body,
                connect_timeout_s=connect_s,
                read_timeout_s=read_s,
            )
        except TransferError as error:
            raise requests_error(error, make_request()) from error
        except (FetchError, InvalidRequest) as error:
            raise_ours(error, make_request())
        page = Page.of_answer(answer, method, url, make_request)
        page.__dict__["connection"] = adapter
        if answer.names(b"content-encoding") or answer.error is not None:
            page.to_decode()
        if answer.names(b"set-cookie"):
            extract_cookies_to_jar(session.cookies, page.request, page.raw)
        if page.status_code in REDIRECT_STATI and page.is_redirect:
            return self._redirected(page, options, verify)
        if not page._content_consumed:
            page.content  # noqa: B018 - read and decoded now, and what is wrong with it is raised now
        return page

    def _redirected(self, page: Page, options: dict[str, Any], verify: Any) -> Page:
        session = self._session
        how = {
            "stream": False,
            "timeout": options.get("timeout"),
            "verify": verify,
            "cert": options.get("cert", session.cert),
            "proxies": options.get("proxies") or {},
        }
        if not options.get("allow_redirects", True):
            page._next = next(session.resolve_redirects(page, page.request, yield_requests=True, **how), None)  # type: ignore[assignment]
            page.content  # noqa: B018
            return page
        pages = [page, *session.resolve_redirects(page, page.request, **how)]
        final = pages.pop()
        final.history = pages
        return final  # type: ignore[return-value]


class _Asked:
    """What the cookie jar asks about a request."""

    def __init__(self, url: str, headers: Any) -> None:
        self.url = url
        self.headers = headers


def _are_own(owner: object, steps: list[tuple[str, Any]]) -> bool:
    """Whether these methods are the ones that we know."""
    return all(getattr(getattr(owner, name), "__func__", None) is step for name, step in steps)


def _has_any(jar: Any) -> bool:
    return any(True for _ in jar)
