"""What a benchmark has to reach, and whether it did. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Target(Struct, frozen=True):
    """what is measured, in words; what it has to be; what it was; whether that is enough."""

    what: str
    wanted: str
    got: str
    met: bool


def at_least(what: str, got: float | None, wanted: float) -> list[Target]:
    """How many times something is something else. None: it did not run, and there is no target."""
    if got is None:
        return []
    return [Target(what, f">= {wanted:.2f}x", f"{got:.2f}x", got >= wanted)]


def said(target: Mapping[str, Any]) -> str:
    """Its line in a table, as it is in the JSON."""
    verdict = "reached" if target["met"] else "NOT REACHED"
    return f"{verdict}: {target['what']}: {target['got']}, to reach {target['wanted']}"
