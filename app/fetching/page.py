"""Page: what a stage receives: a `requests.Response` whose body is already here, within its limit.

The law: what a page was made from is kept as it came, and taken apart when somebody asks for it. Most stages look at
the body alone; headers, cookies, `raw` and `request` cost nothing until then.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import requests
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar
from requests.models import REDIRECT_STATI
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from app.fetching.answer import Answer
from app.fetching.head import headers_of, joined_headers_of, reason_of, status_of
from app.fetching.raw import BufferedBody, raw_response, read_response
from app.model.timing import Timing

if TYPE_CHECKING:
    from app.fetching.sending import Sending


class Page(requests.Response):
    """A final response. Everything that `requests.Response` has works; reading it never waits for the network.

    memo    a place for stages of the same page to share what they worked out (a parsed tree, say)
    timing  where the time of its last hop went; None under the plain transport
    visit   the visit (app.fetching.visit) of which it is a hop, None for one of its own
    began_s wall clock at which its hop began, in seconds since the epoch; None if nobody has noted it
    """

    # Attributes of requests.Response that are not here yet are made when they are asked for: see `_Late`.
    memo: dict[str, Any]
    timing: Timing | None
    visit: Any
    began_s: float | None
    _answer: Answer
    _method: str
    _make_request: Callable[[], requests.PreparedRequest]

    @classmethod
    def of(cls, response: requests.Response) -> Page:
        """Take over a response whose body has been read. The response must not be used afterwards."""
        page = cls.__new__(cls)
        page.__dict__.update(response.__dict__)
        page.memo = {}
        page.timing = None
        page.began_s = None
        return page

    @classmethod
    def of_answer(
        cls, answer: Answer, method: str, url: str, make_request: Callable[[], requests.PreparedRequest] | None = None
    ) -> Page:
        """A page with the answer's body as it came.

        make_request  the request as requests would have prepared it; called when somebody asks for it. Without it
                      `request` is to be set
        """
        page = cls.__new__(cls)
        # One by one: that is less than half the time of `__dict__.update`.
        page.status_code = status_of(answer.head)
        page.url = url
        page._content = answer.body
        page._content_consumed = True
        page._answer = answer
        page._method = method
        if make_request is not None:
            page._make_request = make_request
        return page

    def to_decode(self) -> None:
        """Leave the body's content codings to requests: to be read through `iter_content` or `content` once more."""
        answer: Answer = self.__dict__["_answer"]
        body = BufferedBody(answer.body, answer.error)
        self.__dict__.update(
            raw=raw_response(answer.head, body, self.__dict__["_method"], self.url or ""),
            _content=False,
            _content_consumed=False,
        )

    def will_lead_to(self, sending: Sending) -> None:
        """Where a redirect would go next, for `next`."""
        self.__dict__["_next_sending"] = sending

    def close(self) -> None:
        """As requests.Response's. What is here already holds nothing."""
        if "raw" in self.__dict__:
            super().close()

    @property
    def is_redirect(self) -> bool:
        """As requests.Response's, but most statuses need no look at the headers."""
        return self.status_code in REDIRECT_STATI and super().is_redirect

    @property
    def body(self) -> bytes:
        """The decoded body; empty when none came."""
        body: bytes = self._content or self.content or b""
        return body

    def lower_headers(self) -> dict[str, str]:
        """All headers under lower-case names, repeated ones joined by ", "."""
        known = self.__dict__
        if "_answer" in known and "headers" not in known:
            return joined_headers_of(known["_answer"].head)
        return {name.lower(): value for name, value in self.headers.items()}


def _headers(page: Page) -> CaseInsensitiveDict[str]:
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    # Its `update` would take as long again as all that is before.
    for name, value in headers_of(page.__dict__["_answer"].head).itermerged():
        headers._store[name.lower()] = (name, value)
    return headers


def _cookies(page: Page) -> RequestsCookieJar:
    jar = RequestsCookieJar()
    extract_cookies_to_jar(jar, page.request, page.raw)
    return jar


def _raw(page: Page) -> Any:
    # Its body was read, as it would have been by `content`.
    return read_response(page.__dict__["_answer"].head, page.__dict__["_method"], page.url or "")


_LATE: dict[str, Callable[[Page], Any]] = {
    "headers": _headers,
    "reason": lambda page: reason_of(page.__dict__["_answer"].head),
    "encoding": lambda page: get_encoding_from_headers(page.headers),
    "cookies": _cookies,
    "raw": _raw,
    "request": lambda page: page.__dict__["_make_request"](),
    "history": lambda page: [],
    "timing": lambda page: page.__dict__["_answer"].timing if "_answer" in page.__dict__ else None,
    "memo": lambda page: {},
    "visit": lambda page: None,
    "began_s": lambda page: None,
    "connection": lambda page: None,
    "_next": lambda page: page.__dict__["_next_sending"].request() if "_next_sending" in page.__dict__ else None,
}


class _Late:
    """An attribute that is made when it is first asked for, and then stays. Unlike a `__getattr__`, it costs those that
    are there already nothing. functools.cached_property takes a lock for each first look, up to Python 3.11.
    """

    def __init__(self, name: str, make: Callable[[Page], Any]) -> None:
        self._name = name
        self._make = make

    def __get__(self, page: Page | None, owner: type[Page]) -> Any:
        if page is None:
            return self
        value = page.__dict__[self._name] = self._make(page)
        return value


class _Elapsed:
    """The time until the answer had begun, as with requests, whose adapter is back then. Ours is mostly back when the
    body is here, too: so what a session has measured and sets is passed over, unless nothing better is known.
    """

    def __get__(self, page: Page | None, owner: type[Page]) -> Any:
        if page is None:
            return self
        known = page.__dict__
        first_byte_s = known["_answer"].timing.first_byte_s if "_answer" in known else 0.0
        return timedelta(seconds=first_byte_s) if first_byte_s else known.get("elapsed", timedelta())

    def __set__(self, page: Page, value: timedelta) -> None:
        page.__dict__["elapsed"] = value


for _name, _make in _LATE.items():
    setattr(Page, _name, _Late(_name, _make))
Page.elapsed = _Elapsed()  # type: ignore[assignment]
