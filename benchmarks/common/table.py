"""Tables for people. Pure: the same JSON gives the same text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Columns = Sequence[tuple[str, int]]
"""Head and width of each; the first is the client's, and its width that of the names."""

NONE = "-"


def document(
    figures: Mapping[str, Any], explanations: Iterable[str], regime: Callable[[Mapping[str, Any]], list[str]]
) -> str:
    """Machine and versions, what the columns mean, then each regime's own lines."""
    lines = [f"{name}: {value}" for name, value in figures["machine"].items()]
    lines.append("versions: " + ", ".join(f"{name} {value}" for name, value in sorted(figures["versions"].items())))
    lines += explanations
    if figures["quick"]:
        lines.append("QUICK: a smoke run; the figures mean nothing.")
    for one in figures["regimes"]:
        lines += ["", *regime(one)]
    if figures["interrupted"]:
        lines += ["", "interrupted: rounds and regimes are missing"]
    return "\n".join(lines) + "\n"


def block(columns: Columns, rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """A line of heads, and one for each client and its cells; nothing where there are no rows."""
    if not rows:
        return []
    (title, _), *others = columns
    return [_line(title, [head for head, _ in others], columns), *(_line(name, cells, columns) for name, cells in rows)]


def spread_cells(
    spread: Mapping[str, float] | None, shape: str, keys: Sequence[str] = ("median", "min", "max")
) -> list[str]:
    """One for each key; `shape` is a format specification."""
    return [f"{spread[key]:{shape}}" for key in keys] if spread else [NONE] * len(keys)


def cell(value: float | None, shape: str) -> str:
    """`shape` may have its unit behind the braces: "{:.0f}%"."""
    return shape.format(value) if value is not None else NONE


def complaints(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each of each client's."""
    return [f"{row['client']}: {complaint}" for row in rows for complaint in row["complaints"]]


def _line(first: str, others: Sequence[str], columns: Columns) -> str:
    cells = [f"{text:>{width}}" for text, (_, width) in zip(others, columns[1:], strict=True)]
    return f"{first:<{columns[0][1]}}{''.join(cells)}"
