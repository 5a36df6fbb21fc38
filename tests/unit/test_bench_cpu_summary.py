from __future__ import annotations

from typing import Any

import msgspec
import pytest

from benchmarks.common.spread import Quartiles, Spread, quartiles_of
from benchmarks.cpu.contestants import OURS
from benchmarks.cpu.lateness import histogram
from benchmarks.cpu.pairs import Pair
from benchmarks.cpu.report import table
from benchmarks.cpu.summary import Row, Run, Tail, disagreements, disturbances, summarise
from benchmarks.cpu.targets import targets

SLICE_S = 0.002


def run(client: str, number: int = 0, *, rate: float = 100.0, late_s: float = 0.0, **more: Any) -> Run:
    """A run of a second; `late_s` is its p99, half of it the p50, twice of it the maximum."""
    late: dict[str, Any] = {"late_p50_s": late_s / 2, "late_p99_s": late_s, "late_max_s": late_s * 2}
    if late_s:
        late |= {"ticks": 10, "late_histogram": histogram([late_s])}
    base = {"done": int(rate), "wall_s": 1.0, "cpu_s": 0.5, "peak_rss_bytes": 10**6 * (number + 1)}
    return Run(round=number, client=client, **{**base, **late, **more})


def row(client: str, rows: list[Row]) -> Row:
    return next(row for row in rows if row.client == client)


def test_ratios_are_taken_within_rounds() -> None:
    """The machine is ten times slower in the second round: ratios of medians would say something else."""
    ours = [run(OURS, 0, rate=400), run(OURS, 1, rate=20), run(OURS, 2, rate=100)]
    theirs = [run("threads", 0, rate=100), run("threads", 1, rate=10), run("threads", 2, rate=500)]
    rows = summarise([*ours, *theirs], OURS, OURS)
    assert row("threads", rows).of_reference == Spread(0.5, 0.25, 5.0)
    assert row("threads", rows).rate == Spread(100, 10, 500)
    assert row(OURS, rows).of_reference == Spread(1.0, 1.0, 1.0)


def test_lateness_is_compared_within_rounds_too() -> None:
    ours = [run(OURS, 0, late_s=0.001), run(OURS, 1, late_s=0.004), run(OURS, 2, late_s=0.002)]
    theirs = [run("threads", 0, late_s=0.1), run("threads", 1, late_s=0.1), run("threads", 2, late_s=0.1)]
    rows = summarise([*theirs, *ours], OURS, OURS)
    assert row("threads", rows).late_times == Spread(pytest.approx(50), pytest.approx(25), pytest.approx(100))
    assert row(OURS, rows).late_p99_s == Spread(0.002, 0.001, 0.004)
    assert row(OURS, rows).late_max_s == Spread(0.004, 0.002, 0.008)
    assert sum(row("threads", rows).late_histogram) == 3


def test_the_least_late_is_first_after_those_without_a_ticker() -> None:
    rows = summarise([run("threads", late_s=0.1), run(OURS, late_s=0.001), run("in-turn")], "in-turn", OURS)
    assert [row.client for row in rows] == ["in-turn", OURS, "threads"]
    assert rows[0].late_p99_s is None


def test_signals_and_probes_of_all_rounds_are_taken_together() -> None:
    first = run(OURS, 0, handled_s=[0.001, 0.002], looped_s=[0.003], probes_s=[0.004])
    second = run(OURS, 1, handled_s=[0.009], looped_s=[], probes_s=[])
    (only,) = summarise([first, second], OURS, OURS)
    assert only.handled == Tail(3, 0.002, 0.009, 0.009)
    assert only.looped == Tail(1, 0.003, 0.003, 0.003)
    assert only.probes == Tail(1, 0.004, 0.004, 0.004)
    (none,) = summarise([run("threads")], OURS, OURS)
    assert (none.handled, none.looped, none.probes, none.late_times) == (None,) * 4


def test_failures_count_as_none_and_are_said_once() -> None:
    failed = [Run(round=number, client="threads", failure="ended with 1: no") for number in (1, 2)]
    (only,) = summarise([run("threads", rate=100), *failed], OURS, OURS)
    assert only.rate == Spread(100, 100, 100)
    assert (only.rounds, only.complaints) == (1, ("ended with 1: no",))
    (none,) = summarise(failed, OURS, OURS)
    assert (none.rate, none.busy_percent) == (None, None)


def test_times_by_kind_are_medians_of_rounds() -> None:
    runs = [run(OURS, number, took_p99_s={"short": value}) for number, value in enumerate((1.0, 5.0, 2.0))]
    (only,) = summarise(runs, OURS, OURS)
    assert only.took_p99_s == {"short": 2.0}


