"""The picture is read as an XML document: what is where, not how it looks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

from benchmarks.cpu.contestants import OURS
from benchmarks.cpu.lateness import histogram
from benchmarks.cpu.picture import picture

SVG = "{http://www.w3.org/2000/svg}"


def row(client: str, late_s: list[float], median_s: float = 0.001) -> dict[str, Any]:
    spread = {"median": median_s, "min": median_s, "max": median_s}
    late = dict.fromkeys(("late_p50_s", "late_p99_s", "late_max_s"), spread)
    return {"client": client, "late_histogram": histogram(late_s), **late}


def drawn(*rows: dict[str, Any], title: str = "mix") -> ElementTree.Element:
    return ElementTree.fromstring(picture(title, rows, OURS))


def bars(svg: ElementTree.Element) -> list[dict[str, float]]:
    """Without the ground; in the order in which they are drawn."""
    found = [rect for rect in svg.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
    return [{name: float(rect.attrib[name]) for name in ("x", "y", "width", "height")} for rect in found]


def words(svg: ElementTree.Element) -> dict[str, tuple[float, float]]:
    return {text.text or "": (float(text.attrib["x"]), float(text.attrib["y"])) for text in svg.iter(f"{SVG}text")}


def test_every_client_has_a_row_with_its_name_and_figures() -> None:
    svg = drawn(row(OURS, [0.001], 0.0021), row("threads", [0.1], 0.123))
    places = words(svg)
    assert places["threads"][1] > places[OURS][1]
    assert "p99 2.1 ms" in places
    assert "max 123 ms" in places


def test_later_is_further_right_and_a_decade_is_always_as_wide() -> None:
    svg = drawn(row("threads", [1e-4, 1e-3, 1e-2, 1e-1]))
    at = [bar["x"] for bar in bars(svg)]
    steps = [right - left for left, right in pairwise(at)]
    assert len(at) == 4
    assert min(steps) > 50
    assert max(steps) - min(steps) < 0.5


def test_bars_stand_at_their_labels() -> None:
    svg = drawn(row("threads", [1e-3]))
    assert abs(bars(svg)[0]["x"] - words(svg)["1 ms"][0]) < 1
    assert {"10 us", "100 us", "1 ms", "10 ms", "100 ms", "1 s", "10 s"} <= words(svg).keys()
    assert "lateness (log scale; less is better)" in words(svg)
    assert "share of ticks" in words(svg)


def test_a_share_is_a_height_in_decades() -> None:
    svg = drawn(row("threads", [1e-4] * 9_900 + [1e-3] * 99 + [1e-2]))
    tall = [bar["height"] for bar in bars(svg)]
    assert tall[0] > tall[1] > tall[2] > 0
    assert abs((tall[0] - tall[1]) - (tall[1] - tall[2])) < 0.5
    feet = {round(bar["y"] + bar["height"], 0) for bar in bars(svg)}
    assert len(feet) == 1


def test_what_is_beyond_the_axis_is_in_its_first_and_last_bar() -> None:
    inside = bars(drawn(row("threads", [1.05e-5, 9.9])))
    outside = bars(drawn(row("threads", [1e-9, 1e5])))
    assert inside == outside


def test_everything_is_inside() -> None:
    svg = drawn(row("threads", [1e-9, 1e-3, 1e5], 99.0), row(OURS, [1e-3]))
    width, height = float(svg.attrib["width"]), float(svg.attrib["height"])
    for bar in bars(svg):
        assert 0 <= bar["x"] <= bar["x"] + bar["width"] <= width
        assert 0 <= bar["y"] <= bar["y"] + bar["height"] <= height
    for line in svg.iter(f"{SVG}line"):
        assert 0 <= float(line.attrib["x1"]) <= width
        assert 0 <= float(line.attrib["y2"]) <= height
    assert all(0 < y < height for _, y in words(svg).values())


def test_ours_has_a_colour_of_its_own() -> None:
    svg = drawn(row(OURS, [1e-3]), row("threads", [1e-3]), row("gevent-inline", [1e-3]))
    found = [rect.attrib["fill"] for rect in svg.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
    assert found[0] != found[1] == found[2]


def test_who_has_no_ticker_is_left_out() -> None:
    assert "in-turn" not in words(drawn({**row("in-turn", []), "late_p99_s": None}, row(OURS, [1e-3])))


def test_names_are_escaped() -> None:
    svg = drawn(row("a<b&c", [1e-3]), title='x < y & "z"')
    assert "a<b&c" in words(svg)
    assert 'x < y & "z"' in words(svg)
