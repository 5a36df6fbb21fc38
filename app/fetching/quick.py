"""Quick verbs: requests' verbs over libcurl without what requests works out anew for every call.

The law: a call is taken only if everything that could change its meaning is at its default or known here, and its
result is what requests' own way gives (a property test compares them). None is no failure: the call then goes that
way. docs/decisions/0012-quick-verbs.md says what is spared and what is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.cookiejar import CookieJar
from typing import Any, cast

import requests
from requests.cookies import RequestsCookieJar, cookiejar_from_dict, extract_cookies_to_jar, merge_cookies
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, TooManyRedirects
from requests.models import REDIRECT_STATI, PreparedRequest
from requests.utils import super_len

from app.errors import FetchError, InvalidRequest
from app.fetching.adapter import CurlAdapter, checked_verify, is_stream, raise_ours
from app.fetching.cookie_headers import CookieHeaders, CookieSnapshot
from app.fetching.curl_errors import TransferError, requests_error
from app.fetching.environment import Environment
from app.fetching.head import is_in
from app.fetching.merged_headers import MergedHeaders
from app.fetching.page import Page
from app.fetching.profile import profile_for
from app.fetching.quick_form import NotQuick, address, body_of
from app.fetching.quick_redirects import next_sending
from app.fetching.sending import BODILESS, Sending
from app.fetching.steps import AdapterSteps, Steps, netrc_is_own
from app.fetching.time_limits import limits_of
from app.fetching.wire_form import check_method, host_line

# What a call may say and be quick. Whatever else requests knows may be there as None.
_OPTIONS = frozenset(("params", "data", "json", "headers", "cookies", "timeout", "allow_redirects"))
_NOTHING = frozenset(("files", "auth", "proxies", "hooks", "stream", "verify", "cert"))
_SEND_OPTIONS = frozenset(("stream", "timeout", "verify", "cert", "proxies", "allow_redirects"))


class QuickVerbs:
    """For one session and the adapter that it came with. own: the session's class, of which subclasses may differ."""

    def __init__(self, session: requests.Session, adapter: CurlAdapter, own: type[requests.Session]) -> None:
        self._session = session
        self._adapter = adapter
        self._steps = Steps(own)
        self._adapter_steps = AdapterSteps(CurlAdapter)
        self._environment = Environment()
        self._headers = MergedHeaders(session)
        self._cookies = CookieHeaders()

    def request(self, method: Any, url: Any, options: dict[str, Any]) -> requests.Response | None:
        """The answer to session.request(method, url, **options), or None: requests' own way is to be gone.

        Raises as requests does. Yields to the hub.
        """
        session = self._session
        if type(url) is not str or type(method) is not str or not self._is_usual(options):
            return None
        try:
            sending = self._prepare(method.upper(), url, options)
        except NotQuick:
            return None
        if not self._is_own_adapter(sending.url):
            return None
        # The environment's word is before the session's.
        verify = (self._environment.ca_bundle() if session.trust_env else None) or session.verify
        return self._follow(sending, options.get("timeout"), verify, options.get("allow_redirects", True))

    def send(self, prepared: PreparedRequest, options: dict[str, Any]) -> requests.Response | None:
        """The answer to session.send(prepared, **options), or None as in `request`."""
        session = self._session
        given: Any = prepared
        if not isinstance(given, PreparedRequest) or type(given.url) is not str or given.headers is None:
            return None
        if not options.keys() <= _SEND_OPTIONS or not self._steps.are_own(session):
            return None
        if options.get("stream", session.stream) or options.get("cert", session.cert):
            return None
        # Also where no proxy was found for this URL: where a redirect leads there may be one.
        if options.get("proxies") or not self._is_undisturbed():
            return None
        if (prepared.hooks or {}).get("response") or is_stream(prepared.body) or not _is_plain_jar(session.cookies):
            return None
        if not self._is_own_adapter(given.url):
            return None
        sending = Sending.of(prepared)
        verify = options.get("verify", session.verify)
        return self._follow(sending, options.get("timeout"), verify, options.get("allow_redirects", True))

    def _is_undisturbed(self) -> bool:
        """Whether neither the session nor the environment has a proxy or a netrc file to add."""
        session = self._session
        if session.proxies:
            return False
        return not session.trust_env or (netrc_is_own() and self._environment.is_silent())

    def _is_own_adapter(self, url: str) -> bool:
        adapter = self._session.get_adapter(url)
        return adapter is self._adapter and self._adapter_steps.are_own(adapter)

    def _is_usual(self, options: dict[str, Any]) -> bool:
        session = self._session
        if not options.keys() <= _OPTIONS:
            for name, value in options.items():
                if name not in _OPTIONS and (value is not None or name not in _NOTHING):
                    return False
        if session.auth is not None or session.params or session.stream or session.cert is not None:
            return False
        hooks = session.hooks
        if type(hooks) is not dict or hooks.get("response") or not _is_plain_jar(session.cookies):
            return False
        headers, own_headers = options.get("headers"), cast("Any", session.headers)
        if not isinstance(own_headers, Mapping) or not (headers is None or isinstance(headers, Mapping)):
            return False
        return self._steps.are_own(session) and self._is_undisturbed()

    def _prepare(self, method: str, url: str, options: dict[str, Any]) -> Sending:
        """As requests.Session.prepare_request, in its order. Raises NotQuick, and what requests raises."""
        given = options.get
        cookies, data, json = given("cookies"), given("data"), given("json")
        snapshot = self._cookies.snapshot(self._session.cookies)
        if cookies:
            snapshot = self._snapshot_with(cookies)
        url, target = address(url, given("params"))
        merged = self._headers.of(given("headers"))
        store = merged.store
        cookie = content_type = None
        if snapshot is not None:
            cookie = snapshot.header(url, target, store)
            if cookie is not None:
                store = {**store, "cookie": ("Cookie", cookie)}
        body, content_type = body_of(data, json)
        if body is not None or method not in BODILESS:
            store = dict(store)
            length = super_len(body) if body is not None else 0
            if length or (body is None and "content-length" not in store):
                store["content-length"] = ("Content-Length", str(length))
            if content_type is not None:
                if "content-type" in store:
                    content_type = None
                else:
                    store["content-type"] = ("Content-Type", content_type)
        return Sending(
            method,
            url,
            target,
            store,
            body,
            snapshot,
            lambda has_body: merged.lines(cookie, content_type, has_body=has_body),
        )

    def _snapshot_with(self, cookies: Any) -> CookieSnapshot:
        """The session's cookies, and those of a call over them."""
        jar = merge_cookies(RequestsCookieJar(), self._session.cookies)
        if not isinstance(cookies, CookieJar):
            cookies = cookiejar_from_dict(cookies)
        return CookieSnapshot(merge_cookies(jar, cookies))

    def _follow(self, sending: Sending, timeout: Any, verify: Any, allow_redirects: Any) -> requests.Response:
        """From the first hop to the last, as requests.Session.send."""
        session = self._session
        page: requests.Response = self._carry(sending, timeout, verify)
        if page.status_code in REDIRECT_STATI:
            history: list[requests.Response] = []
            while page.status_code in REDIRECT_STATI and (location := session.get_redirect_target(page)):
                is_first = not history
                page.history = history[:]
                history.append(page)
                _consume(page)
                too_many = len(history) > session.max_redirects
                if too_many and is_first:
                    raise _too_many(session, page)
                sending = next_sending(session, self._cookies, sending, page, location)
                if isinstance(page, Page) and not (allow_redirects and is_first):
                    # So it is with requests on every hop but the first of a chain.
                    page.will_lead_to(sending)
                    if not page._content_consumed:
                        page.content  # noqa: B018 - for a second time
                if too_many:
                    raise _too_many(session, page)
                page.close()
                if not allow_redirects:
                    break
                page = self._carry_on(sending, timeout, verify)
            else:
                if history:
                    page.history = history
        if not page._content_consumed:
            page.content  # noqa: B018 - read and decoded now, and what is wrong with it is raised now
        return page

    def _carry_on(self, sending: Sending, timeout: Any, verify: Any) -> requests.Response:
        """A hop that follows, over whatever adapter the session has for it."""
        session = self._session
        if self._is_own_adapter(sending.url):
            return self._carry(sending, timeout, verify)
        how = {"stream": False, "timeout": timeout, "verify": verify, "cert": session.cert, "proxies": {}}
        return session.send(sending.request(), allow_redirects=False, **how)

    def _carry(self, sending: Sending, timeout: Any, verify: Any) -> Page:
        """One hop. The body's content codings are not undone yet."""
        adapter = self._adapter
        try:
            target = sending.target
            adapter.policy.check_port(target.scheme, target.port)
            checked = checked_verify(verify, target.host) if target.scheme == "https" else True
            profile = profile_for(target.scheme, adapter.http, adapter.tls_groups, checked)
            connect_s, read_s = limits_of(timeout)
            check_method(sending.method, has_body=sending.wire_body is not None)
            lines = sending.lines()
            if sending.plain is None:
                lines = host_line(target, sending.store) + lines
            answer = adapter.transport().exchange(
                profile,
                sending.method,
                target.url,
                target.host,
                target.port,
                lines,
                body=sending.wire_body,
                connect_timeout_s=connect_s,
                read_timeout_s=read_s,
            )
        except TransferError as error:
            raise requests_error(error, sending.request()) from error
        except (FetchError, InvalidRequest) as error:
            raise_ours(error, sending.request())
        page = Page.of_answer(answer, sending.method, sending.url, sending.request)
        page.connection = adapter
        names = b"".join(answer.head).lower()
        if answer.error is not None or is_in(b"\ncontent-encoding:", names):
            page.to_decode()
        if is_in(b"\nset-cookie:", names):
            # While their lifetimes are counted from now.
            page.cookies  # noqa: B018
            extract_cookies_to_jar(self._session.cookies, page.request, page.raw)
        return page


def _too_many(session: requests.Session, page: requests.Response) -> TooManyRedirects:
    return TooManyRedirects(f"Exceeded {session.max_redirects} redirects.", response=page)


def _is_plain_jar(jar: object) -> bool:
    return type(jar) is RequestsCookieJar


def _consume(page: requests.Response) -> None:
    """Read a body that is only passed through, as requests does: whatever is wrong with it."""
    if not page._content_consumed:
        try:
            page.content  # noqa: B018
        except (ChunkedEncodingError, ContentDecodingError, RuntimeError):
            page.raw.read(decode_content=False)
