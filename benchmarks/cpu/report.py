"""The figures as a table for people. Pure: the same JSON gives the same text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NAME_WIDTH = 18

_Columns = Sequence[tuple[str, int]]

_RATES: _Columns = (
    *(("items/s", 10), ("min", 8), ("max", 8), ("of ref", 8), ("min", 7), ("max", 7)),
    *(("CPU ms", 8), ("busy", 7), ("RSS MB", 8), ("errors", 7)),
)
_LATE: _Columns = (
    *(("p50", 9), ("p99", 9), ("min", 9), ("max", 9), ("largest", 9), ("x ours", 8)),
    *(("^C p50", 9), ("p99", 9), ("max", 9), ("^C loop p50", 12), ("p99", 9), ("times", 6)),
)
_TOOK: _Columns = (("short p50", 11), ("p99", 9), ("medium p50", 11), ("p99", 9), ("long p50", 11), ("p99", 9))
_PROBES: _Columns = (("probes", 8), ("wait p50", 10), ("p99", 9), ("max", 9))


def table(figures: Mapping[str, Any]) -> str:
    """Machine and versions, then each regime's rows, then what went wrong."""
    lines = [f"{name}: {value}" for name, value in figures["machine"].items()]
    lines.append("versions: " + ", ".join(f"{name} {value}" for name, value in sorted(figures["versions"].items())))
    lines.append(
        f"{figures['rounds']} rounds; medians of them, min and max too. of ref: rate divided by the reference's, round "
        "by round. CPU ms: of an item. busy: CPU time by time; where it is far below 100 %, others had the core "
        "too, and CPU ms says more than the rate."
    )
    lines.append(
        f"Times in milliseconds. A unit of work takes {figures['unit_s'] * 1e6:.1f} us; a slice of ours "
        f"{figures['slice_s'] * 1e3:g} ms."
    )
    if figures["quick"]:
        lines.append("QUICK: a smoke run; the figures mean nothing.")
    for regime in figures["regimes"]:
        lines += ["", *_regime(regime)]
    if figures["interrupted"]:
        lines += ["", "interrupted: rounds and regimes are missing"]
    return "\n".join(lines) + "\n"


def _regime(regime: Mapping[str, Any]) -> list[str]:
    rows = regime["rows"]
    lines = [f"{regime['name']}: {regime['what']}; {regime['concurrency']} at a time; reference {regime['reference']}"]
    lines += _table("throughput", _RATES, [(row, _rates(row)) for row in rows])
    lines += _table("lateness", _LATE, [(row, _late(row)) for row in rows if row["late_p99_s"]])
    if regime["load"] == "mix" and regime["name"] != "scale":
        lines += _table("fetch to score", _TOOK, [(row, _took(row)) for row in rows])
    lines += _table("short stage", _PROBES, [(row, _probes(row["probes"])) for row in rows if row["probes"]])
    for target in regime["targets"]:
        verdict = "reached" if target["met"] else "NOT REACHED"
        lines.append(f"{verdict}: {target['what']}: {target['got']}, to reach {target['wanted']}")
    for row in rows:
        lines += [f"{row['client']}: {complaint}" for complaint in row["complaints"]]
    return [*lines, *regime["disturbances"], *regime["disagreements"]]


def _table(title: str, columns: _Columns, rows: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> list[str]:
    if not rows:
        return []
    return [
        _line(title, [head for head, _ in columns], columns),
        *(_line(row["client"], cells, columns) for row, cells in rows),
    ]


def _rates(row: Mapping[str, Any]) -> list[str]:
    rate, share, busy = row["rate"], row["of_reference"], row["busy_percent"]
    return [
        *([f"{rate[key]:,.1f}" for key in ("median", "min", "max")] if rate else ["-"] * 3),
        *([f"{share[key]:.2f}" for key in ("median", "min", "max")] if share else ["-"] * 3),
        _ms(row["cpu_ms"] / 1e3) if row["cpu_ms"] is not None else "-",
        f"{busy:.0f}%" if busy is not None else "-",
        f"{row['peak_rss_mb']:.1f}" if row["peak_rss_mb"] else "-",
        str(row["errors"]),
    ]


def _late(row: Mapping[str, Any]) -> list[str]:
    p50, p99, largest, times = (row[key] for key in ("late_p50_s", "late_p99_s", "late_max_s", "late_times"))
    handled, looped = row["handled"], row["looped"]
    return [
        _ms(p50["median"]),
        *(_ms(p99[key]) for key in ("median", "min", "max")),
        _ms(largest["median"]),
        f"{times['median']:.1f}" if times else "-",
        *([_ms(handled[key]) for key in ("p50", "p99", "max")] if handled else ["-"] * 3),
        *([_ms(looped[key]) for key in ("p50", "p99")] if looped else ["-"] * 2),
        str(handled["count"]) if handled else "-",
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
        return "-"
    value_ms = value_s * 1e3
    return f"{value_ms:,.0f}" if value_ms >= 100 else f"{value_ms:.1f}" if value_ms >= 10 else f"{value_ms:.2f}"


def _line(first: str, others: Sequence[str], columns: _Columns) -> str:
    cells = [f"{text:>{width}}" for text, (_, width) in zip(others, columns, strict=True)]
    return f"{first:<{_NAME_WIDTH}}{''.join(cells)}"
