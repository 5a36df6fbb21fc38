"""`json`: the body, read as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from app.fetching.page import Page
from app.stages.base import stage


@stage("json")
def json(page: Page) -> Any:
    """The body's JSON value, as it is.

    Raises msgspec.DecodeError, which says where, when the body is no JSON (RFC 8259).
    """
    return msgspec.json.decode(page.body)
