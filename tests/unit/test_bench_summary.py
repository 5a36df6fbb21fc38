from __future__ import annotations

from typing import Any

import msgspec
import pytest

from benchmarks.common.run import Run
from benchmarks.common.spread import Spread
from benchmarks.fetch.report import table
from benchmarks.fetch.summary import summarise


def rates(client: str, *per_second: float) -> list[Run]:
    """A run of a second per round, at 1 ms of CPU and 1 MB more in each round."""
    return [
        Run(round=number, client=client, done=int(rate), wall_s=1.0, cpu_s=0.5, peak_rss_bytes=(number + 1) * 10**6)
        for number, rate in enumerate(per_second)
    ]


def test_rates_are_medians_with_their_range_and_the_fastest_is_first() -> None:
    rows = summarise([*rates("slow", 10, 30, 20), *rates("fast", 100, 500, 300)], "fast")
    assert [row.client for row in rows] == ["fast", "slow"]
    assert rows[0].rate == Spread(300, 100, 500)
    assert rows[1].rate == Spread(20, 10, 30)


def test_a_rate_is_of_the_time_that_was_counted() -> None:
    (row,) = summarise([Run(round=0, client="one", done=100, wall_s=0.5, cpu_s=0.2)], "one")
    assert row.rate == Spread(200, 200, 200)
    assert row.cpu_us == pytest.approx(2000)
    assert row.busy_percent == pytest.approx(40)


def test_ratios_are_taken_within_rounds() -> None:
    """The machine is ten times slower in the second round: the ratio of the medians would be 1.0."""
    rows = summarise([*rates("ours", 400, 20, 100), *rates("theirs", 100, 10, 500)], "ours")
    ours, theirs = (next(row for row in rows if row.client == client) for client in ("ours", "theirs"))
    assert theirs.times_reference == Spread(2.0, 0.2, 4.0)
    assert ours.times_reference == Spread(1.0, 1.0, 1.0)


def test_a_round_without_the_reference_gives_no_ratio() -> None:
    ours, theirs = rates("ours", 400, 200), rates("theirs", 100, 100)
    ours[0] = Run(round=0, client="ours", failure="not done after 60 s")
    row = next(row for row in summarise([*ours, *theirs], "ours") if row.client == "theirs")
    assert row.times_reference == Spread(2.0, 2.0, 2.0)
    assert row.rate == Spread(100, 100, 100)
    (alone,) = summarise(theirs, "ours")
    assert alone.times_reference is None


def test_a_failed_round_counts_as_none_and_not_as_zero() -> None:
    runs = [*rates("one", 100, 300), Run(round=2, client="one", failure="ended with 1: no")]
    (row,) = summarise(runs, "one")
    assert row.rate == Spread(200, 100, 300)
    assert row.rounds == 2
    assert row.complaints == ("ended with 1: no",)


def test_errors_add_up_and_each_complaint_is_said_once() -> None:
    wrong = [
        Run(round=number, client="one", done=5, wall_s=1.0, errors=3, first_error="status 505") for number in range(2)
    ]
    (row,) = summarise([*wrong, Run(round=2, client="one", errors=1, first_error="refused", wall_s=1.0)], "one")
    assert row.errors == 7
    assert row.complaints == ("status 505", "refused")


def test_a_client_without_any_figure_comes_last() -> None:
    rows = summarise([Run(round=0, client="broken", failure="no"), *rates("fine", 10)], "fine")
    assert [row.client for row in rows] == ["fine", "broken"]
    assert (rows[1].rate, rows[1].times_reference, rows[1].cpu_us, rows[1].busy_percent) == (None,) * 4


def test_memory_is_the_largest_of_all_rounds() -> None:
    (row,) = summarise(list(reversed(rates("one", 10, 10, 10))), "one")
    assert row.peak_rss_mb == 3.0


def figures(runs: list[Run], **more: Any) -> dict[str, Any]:
    rows = msgspec.to_builtins(summarise(runs, "ours"))
    regime = {"name": "page", "what": "17 KB", "concurrency": 100, "note": "", "rows": rows}
    return {
        "machine": {"CPU": "a fast one"},
        "versions": {"nginx": "1.22", "aiohttp": "3.14"},
        "rounds": 2,
        "reference": "ours",
        "quick": False,
        "interrupted": False,
        "regimes": [{**regime, **more}],
    }


def test_the_table_has_head_and_rows() -> None:
    lines = table(figures([*rates("ours", 4000, 4000), *rates("theirs", 1000, 2000)])).splitlines()
    assert lines[:2] == ["CPU: a fast one", "versions: aiohttp 3.14, nginx 1.22"]
    assert "page: 17 KB; 100 in flight" in lines
    # median, min, max of the rate; median, min, max of the ratio; CPU us; busy; RSS; errors
    assert lines[-2].split() == ["ours", "4,000", "4,000", "4,000", "1.00", "1.00", "1.00", "125", "50%", "2.0", "0"]
    assert lines[-1].split() == ["theirs", "1,500", "1,000", "2,000", "3.00", "2.00", "4.00", "375", "50%", "2.0", "0"]


def test_the_table_says_what_went_wrong() -> None:
    text = table(figures([Run(round=0, client="theirs", failure="ended with 1: no")], note="200 hosts instead of 5000"))
    assert "note: 200 hosts instead of 5000\n" in text
    assert "theirs: ended with 1: no\n" in text
    assert next(line for line in text.splitlines() if line.startswith("theirs  ")).split()[1:] == ["-"] * 9 + ["0"]


def test_a_table_of_no_use_says_so() -> None:
    whole = figures(rates("ours", 1))
    assert "QUICK" not in table(whole)
    assert "QUICK" in table({**whole, "quick": True})
    assert "interrupted" not in table(whole)
    assert "interrupted" in table({**whole, "interrupted": True})
