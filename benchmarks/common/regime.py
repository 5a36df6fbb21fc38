"""A regime: one kind of load, and which contestants can do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec import Struct


class Regime(Struct, frozen=True):
    """name     as --regime takes it, also without what follows a dash
    what     in words
    clients  names of contestants
    """

    name: str
    what: str
    clients: tuple[str, ...]


R = TypeVar("R", bound=Regime)


def chosen(regimes: Sequence[R], names: set[str] | None) -> list[R]:
    """In order; a name without a dash stands for all that begin with it. None: all. Raises KeyError for one unknown."""
    for name in names or ():
        if not any(name in _names(regime) for regime in regimes):
            raise KeyError(name)
    return [regime for regime in regimes if names is None or names & _names(regime)]


def _names(regime: Regime) -> set[str]:
    return {regime.name, regime.name.partition("-")[0]}
