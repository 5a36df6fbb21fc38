"""The figures as a table for people. Pure: the same JSON gives the same text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TRIALS = (("said", "said"), ("limit", "to the limit"), ("second", "second ^C"), ("third", "third ^C"))
_KILLS = (("followed", "children gone"), ("replaced", "another"), ("at_work", "at work"))
_FIRST_WIDTH = 16
_WIDTH = 27
_FAULTS_SHOWN = 10


def table(figures: Mapping[str, Any]) -> str:
    """Machine and versions, a row for each scenario and each kind of kill, the promises, what went wrong."""
    lines = [f"{name}: {value}" for name, value in figures["machine"].items()]
    lines.append("versions: " + ", ".join(f"{name} {value}" for name, value in sorted(figures["versions"].items())))
    lines.append(f"seed {figures['seed']}; times in milliseconds: p50, p99, max (number)")
    if figures["quick"]:
        lines.append("QUICK: a smoke run; the figures mean nothing.")
    if figures["rows"]:
        lines += ["", _line("", [head for _, head in _TRIALS])]
        lines += [_line(row["scenario"], [_cell(row[key]) for key, _ in _TRIALS]) for row in figures["rows"]]
    if figures["kills"]:
        lines += ["", _line("kill -9", [head for _, head in _KILLS])]
        for row in figures["kills"]:
            lines.append(_line(f"{row['what']}, {row['scenario']}", [_cell(row[key]) for key, _ in _KILLS]))
    lines.append("")
    for promise in figures["promises"]:
        lines.append(f"{'holds' if promise['met'] else 'BROKEN'}: {promise['what']}: {promise['got']}")
    lines += [f"left out: {why}" for why in figures["left_out"]]
    for row in [*figures["rows"], *figures["kills"]]:
        lines += [f"{row['scenario']}, {fault}" for fault in row["faults"][:_FAULTS_SHOWN]]
    if figures["interrupted"]:
        lines.append("interrupted: trials are missing")
    return "\n".join(lines) + "\n"


def _cell(spread: Mapping[str, float] | None) -> str:
    if spread is None:
        return "-"
    return f"{spread['p50_ms']:.1f}, {spread['p99_ms']:.1f}, {spread['max_ms']:.1f} ({spread['count']})"


def _line(first: str, cells: Sequence[str]) -> str:
    return f"{first:<{_FIRST_WIDTH}}" + "".join(f"{cell:>{_WIDTH}}" for cell in cells)
