"""Environment: whether the surroundings have a say in a request: proxies, CA bundle and netrc, as requests reads them.

The law: requests looks all of it up for every request, which costs more than the request. Here it is looked up anew
only when the variables have changed, and whether there is a netrc file once a second. Of proxies and netrc files all
that is decided is whether there are *none*: where there are, requests' own code decides what they mean.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from requests.utils import NETRC_FILES

_FILES_EVERY_S = 1.0

# os.environ decodes every name and value on every look. This is what it keeps them in, in CPython since 3.2.
_variables: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]


class Environment:
    """This process's. clock_s: monotonic seconds."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        # Mutable state.
        self._seen: dict[bytes, bytes] = {}
        self._has_proxies = False
        self._bundle: str | None = None
        self._has_files = False
        self._files_until_s = float("-inf")
        self._read()

    def is_silent(self) -> bool:
        """Whether no proxy is named and there is no netrc file."""
        if _variables != self._seen:
            self._read()
        if self._has_proxies:
            return False
        now_s = self._clock_s()
        if now_s >= self._files_until_s:
            self._files_until_s = now_s + _FILES_EVERY_S
            self._has_files = any(os.path.exists(path) for path in self._netrc_files())
        return not self._has_files

    def ca_bundle(self) -> str | None:
        """The CA bundle that is named, in the order of requests; None if none is."""
        if _variables != self._seen:
            self._read()
        return self._bundle

    def _read(self) -> None:
        self._seen = dict(_variables)
        self._has_proxies = any(value and name.lower().endswith(b"_proxy") for name, value in self._seen.items())
        self._bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None
        self._files_until_s = float("-inf")

    def _netrc_files(self) -> list[str]:
        named = os.environ.get("NETRC")
        return [
            os.path.expanduser(path) for path in ([f"~/{name}" for name in NETRC_FILES] if named is None else [named])
        ]
