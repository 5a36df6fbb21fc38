"""The histograms of lateness as an SVG: a row for each client, one axis for all. Pure.

Both axes are logarithmic. A linear one would show where the most ticks are and hide the late ones, which is what the
picture is about: one tick in a thousand is still a third of the way up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.cpu.lateness import BUCKETS, DECADES, LEAST_S, PER_DECADE, begin_of

_LEFT, _RIGHT, _TOP, _BOTTOM = 190.0, 32.0, 92.0, 46.0
_PLOT_WIDTH = 720.0
_ROW_HEIGHT, _ROW_GAP = 78.0, 22.0
_WIDTH = _LEFT + _PLOT_WIDTH + _RIGHT

_FEWEST = 1e-5  # share of ticks at the foot of a row
_FIRST, _LAST = PER_DECADE, 7 * PER_DECADE  # buckets shown: 10 us to 10 s

_GRID_SHARES = ((1.0, "100 %"), (1e-2, "1 %"), (1e-4, "0.01 %"))
_NAMES_S = {1e-5: "10 us", 1e-4: "100 us", 1e-3: "1 ms", 1e-2: "10 ms", 1e-1: "100 ms", 1.0: "1 s", 10.0: "10 s"}

_OURS_FILL, _OTHERS_FILL = "#1f6f5c", "#7d8796"
_MARKS = (("late_p50_s", "p50", "#2456a6"), ("late_p99_s", "p99", "#c2571a"), ("late_max_s", "max", "#8b1a2b"))


def picture(title: str, rows: Sequence[Mapping[str, Any]], ours: str) -> str:
    """Of the rows of one regime, as they are in the JSON; those without a ticker are left out."""
    rows = [row for row in rows if row["late_p99_s"] and sum(row["late_histogram"])]
    height = _TOP + len(rows) * (_ROW_HEIGHT + _ROW_GAP) + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:g}" height="{height:g}" '
        f'viewBox="0 0 {_WIDTH:g} {height:g}" font-family="sans-serif" font-size="12" fill="#222">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH:g}" height="{height:g}" fill="#fff"/>',
        _text(12, 24, title, size=13, weight="bold"),
        _text(12, 44, "How late a timer of 1 ms ran beside it. Both scales are logarithmic.", fill="#555"),
        _text(_LEFT - 6, _TOP - 12, "share of ticks", size=10, anchor="end", fill="#777"),
        *_legend(),
    ]
    for number, row in enumerate(rows):
        parts += _row(row, _TOP + number * (_ROW_HEIGHT + _ROW_GAP), ours)
    parts += _axis(height - _BOTTOM)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _legend() -> list[str]:
    parts, x = [], _LEFT
    for _, name, colour in _MARKS:
        parts.append(_line(x, 62, x, 74, colour, width=2))
        parts.append(_text(x + 6, 73, f"{name} (median of rounds)", fill=colour))
        x += 170
    return parts


def _row(row: Mapping[str, Any], top: float, ours: str) -> list[str]:
    foot = top + _ROW_HEIGHT
    counts = row["late_histogram"]
    total = sum(counts)
    fill = _OURS_FILL if row["client"] == ours else _OTHERS_FILL
    p99_s, max_s = row["late_p99_s"]["median"], row["late_max_s"]["median"]
    parts = [
        _text(12, top + 26, row["client"], weight="bold", size=13),
        _text(12, top + 44, f"p99 {_duration(p99_s)}", fill=_MARKS[1][2]),
        _text(12, top + 60, f"max {_duration(max_s)}", fill=_MARKS[2][2]),
    ]
    for share, name in _GRID_SHARES:
        y = foot - _ROW_HEIGHT * _height(share)
        parts.append(_line(_LEFT, y, _LEFT + _PLOT_WIDTH, y, "#e3e6ea"))
        parts.append(_text(_LEFT - 6, y + 4, name, size=10, anchor="end", fill="#777"))
    for decade in range(DECADES + 1):
        if _FIRST <= decade * PER_DECADE <= _LAST:
            x = _x(LEAST_S * 10**decade)
            parts.append(_line(x, top, x, foot, "#e3e6ea"))
    for bucket, share in _shown(counts, total):
        tall = _ROW_HEIGHT * _height(share)
        if tall > 0:
            x, end = _x(begin_of(bucket)), _x(begin_of(bucket + 1))
            parts.append(
                f'<rect x="{x:.1f}" y="{foot - tall:.1f}" width="{end - x - 0.6:.1f}" height="{tall:.1f}" '
                f'fill="{fill}">'
                f"<title>{_duration(begin_of(bucket))} to {_duration(begin_of(bucket + 1))}: {share:.3%}</title></rect>"
            )
    parts.append(_line(_LEFT, foot, _LEFT + _PLOT_WIDTH, foot, "#555"))
    for key, _, colour in _MARKS:
        x = _x(row[key]["median"])
        parts.append(_line(x, top - 4, x, foot, colour, width=2))
    return parts


def _shown(counts: Sequence[int], total: int) -> list[tuple[int, float]]:
    """Bucket and share of all; what lies outside of the axis is in its first and its last bucket."""
    shown = list(counts[_FIRST:_LAST])
    shown[0] += sum(counts[:_FIRST])
    shown[-1] += sum(counts[_LAST:BUCKETS])
    return [(_FIRST + number, count / total) for number, count in enumerate(shown) if count]


def _axis(foot: float) -> list[str]:
    parts = []
    for value_s, name in _NAMES_S.items():
        x = _x(value_s)
        parts.append(_line(x, foot - _ROW_GAP, x, foot - _ROW_GAP + 6, "#555"))
        parts.append(_text(x, foot - _ROW_GAP + 22, name, anchor="middle"))
    parts.append(
        _text(_LEFT + _PLOT_WIDTH / 2, foot + 26, "lateness (log scale; less is better)", anchor="middle", fill="#555")
    )
    return parts


def _x(value_s: float) -> float:
    least, most = math.log10(begin_of(_FIRST)), math.log10(begin_of(_LAST))
    share = (math.log10(max(value_s, LEAST_S)) - least) / (most - least)
    return _LEFT + _PLOT_WIDTH * min(1.0, max(0.0, share))


def _height(share: float) -> float:
    """0 to 1."""
    return max(0.0, 1 - math.log10(share) / math.log10(_FEWEST))


def _duration(value_s: float) -> str:
    for unit_s, unit in ((1.0, "s"), (1e-3, "ms")):
        if value_s >= unit_s:
            return f"{value_s / unit_s:.3g} {unit}"
    return f"{value_s * 1e6:.3g} us"


def _text(
    x: float, y: float, text: str, *, size: int = 12, anchor: str = "start", weight: str = "normal", fill: str = "#222"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{fill}">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width:g}"/>'
