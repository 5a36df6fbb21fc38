"""The figures as a table for people. Pure: the same JSON gives the same text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.common import targets
from benchmarks.common.table import NONE, Columns, block, cell, complaints, document, spread_cells

_NAME_WIDTH = 18

_RATES: Columns = (
    ("throughput", _NAME_WIDTH),
    *(("items/s", 10), ("min", 8), ("max", 8), ("of ref", 8), ("min", 7), ("max", 7)),
    *(("CPU ms", 8), ("busy", 7), ("RSS MB", 8), ("errors", 7)),
)
_LATE: Columns = (
    ("lateness", _NAME_WIDTH),
    *(("p50", 9), ("p99", 9), ("min", 9), ("max", 9), ("largest", 9), ("x ours", 8)),
    *(("^C p50", 9), ("p99", 9), ("max", 9), ("^C loop p50", 12), ("p99", 9), ("times", 6)),
)
_TOOK: Columns = (
    ("fetch to score", _NAME_WIDTH),
    *(("short p50", 11), ("p99", 9), ("medium p50", 11), ("p99", 9), ("long p50", 11), ("p99", 9)),
)
_PROBES: Columns = (("short stage", _NAME_WIDTH), ("probes", 8), ("wait p50", 10), ("p99", 9), ("max", 9))

_PAIRS: Columns = (
    ("by turns", _NAME_WIDTH),
    *(("pairs", 7), ("of plain by CPU", 17), ("lower", 7), ("upper", 7), ("by wall", 9), ("lower", 7), ("upper", 7)),
    *(("plain CPU ms", 14), ("sliced", 8), ("slices", 8), ("windows", 9)),
)
_QUARTILES = ("median", "lower", "upper")


def table(figures: Mapping[str, Any]) -> str:
    """Machine and versions, then each regime's rows, then what went wrong."""
    explanations = (
        f"{figures['rounds']} rounds; medians of them, min and max too. of ref: rate divided by the reference's, round "
        "by round. CPU ms: of an item. busy: CPU time by time; where it is far below 100 %, others had the core "
        "too, and CPU ms says more than the rate.",
        f"Times in milliseconds. A unit of work takes {figures['unit_s'] * 1e6:.1f} us; a slice of ours "
        f"{figures['slice_s'] * 1e3:g} ms.",
    )
    return document(figures, explanations, _regime)


def _regime(regime: Mapping[str, Any]) -> list[str]:
    rows = regime["rows"]
    lines = [f"{regime['name']}: {regime['what']}; {regime['concurrency']} at a time; reference {regime['reference']}"]
    lines += block(_RATES, [(row["client"], _rates(row)) for row in rows if not row["pairs"]])
    lines += block(_PAIRS, [(row["client"], _pairs(row["pairs"])) for row in rows if row["pairs"]])
    lines += block(_LATE, [(row["client"], _late(row)) for row in rows if row["late_p99_s"]])
    if regime["load"] == "mix" and regime["name"] != "scale":
        lines += block(_TOOK, [(row["client"], _took(row)) for row in rows])
    lines += block(_PROBES, [(row["client"], _probes(row["probes"])) for row in rows if row["probes"]])
    lines += [targets.said(target) for target in regime["targets"]]
    return [*lines, *complaints(rows), *regime["disturbances"], *regime["disagreements"]]


def _rates(row: Mapping[str, Any]) -> list[str]:
    return [
        *spread_cells(row["rate"], ",.1f"),
        *spread_cells(row["of_reference"], ".2f"),
        _ms(row["cpu_ms"] / 1e3) if row["cpu_ms"] is not None else NONE,
        cell(row["busy_percent"], "{:.0f}%"),
        cell(row["peak_rss_mb"] or None, "{:.1f}"),
        str(row["errors"]),
    ]


def _pairs(paired: Mapping[str, Any]) -> list[str]:
    return [
        str(paired["pairs"]),
        *spread_cells(paired["of_plain_cpu"], ".3f", _QUARTILES),
        *spread_cells(paired["of_plain_wall"], ".3f", _QUARTILES),
        f"{paired['plain_ms']:.1f}",
        f"{paired['sliced_ms']:.1f}",
        f"{paired['slices']:.1f}",
        f"{paired['windows']:.0f}",
    ]


def _late(row: Mapping[str, Any]) -> list[str]:
    p50, p99, largest, times = (row[key] for key in ("late_p50_s", "late_p99_s", "late_max_s", "late_times"))
    handled, looped = row["handled"], row["looped"]
    return [
        _ms(p50["median"]),
        *(_ms(p99[key]) for key in ("median", "min", "max")),
        _ms(largest["median"]),
        f"{times['median']:.1f}" if times else NONE,
        *([_ms(handled[key]) for key in ("p50", "p99", "max")] if handled else [NONE] * 3),
        *([_ms(looped[key]) for key in ("p50", "p99")] if looped else [NONE] * 2),
        str(handled["count"]) if handled else NONE,
    ]


def _took(row: Mapping[str, Any]) -> list[str]:
    cells = []
    for kind in ("short", "medium", "long"):
        cells += [_ms(row[key].get(kind)) for key in ("took_p50_s", "took_p99_s")]
    return cells


def _probes(tail: Mapping[str, Any]) -> list[str]:
    return [str(tail["count"]), *(_ms(tail[key]) for key in ("p50", "p99", "max"))]


def _ms(value_s: float | None) -> str:
    if value_s is None:
        return NONE
    value_ms = value_s * 1e3
    return f"{value_ms:,.0f}" if value_ms >= 100 else f"{value_ms:.1f}" if value_ms >= 10 else f"{value_ms:.2f}"
