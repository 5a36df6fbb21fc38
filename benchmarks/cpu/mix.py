"""Which page the n-th fetch asks for and how much work is done on it. Pure: the same seed gives the same list.

Every 25 in a row hold the whole mix: 20 short stages, 4 medium ones and 1 long one, in an order of their own. So every
part of the list costs about the same, and no contestant, however it orders its work, is given an easier list.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """How long a stage takes by itself."""

    SHORT = "short"  # 200 us
    MEDIUM = "medium"  # 5 ms
    LONG = "long"  # 200 ms


COST_S = {Kind.SHORT: 200e-6, Kind.MEDIUM: 5e-3, Kind.LONG: 200e-3}

SHARES = {Kind.SHORT: 20, Kind.MEDIUM: 4, Kind.LONG: 1}
"""Of each kind in a block."""

BLOCK = sum(SHARES.values())


class Item(Struct, frozen=True):
    """One page to fetch and score.

    page        index into the list of pages
    kind        how long it takes
    units       of work (benchmarks/cpu/work.py)
    """

    page: int
    kind: Kind
    units: int


def mixed(count: int, pages: int, units: Mapping[Kind, int], seed: int) -> list[Item]:
    """`count` items over `pages` pages; every page is used once before any is used again."""
    chance = random.Random(f"mix {seed}")
    order = list(range(pages))
    chance.shuffle(order)
    kinds = [kind for _ in range(-(-count // BLOCK)) for kind in _block(chance)]
    return [Item(order[number % pages], kind, units[kind]) for number, kind in enumerate(kinds[:count])]


def alike(count: int, pages: int, units: int, kind: Kind, seed: int) -> list[Item]:
    """`count` items of one kind."""
    return [Item(item.page, kind, units) for item in mixed(count, pages, dict.fromkeys(Kind, units), seed)]


def _block(chance: random.Random) -> list[Kind]:
    block = [kind for kind, share in SHARES.items() for _ in range(share)]
    chance.shuffle(block)
    return block