def test_errors_and_memory_and_cpu() -> None:
    (only,) = summarise([run(OURS, 0, errors=2, first_error="odd"), run(OURS, 1, errors=1)], OURS, OURS)
    assert (only.errors, only.complaints, only.peak_rss_mb) == (3, ("odd",), 2.0)
    assert (only.busy_percent, only.cpu_ms) == (50.0, 5.0)


def test_who_scores_otherwise_is_named() -> None:
    one, other = run("one", scores={1: 10, 2: 20}), run("other", scores={2: 21, 3: 30})
    third = run("third", 1, scores={3: 30, 1: 10})
    assert disagreements([one, third]) == []
    assert disagreements([one, other, third]) == ["other scores item 2 with 21, one with 20"]


def test_who_had_too_little_cpu_time_is_named() -> None:
    runs = [run(OURS, 0, cpu_s=0.95), run(OURS, 1, cpu_s=0.85), run(OURS, 2, cpu_s=0.2), run("two", cpu_s=1.7)]
    failed = Run(round=3, client=OURS, failure="no")
    assert disturbances([*runs, failed], {OURS: 1, "two": 2}) == [
        "percore: others had more than a tenth of its CPU time in 2 of 3 runs",
        "two: others had more than a tenth of its CPU time in 1 of 1 runs",
    ]
    assert disturbances([run(OURS, cpu_s=0.95), run("two", cpu_s=1.9)], {OURS: 1, "two": 2}) == []


def lateness_rows(ours_s: float, theirs_s: float, ours_rate: float = 100, theirs_rate: float = 100) -> list[Row]:
    runs = [run(OURS, late_s=ours_s, rate=ours_rate), run("threads-pinned", late_s=theirs_s, rate=theirs_rate)]
    return summarise([*runs, run("in-turn", rate=100)], "in-turn", OURS)


def met(regime: str, rows: list[Row]) -> list[bool]:
    return [target.met for target in targets(regime, rows, SLICE_S)]


def test_lateness_has_four_targets() -> None:
    # p99 and max in slices, p99 and throughput beside threads.
    assert met("lateness", lateness_rows(0.0039, 0.1)) == [True] * 4
    assert met("lateness", lateness_rows(0.0041, 0.1)) == [False, False, True, True]
    assert met("lateness", lateness_rows(0.002, 0.039)) == [True, True, False, True]
    assert met("lateness", lateness_rows(0.002, 0.1, ours_rate=94)) == [True, True, True, False]
    assert met("lateness", lateness_rows(0.002, 0.1, ours_rate=96, theirs_rate=95)) == [True] * 4


def pair(share: float, wall_share: float = 0.5) -> Pair:
    """100 stages of 60 ms by CPU; `share` is what ours gets done in the time."""
    return Pair(6.0, 6.0, 6.0 / wall_share, 6.0 / share, windows=120, slices=31)


def alternating(number: int, *shares: float) -> Run:
    return run("alternating", number, done=200 * len(shares), pairs=[pair(share) for share in shares])


def test_pairs_of_all_rounds_are_taken_together() -> None:
    (only,) = summarise([alternating(0, 0.90, 0.98), alternating(1, 0.94, 0.96, 0.95)], "alternating", OURS)
    assert only.pairs is not None
    assert only.pairs.of_plain_cpu == Quartiles(*(pytest.approx(share) for share in (0.95, 0.94, 0.96)))
    assert only.pairs.of_plain_wall.median == pytest.approx(0.5)
    assert (only.pairs.pairs, only.pairs.windows, only.pairs.slices) == (5, 120, 31)
    assert (only.pairs.plain_ms, only.pairs.sliced_ms) == (pytest.approx(60), pytest.approx(60 / 0.95))
    (none,) = summarise([run(OURS)], OURS, OURS)
    assert none.pairs is None


def test_the_rate_is_that_of_pairs_by_cpu_time() -> None:
    for share, enough in ((0.949, False), (0.951, True)):
        rows = summarise([alternating(0, share, share, share)], "alternating", OURS)
        assert met("rate", rows) == [enough]
        assert met("lateness", rows) == []


def test_quartiles_are_among_the_values_that_they_divide() -> None:
    assert quartiles_of([]) is None
    assert quartiles_of([3.0]) == Quartiles(3.0, 3.0, 3.0)
    assert quartiles_of([1.0, 2.0]) == Quartiles(1.5, 1.25, 1.75)
    assert quartiles_of([5.0, 1.0, 4.0, 2.0, 3.0]) == Quartiles(3.0, 2.0, 4.0)


def test_a_slice_of_another_length_has_other_limits() -> None:
    (p99, *_) = targets("lateness", lateness_rows(0.002, 0.1), 0.0005)
    assert (p99.wanted, p99.got, p99.met) == ("<= 1 ms (2 slices)", "2.00 ms", False)


