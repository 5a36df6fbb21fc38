"""Kinds of stages that are delicate to interrupt: each takes a random generator and gives a value that depends on it
alone, also where it uses something that all stages share (`SHARED`): so a wrong value tells that an interruption was
not harmless.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Kind = Callable[[random.Random], Any]


KINDS: dict[str, Kind] = {}


# Those that use what all stages share: not to be killed in the middle of it.
SHARED: set[str] = set()


def kind(function: Kind) -> Kind:
    KINDS[function.__name__] = function
    return function


def shared(function: Kind) -> Kind:
    SHARED.add(function.__name__)
    return kind(function)
