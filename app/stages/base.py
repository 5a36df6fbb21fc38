"""Stage: a named function Page -> JSON value, and the decorator that makes one.

A stage says what it does with one page; where and when it runs is the engine's affair. What it raises becomes
a failed outcome of kind `stage_failed` that names it; it never ends the run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from app.fetching.page import Page

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,99}")


class Stage(msgspec.Struct, frozen=True):
    """A stage, still callable as the plain function that it was."""

    name: str
    function: Callable[[Page], Any]

    def __call__(self, page: Page) -> Any:
        return self.function(page)


def stage(name: str) -> Callable[[Callable[[Page], Any]], Stage]:
    """Decorator: `@stage("title")` over a function that takes a Page and returns a JSON value.

    Raises ValueError for a name that could not stand as a key in a record.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"stage name {name!r}: use letters, digits and _ . : -, beginning with a letter")

    def wrap(function: Callable[[Page], Any]) -> Stage:
        return Stage(name, function)

    return wrap
