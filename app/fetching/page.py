"""Page: what a stage receives: a `requests.Response` whose body is already here, within its limit."""

from __future__ import annotations

from typing import Any

import requests


class Page(requests.Response):
    """A final response. Everything that `requests.Response` has works; reading it never waits for the network.

    memo  a place for stages of the same page to share what they worked out (a parsed tree, say)
    """

    memo: dict[str, Any]

    @classmethod
    def of(cls, response: requests.Response) -> Page:
        """Take over a response whose body has been read. The response must not be used afterwards."""
        page = cls.__new__(cls)
        page.__dict__.update(response.__dict__)
        page.memo = {}
        return page

    @property
    def body(self) -> bytes:
        """The decoded body; empty when none came."""
        return self.content or b""