def test_a_short_stage_waits_three_slices_at_most() -> None:
    for wait_s, enough in ((0.0059, True), (0.0061, False)):
        rows = summarise([run(OURS, probes_s=[wait_s] * 3)], OURS, OURS)
        assert met("short", rows) == [enough]


@pytest.mark.parametrize(
    ("regime", "one", "other", "wanted"),
    [("native-zlib", "pool-pinned", "percore-threads", 1.8), ("scale", "batch-1", "batch-2", 1.9)],
)
def test_two_cores_have_to_pay(regime: str, one: str, other: str, wanted: float) -> None:
    for times, enough in ((wanted + 0.01, True), (wanted - 0.01, False)):
        rows = summarise([run(one, rate=1000), run(other, rate=times * 1000)], one, OURS)
        assert met(regime, rows) == [enough]


def test_what_did_not_run_has_no_targets() -> None:
    rows = summarise([run("threads-pinned", late_s=0.1)], "in-turn", OURS)
    for regime in ("mix", "lateness", "rate", "short", "native-zlib", "scale"):
        assert targets(regime, rows, SLICE_S) == []
    failed = summarise([Run(round=0, client=OURS, failure="no")], "in-turn", OURS)
    assert targets("lateness", failed, SLICE_S) == []


def figures(runs: list[Run], **more: Any) -> dict[str, Any]:
    rows = summarise(runs, OURS, OURS)
    regime = {
        "name": "mix",
        "what": "pages",
        "load": "mix",
        "concurrency": 100,
        "reference": OURS,
        "rows": msgspec.to_builtins(rows),
        "targets": [],
        "disagreements": [],
        "disturbances": [],
    }
    return {
        "machine": {"CPU": "a fast one"},
        "versions": {"nginx": "1.22", "aiohttp": "3.14"},
        "rounds": 1,
        "unit_s": 31.4e-6,
        "slice_s": SLICE_S,
        "quick": False,
        "interrupted": False,
        "regimes": [{**regime, **more}],
    }


def lines_of(client: str, text: str) -> list[list[str]]:
    return [line.split()[1:] for line in text.splitlines() if line.startswith(f"{client} ")]


def test_the_table_has_a_part_for_each_question() -> None:
    took = {"took_p50_s": {"short": 0.001, "long": 0.3}, "took_p99_s": {"short": 0.0123, "long": 2.5}}
    ours = run(OURS, late_s=0.002, handled_s=[0.0001], looped_s=[0.0015], probes_s=[0.003], **took)
    text = table(figures([ours, run("threads", rate=50, late_s=0.1)]))
    rates, late, short, probes = lines_of(OURS, text)
    assert rates == ["100.0", "100.0", "100.0", "1.00", "1.00", "1.00", "5.00", "50%", "1.0", "0"]
    assert late == ["1.00", "2.00", "2.00", "2.00", "4.00", "1.0", "0.10", "0.10", "0.10", "1.50", "1.50", "1"]
    assert short == ["1.00", "12.3", "-", "-", "300", "2,500"]
    assert probes == ["1", "3.00", "3.00", "3.00"]
    assert lines_of("threads", text)[1] == ["50.0", "100", "100", "100", "200", "50.0", *["-"] * 6]
    assert lines_of("threads", text)[0][3] == "0.50"


def test_who_alternates_has_pairs_and_no_rate() -> None:
    text = table(figures([alternating(0, 0.9, 1.0, 0.95)], load="equal"))
    (cells,) = lines_of("alternating", text)
    assert cells == ["3", "0.950", "0.925", "0.975", "0.500", "0.500", "0.500", "60.0", "63.2", "31.0", "120"]


def test_the_table_says_what_was_reached_and_what_went_wrong() -> None:
    reached = [
        {"what": "p99", "wanted": "<= 4 ms", "got": "3 ms", "met": True},
        {"what": "max", "wanted": "<= 8 ms", "got": "9 ms", "met": False},
    ]
    failed = [Run(round=0, client="threads", failure="ended with 1: no")]
    text = table(
        figures(failed, targets=reached, disagreements=["a scores item 1 otherwise"], disturbances=["b: others"])
    )
    assert "\nreached: p99: 3 ms, to reach <= 4 ms\n" in text
    assert "\nNOT REACHED: max: 9 ms, to reach <= 8 ms\n" in text
    assert "\nthreads: ended with 1: no\n" in text
    assert text.endswith("b: others\na scores item 1 otherwise\n")
    assert lines_of("threads", text)[0] == ["-"] * 9 + ["0"]


def test_a_table_of_no_use_says_so() -> None:
    whole = figures([run(OURS)])
    assert "QUICK" not in table(whole)
    assert "interrupted" not in table(whole)
    assert "QUICK" in table({**whole, "quick": True})
    assert "interrupted" in table({**whole, "interrupted": True})
