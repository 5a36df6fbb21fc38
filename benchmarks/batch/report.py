"""The figures as a table for people. Pure: the same JSON gives the same text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.common import targets
from benchmarks.common.table import Columns, block, cell, complaints, document, spread_cells

_NAME_WIDTH = 14

_RATES: Columns = (
    ("throughput", _NAME_WIDTH),
    *(("URLs", 8), ("URLs/s", 9), ("min", 8), ("max", 8), ("times", 7), ("min", 7), ("max", 7)),
    *(("CPU us", 8), ("busy", 7), ("RSS MB", 8), ("errors", 7)),
)
_KILLED: Columns = (
    ("killed", _NAME_WIDTH),
    *(
        ("kills", 7),
        ("lost", 7),
        ("doubled", 9),
        ("torn", 6),
        ("wrong", 7),
        ("refetched", 11),
        ("extra", 7),
        ("crashes", 9),
    ),
    *(("seconds", 9), ("passes", 8)),
)
_JOURNAL: Columns = (
    ("outcomes go to", 16),
    *(("CPU us", 8), ("lower", 7), ("upper", 7), ("journal/this", 14), ("lower", 7), ("upper", 7)),
    *(("by wall", 9), ("lower", 7), ("upper", 7)),
)
_QUARTILES = ("median", "lower", "upper")


def table(figures: Mapping[str, Any]) -> str:
    """Machine and versions, then each regime's rows, then what went wrong."""
    explanations = (
        "Medians of rounds, their min and max. URLs/s: the list by the time from the command's start to its end. "
        "times: the reference's rate divided by this one's, round by round. CPU us: user and system time per URL, of "
        "all processes. busy: CPU time by time. RSS: of all processes together at its peak. errors: URLs without a "
        "right record, and records too many or wrong.",
        "refetched: requests for URLs that had their right record on the disk when all was killed. extra: requests "
        "beyond one for each URL, those included. crashes: lives that ended badly by themselves. passes: one right "
        "record for every URL, and nothing refetched.",
    )
    return document(figures, explanations, _regime)


def _regime(regime: Mapping[str, Any]) -> list[str]:
    rows = regime["rows"]
    what = f"{regime['name']}: {regime['what']}; {regime['concurrency']} in flight; {regime['ran']} rounds"
    lines = [what + (f"; reference {regime['reference']}" if regime["reference"] else "")]
    if regime["kind"] in ("rate", "cores"):
        lines += block(_RATES, [(row["client"], _rates(row)) for row in rows])
    lines += block(_KILLED, [(row["client"], _killed(row["histories"])) for row in rows if row["histories"]])
    lines += block(_JOURNAL, [(way["name"], _way(way)) for way in regime["ways"]])
    lines += [targets.said(target) for target in regime["targets"]]
    return [*lines, *complaints(rows)]


def _rates(row: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['urls']:,}",
        *spread_cells(row["rate"], ",.0f"),
        *spread_cells(row["times_reference"], ".2f"),
        cell(row["cpu_us"], "{:,.0f}"),
        cell(row["busy_percent"], "{:.0f}%"),
        cell(row["peak_rss_mb"] or None, "{:.1f}"),
        str(row["errors"]),
    ]


def _killed(histories: list[Mapping[str, Any]]) -> list[str]:
    verdicts = [history["verdict"] for history in histories]
    return [
        str(sum(history["kills"] for history in histories)),
        *(str(sum(verdict[key] for verdict in verdicts)) for key in ("lost", "doubled", "torn", "wrong")),
        *(str(sum(history[key] for history in histories)) for key in ("refetched", "extra", "crashes")),
        f"{sum(history['wall_s'] for history in histories):.0f}",
        "yes" if all(history["passes"] for history in histories) else "NO",
    ]


def _way(way: Mapping[str, Any]) -> list[str]:
    return [
        *spread_cells(way["cpu_us"], ".1f", _QUARTILES),
        *spread_cells(way["times_cpu"], ".3f", _QUARTILES),
        *spread_cells(way["times_wall"], ".3f", _QUARTILES),
    ]
