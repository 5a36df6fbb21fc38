"""The figures as a table for people. Pure: the same JSON gives the same text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.common.table import Columns, block, cell, complaints, document, spread_cells

_COLUMNS: Columns = (
    *(("client", 17), ("fetches/s", 10), ("min", 8), ("max", 8), ("times", 7), ("min", 7), ("max", 7)),
    *(("CPU us", 8), ("busy", 7), ("RSS MB", 8), ("errors", 7)),
)


def table(figures: Mapping[str, Any]) -> str:
    """Machine and versions, then each regime's rows, then what went wrong."""
    explanations = (
        f"{figures['rounds']} rounds; median, min and max of them. times: {figures['reference']}'s rate divided by "
        "this one's, round by round.",
        "CPU us: user and system time per fetch. busy: share of the time that the client spent on its core (far below "
        "100 %: the origin or other work set its pace). RSS: its largest process at its peak.",
    )
    return document(figures, explanations, _regime)


def _regime(regime: Mapping[str, Any]) -> list[str]:
    lines = [f"{regime['name']}: {regime['what']}; {regime['concurrency']} in flight"]
    if regime["note"]:
        lines.append(f"note: {regime['note']}")
    lines += block(_COLUMNS, [(row["client"], _cells(row)) for row in regime["rows"]])
    return [*lines, *complaints(regime["rows"])]


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        *spread_cells(row["rate"], ",.0f"),
        *spread_cells(row["times_reference"], ".2f"),
        cell(row["cpu_us"], "{:.0f}"),
        cell(row["busy_percent"], "{:.0f}%"),
        cell(row["peak_rss_mb"] or None, "{:.1f}"),
        str(row["errors"]),
    ]
