"""Sending: the request of one hop, ready to be sent; as a PreparedRequest only when somebody asks for one.

The law: `request()` is what requests would have prepared, in every field, at the moment at which it was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from requests.cookies import RequestsCookieJar
from requests.models import PreparedRequest
from requests.structures import CaseInsensitiveDict

from app.fetching.cookie_headers import CookieSnapshot
from app.fetching.merged_headers import Store, store_of
from app.fetching.wire_form import Target, kept_lines, plain_target, target_of, wire_body

BODILESS = ("GET", "HEAD")


class Sending:
    """
    url        as requests prepares it, fragment included
    is_given   it was made from a PreparedRequest, which keeps cookies of its own
    plain      where it leads, if that is plain to see (wire_form.plain_target)
    store      all headers that requests knows of; not to be changed
    body       as requests keeps it
    wire_body  as it is sent; None for no body at all
    cookies    those that its Cookie header was chosen from; None for none at all
    """

    __slots__ = (
        "_lines", "_prepared", "body", "cookies", "is_given",
        "method", "plain", "store", "url", "wire_body",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        url: str,
        plain: Target | None,
        store: Store,
        body: bytes | str | None,
        cookies: CookieSnapshot | None,
        lines: Callable[[bool], list[bytes]] | None = None,
    ) -> None:
        self.method = method
        self.url = url
        self.plain = plain
        self.store = store
        self.body = body
        self.wire_body = wire_body(method, store.get("content-length", ("", None))[1], body)
        self.cookies = cookies
        self._lines = lines
        self.is_given = False
        self._prepared: PreparedRequest | None = None

    @classmethod
    def of(cls, prepared: PreparedRequest) -> Sending:
        """Of what requests has prepared, or a user."""
        url: Any = prepared.url
        sending = cls(
            cast("str", prepared.method),
            url,
            plain_target(url),
            store_of(prepared.headers),
            prepared.body,  # type: ignore[arg-type]
            None,
        )
        sending._prepared = prepared
        sending.is_given = True
        return sending

    @property
    def target(self) -> Target:
        """Where it leads. Raises InvalidURL."""
        return self.plain or target_of(self.url)

    def lines(self) -> list[bytes]:
        """As wire_form.kept_lines, what it raises included."""
        has_body = self.wire_body is not None
        if self._lines is not None:
            return self._lines(has_body)
        return kept_lines(self.store.values(), has_body=has_body)

    def request(self) -> PreparedRequest:
        """The request as a response has it; always the same one."""
        made = self._prepared
        if made is None:
            made = self._prepared = PreparedRequest()
            made.method, made.url, made.body = self.method, self.url, self.body
            made.headers = CaseInsensitiveDict(self.store.values())
            made._cookies = self.jar()
        return made

    def jar(self) -> Any:
        """A jar of one's own, with the cookies that the request's header was chosen from."""
        if self.is_given:
            return self.request().copy()._cookies
        return RequestsCookieJar() if self.cookies is None else self.cookies.copy()
