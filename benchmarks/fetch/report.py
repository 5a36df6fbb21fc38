"""The figures as a table for people. Pure: the same JSON gives the same text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_HEAD = ("client", "fetches/s", "min", "max", "times", "min", "max", "CPU us", "busy", "RSS MB", "errors")
_WIDTHS = (17, 10, 8, 8, 7, 7, 7, 8, 7, 8, 7)


def table(figures: Mapping[str, Any]) -> str:
    """Machine and versions, then each regime's rows, then what went wrong."""
    lines = [f"{name}: {value}" for name, value in figures["machine"].items()]
    lines.append("versions: " + ", ".join(f"{name} {value}" for name, value in sorted(figures["versions"].items())))
    lines.append(
        f"{figures['rounds']} rounds; median, min and max of them. times: {figures['reference']}'s rate divided by "
        "this one's, round by round."
    )
    lines.append(
        "CPU us: user and system time per fetch. busy: share of the time that the client spent on its core (far below "
        "100 %: the origin or other work set its pace). RSS: its largest process at its peak."
    )
    if figures["quick"]:
        lines.append("QUICK: a smoke run; the figures mean nothing.")
    for regime in figures["regimes"]:
        lines += ["", *_regime(regime)]
    if figures["interrupted"]:
        lines += ["", "interrupted: rounds and regimes are missing"]
    return "\n".join(lines) + "\n"


def _regime(regime: Mapping[str, Any]) -> list[str]:
    lines = [f"{regime['name']}: {regime['what']}; {regime['concurrency']} in flight"]
    if regime["note"]:
        lines.append(f"note: {regime['note']}")
    lines.append(_line(*_HEAD))
    for row in regime["rows"]:
        rate, times = row["rate"], row["times_reference"]
        lines.append(
            _line(
                row["client"],
                *([f"{rate[key]:,.0f}" for key in ("median", "min", "max")] if rate else ["-"] * 3),
                *([f"{times[key]:.2f}" for key in ("median", "min", "max")] if times else ["-"] * 3),
                f"{row['cpu_us']:.0f}" if row["cpu_us"] is not None else "-",
                f"{row['busy_percent']:.0f}%" if row["busy_percent"] is not None else "-",
                f"{row['peak_rss_mb']:.1f}" if row["peak_rss_mb"] else "-",
                str(row["errors"]),
            )
        )
    for row in regime["rows"]:
        lines += [f"{row['client']}: {complaint}" for complaint in row["complaints"]]
    return lines


def _line(first: str, *others: str) -> str:
    cells = [f"{text:>{width}}" for text, width in zip(others, _WIDTHS[1:], strict=True)]
    return f"{first:<{_WIDTHS[0]}}{''.join(cells)}"
