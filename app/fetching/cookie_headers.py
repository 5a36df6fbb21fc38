"""Cookie headers: what a jar's cookies come to for a request, as requests and http.cookiejar work it out.

The law: http.cookiejar decides, on a copy of the jar, as in requests. What it decided is kept as long as no cookie of
the jar has changed in any field and none has expired, for requests that are alike in all that it looks at.
"""

from __future__ import annotations

import time
from http.cookiejar import CookieJar
from typing import Any

from requests.cookies import RequestsCookieJar, get_cookie_header, merge_cookies
from requests.structures import CaseInsensitiveDict

from app.fetching.merged_headers import Store
from app.fetching.wire_form import Target

_HEADERS_KEPT = 1024


class _Asked:
    """What http.cookiejar asks about a request, by way of requests."""

    __slots__ = ("headers", "url")

    def __init__(self, url: str, headers: Any) -> None:
        self.url = url
        self.headers = headers


class CookieSnapshot:
    """Cookies at one moment. jar: one that nobody else changes. Raises what http.cookiejar raises for odd cookies."""

    def __init__(self, jar: CookieJar) -> None:
        # As http.cookiejar does with each header that it makes; of the session's own jar it never does.
        jar.clear_expired_cookies()
        self._jar: Any = jar
        self._paths = list(dict.fromkeys(cookie.path for cookie in jar))
        self._headers: dict[tuple[Any, ...], str | None] = {}

    def copy(self) -> RequestsCookieJar:
        """A jar of one's own."""
        copy: RequestsCookieJar = self._jar.copy()
        return copy

    def header(self, url: str, plain: Target | None, store: Store) -> str | None:
        """What they come to. None if that is nothing, or the request has a Cookie header already.

        plain  where it leads, if that is plain to see (wire_form.plain_target)
        store  the request's other headers
        """
        if "cookie" in store:
            return None
        if plain is None or "host" in store:
            # http.cookiejar escapes such a path before it compares it, and takes Host for the host.
            return self._ask(url, CaseInsensitiveDict(store.values()))
        below: tuple[str, ...] = ()
        if self._paths != ["/"]:
            path = "/" + url.split("/", 3)[3].partition("?")[0]
            below = tuple(each for each in self._paths if _is_below(path, each))
        key = (plain.scheme, plain.host, plain.port, below)
        try:
            return self._headers[key]
        except KeyError:
            if len(self._headers) >= _HEADERS_KEPT:
                self._headers.clear()
            header = self._headers[key] = self._ask(url, {})
            return header

    def _ask(self, url: str, headers: Any) -> str | None:
        return get_cookie_header(self._jar, _Asked(url, headers))  # type: ignore[arg-type]


class CookieHeaders:
    """Snapshots of a session's jar, the same one as long as nothing has changed."""

    def __init__(self) -> None:
        # The fields of all cookies, when the first of them expires, and what was made of them.
        self._last: tuple[list[dict[str, Any]], float, CookieSnapshot] | None = None

    def snapshot(self, jar: RequestsCookieJar) -> CookieSnapshot | None:
        """What is in the jar; None for nothing."""
        with jar._cookies_lock:
            fields = [
                vars(cookie)
                for paths in jar._cookies.values()  # type: ignore[attr-defined]
                for names in paths.values()
                for cookie in names.values()
            ]
        if not fields:
            return None
        now_s = time.time()
        last = self._last
        if last is not None and last[0] == fields and now_s < last[1]:
            return last[2]
        snapshot = CookieSnapshot(merge_cookies(RequestsCookieJar(), jar))
        expiries = [each["expires"] for each in fields if each["expires"] is not None and each["expires"] > now_s]
        # Copied, since a cookie may be changed where it is.
        self._last = ([dict(each) for each in fields], min(expiries, default=float("inf")), snapshot)
        return snapshot


def _is_below(path: str, cookie_path: str) -> bool:
    """As http.cookiejar.DefaultCookiePolicy.path_return_ok."""
    return path == cookie_path or (
        path.startswith(cookie_path) and (cookie_path.endswith("/") or path[len(cookie_path)] == "/")
    )
