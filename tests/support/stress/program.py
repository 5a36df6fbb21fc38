"""Stages put together at random of all kinds: pure functions of a seed."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

from tests.support.stress import of_libraries, of_the_language, of_what_is_shared  # noqa: F401  they have kinds
from tests.support.stress.kinds import KINDS
from tests.support.stress.ways import WAYS


def program(seed: int) -> tuple[list[str], Callable[[], list[Any]]]:
    """A stage of one to three kinds, each called in some roundabout way; their names, and what to call."""
    chance = random.Random(seed)
    names = chance.choices(sorted(KINDS), k=chance.randint(1, 3))
    steps = [(KINDS[name], chance.choice(WAYS), chance.randrange(1 << 30)) for name in names]

    def stage() -> list[Any]:
        return [way(functools.partial(function, random.Random(own))) for function, way, own in steps]

    return names, stage
