"""Merged headers: a session's own headers and a call's, checked, in the form in which they go out.

The law: they are what requests.Session.prepare_request makes of them. Both change rarely from call to call, so what
came of a set of headers is kept, by its names and values themselves: nothing has to be told when they change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from requests.models import PreparedRequest
from requests.structures import CaseInsensitiveDict
from requests.utils import to_key_val_list

from app.fetching.wire_form import header_lines

# By lower-case name: the name as it was given, and the value.
Store = dict[str, tuple[str, Any]]

_SETS_KEPT = 256
_LINES_KEPT = 256


class Merged:
    """One set of headers. store: not to be changed; plain: the lines of a request with nothing else, once made."""

    __slots__ = ("_lines", "plain", "store")

    def __init__(self, store: Store) -> None:
        self.store = store
        self.plain: list[bytes] | None = None
        self._lines: dict[tuple[str | None, str | None, bool], list[bytes]] = {}

    def lines(
        self, cookie: str | None = None, content_type: str | None = None, *, has_body: bool = False
    ) -> list[bytes]:
        """As wire_form.header_lines, with these two headers added to the store's. The same list for the same call.

        Raises UnicodeEncodeError for what is beyond latin-1.
        """
        key = (cookie, content_type, has_body)
        lines = self._lines.get(key)
        if lines is None:
            pairs = list(self.store.values())
            if cookie is not None:
                pairs.append(("Cookie", cookie))
            if content_type is not None:
                pairs.append(("Content-Type", content_type))
            lines = header_lines(pairs, has_body=has_body)
            if len(self._lines) >= _LINES_KEPT:
                self._lines.clear()
            self._lines[key] = lines
            if key == (None, None, False):
                self.plain = lines
        return lines


class HasHeaders(Protocol):
    """A session."""

    headers: Any


class MergedHeaders:
    """For one session; its `headers` must be a mapping. Safe in any thread: what is kept is replaced whole."""

    def __init__(self, session: HasHeaders) -> None:
        self._session = session
        # The session's own headers as they were, and what came of them.
        self._own: tuple[list[Any], Merged | None] = ([], None)
        self._sets: dict[tuple[Any, ...], Merged] = {}

    def own_lines(self) -> list[bytes]:
        """Of the session's headers alone, for a request without a body. Raises as `of` and `Merged.lines` do."""
        kept, merged = self._own
        headers = self._session.headers
        if merged is None or type(headers) is not CaseInsensitiveDict or list(headers._store.values()) != kept:
            merged = self.of(None)
        return merged.lines() if merged.plain is None else merged.plain

    def of(self, headers: Mapping[Any, Any] | None) -> Merged:
        """The session's headers, those of the call over them. Raises InvalidHeader and what else requests raises."""
        store = store_of(self._session.headers)
        if headers:
            return self._merge(dict(store), headers)
        kept, merged = self._own
        pairs = list(store.values())
        if merged is None or pairs != kept:
            merged = self._merge(dict(store), {})
            self._own = (pairs, merged)
        return merged

    def _merge(self, store: Store, headers: Mapping[Any, Any]) -> Merged:
        for name, value in headers.items():
            store[name.lower()] = (name, value)
        pairs = tuple(pair for pair in store.values() if pair[1] is not None)
        try:
            merged = self._sets.get(pairs)
        except TypeError:
            # A value that can't be hashed is none that can be sent.
            return Merged(_checked(pairs))
        if merged is None:
            merged = Merged(_checked(pairs))
            if len(self._sets) >= _SETS_KEPT:
                self._sets.clear()
            self._sets[pairs] = merged
        return merged


def store_of(headers: Mapping[str, Any]) -> Store:
    """A mapping's headers by lower-case name. Not to be changed: it may be what the mapping itself keeps."""
    # requests' own class keeps just this; its `items` would take five times as long.
    if type(headers) is not CaseInsensitiveDict:
        headers = CaseInsensitiveDict(to_key_val_list(headers))
    store: Store = headers._store
    return store


def _checked(pairs: tuple[tuple[Any, Any], ...]) -> Store:
    prepared = PreparedRequest()
    prepared.prepare_headers(dict(pairs))
    return store_of(prepared.headers)
