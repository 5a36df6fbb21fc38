"""Quick redirects: the request that follows from a redirect, as requests.Session.resolve_redirects makes it.

The law: in its order, with its exceptions; but nothing is copied that stays the same.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urljoin, urlparse

import requests
from requests.cookies import extract_cookies_to_jar, merge_cookies
from requests.utils import requote_uri

from app.fetching.cookie_headers import CookieHeaders, CookieSnapshot
from app.fetching.sending import Sending
from app.fetching.wire_form import plain_target

_KEEPS_ALL = (307, 308)
_OF_THE_BODY = ("content-length", "content-type", "transfer-encoding")


def next_sending(
    session: requests.Session, cookies: CookieHeaders, sending: Sending, page: requests.Response, location: str
) -> Sending:
    """The hop after `page`, the answer to `sending`, which leads to `location`. Raises as requests does."""
    url = _next_url(location, page.url or "", sending.url)
    store, body = dict(sending.store), sending.body
    if page.status_code not in _KEEPS_ALL:
        for name in _OF_THE_BODY:
            store.pop(name, None)
        body = None
    store.pop("cookie", None)
    plain = plain_target(url)
    snapshot = cookies.snapshot(session.cookies)
    if sending.is_given or _sets_cookies(page) or (sending.cookies is not None and sending.cookies is not snapshot):
        jar = sending.jar()
        extract_cookies_to_jar(jar, page.request, page.raw)
        merge_cookies(jar, session.cookies)
        snapshot = CookieSnapshot(jar)
    cookie = None if snapshot is None else snapshot.header(url, plain, store)
    if cookie is not None:
        store["cookie"] = ("Cookie", cookie)
    # Neither the session nor the environment has a proxy or a netrc file, or this would not be the way.
    store.pop("proxy-authorization", None)
    if "authorization" in store and session.should_strip_auth(page.url or "", url):
        del store["authorization"]
    lines = None
    if body is sending.body and list(store.values()) == list(sending.store.values()):
        store, lines = sending.store, lambda _: sending.lines()
    return Sending(_next_method(sending.method, page.status_code), url, plain, store, body, snapshot, lines)


def _sets_cookies(response: requests.Response) -> bool:
    return "set-cookie" in response.headers


def _next_method(method: str, status: int) -> str:
    if method != "HEAD" and (status in (302, 303) or (status == 301 and method == "POST")):
        return "GET"
    return method


@lru_cache(1024)
def _next_url(location: str, base: str, asked: str) -> str:
    """As requests makes it: the fragment goes along, and what can't stand in a URL is escaped."""
    if location.startswith("//"):
        location = f"{urlparse(base).scheme}:{location}"
    parts = urlparse(location)
    if not parts.fragment:
        fragment = urlparse(asked).fragment
        if fragment:
            parts = parts._replace(fragment=fragment)
    url = parts.geturl()
    return requote_uri(url) if parts.netloc else urljoin(base, requote_uri(url))
