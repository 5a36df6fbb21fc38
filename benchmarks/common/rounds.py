"""Rounds: in each every client runs once, in another order."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence


def in_rounds(regime: str, clients: Sequence[str], rounds: int, seed: int) -> Iterator[tuple[int, str]]:
    """Round, from 0 on, and client. The same seed gives the same orders; regimes have orders of their own."""
    chance = random.Random(f"{seed} {regime}")
    for number in range(rounds):
        order = list(clients)
        chance.shuffle(order)
        for client in order:
            yield number, client


def say(regime: str, number: int, client: str, what: str) -> None:
    """A line for whoever waits."""
    sys.stderr.write(f"bench: {regime}, round {number + 1}: {client} {what}\n")
