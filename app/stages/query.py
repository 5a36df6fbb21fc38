"""Query: a JMESPath expression, read once, asked of many documents.

The law: an expression may come from somebody else (a client of the service), so what it makes is bounded by what it
was given. `[@,@] | [@,@] | ...` would double it with every six characters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jmespath
from jmespath.functions import Functions

# By its form, how many times as much as it reads an expression may make: a list of ten parts may make ten times it.
_MOST_TIMES = 100

# The value, counted in characters and items, in bytes of the body. An object's names come once for every item.
_LARGEST_TIMES = 20
_LARGEST_AT_LEAST = 100_000


class Query:
    """The expression `text`. Raises ValueError when it can't be read, names no function of JMESPath, or makes too much
    of what it is given.
    """

    def __init__(self, text: str) -> None:
        self._parsed = jmespath.compile(text)
        if _times(self._parsed.parsed) > _MOST_TIMES:
            raise ValueError(f"the expression may make more than {_MOST_TIMES} times as much as it reads")

    def of(self, document: Any, size_bytes: int) -> Any:
        """What the expression finds in the document of that size; None for nothing.

        Raises ValueError for a value of a type that a function does not take, and for a value that is too large.
        """
        value = self._parsed.search(document)
        allowed = max(_LARGEST_AT_LEAST, _LARGEST_TIMES * size_bytes)
        for weight in _weights(value):
            allowed -= weight
            if allowed < 0:
                raise ValueError(f"the expression makes more than {_LARGEST_TIMES} times as much as the body holds")
        return value


def _times(node: dict[str, Any]) -> int:
    """How many times as much as it is given a part of the expression may make, at most."""
    kind, children = node["type"], node["children"]
    # jmespath itself finds out only when it is asked of a document.
    if kind == "function_expression" and node["value"] not in Functions.FUNCTION_TABLE:
        raise ValueError(f"there is no function {node['value']}() in JMESPath")
    if kind in ("multi_select_list", "multi_select_dict", "function_expression"):
        return sum(_times(child) for child in children) or 1
    times = 1
    for child in children:
        if isinstance(child, dict):
            times *= _times(child)
    return times


def _weights(value: Any) -> Iterator[int]:
    """Of all that is in the value: 1 and the length of each string."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield 1 + sum(map(len, one))
            waiting.extend(one.values())
        elif isinstance(one, list):
            yield 1
            waiting.extend(one)
        else:
            yield 1 + (len(one) if isinstance(one, str) else 0)
