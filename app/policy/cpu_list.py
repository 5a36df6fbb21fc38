"""CPU list: the kernel's text form of a set of CPUs, as in cpuset(7), "List format". Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

# The kernel is built for 8,192 CPUs at most (CONFIG_NR_CPUS).
_PART = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")


def parse_cpus(text: str) -> frozenset[int]:
    """Read the kernel's list form: "0-2,5" is {0, 1, 2, 5}. Anything else is the empty set."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        found = _PART.fullmatch(part)
        if found is None:
            return frozenset()
        low, high = int(found[1]), int(found[2] or found[1])
        if low > high:
            return frozenset()
        numbers.update(range(low, high + 1))
    return frozenset(numbers)


def format_cpus(numbers: Iterable[int]) -> str:
    """Write the kernel's list form; `parse_cpus` reads it back."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in runs)
