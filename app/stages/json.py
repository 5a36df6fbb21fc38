"""`json`: the body, read as JSON. `json=EXPRESSION`: what a JMESPath expression (jmespath.org) finds in it."""

from __future__ import annotations

from typing import Any

import msgspec

from app.fetching.page import Page
from app.stages.base import stage
from app.stages.query import Query


@stage(argument=Query)
def json(page: Page, *, argument: Query | None = None) -> Any:
    """The body's JSON value, as it is; as `json=EXPRESSION`, what that JMESPath expression finds in it.

    Raises msgspec.DecodeError, which says where, when the body is no JSON (RFC 8259), and ValueError when the
    expression meets a value of another type than it wants.
    """
    value = msgspec.json.decode(page.body)
    return value if argument is None else argument.of(value, len(page.body))
