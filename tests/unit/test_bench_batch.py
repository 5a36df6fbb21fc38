"""What the benchmark of batches makes of outputs and figures."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.batch.contestants import CONTESTANTS, OURS, Output
from benchmarks.batch.history import History, passes
from benchmarks.batch.journal import ways
from benchmarks.batch.judge import Found, Verdict, acknowledged, judge
from benchmarks.batch.pages import body_of, delay_s, digests
from benchmarks.batch.regimes import REGIMES, quick
from benchmarks.batch.report import table
from benchmarks.batch.results import finished, stored
from benchmarks.batch.summary import Run, summarise
from benchmarks.batch.targets import targets
from benchmarks.common.building import ROOT
from benchmarks.common.spread import Quartiles, Spread

EXPECTED = {"http://x/0": "a", "http://x/1": "b", "http://x/2": "c"}
RIGHT = [Found(url, digest) for url, digest in EXPECTED.items()]


def test_one_right_record_for_each_is_right() -> None:
    assert judge(reversed(RIGHT), EXPECTED) == Verdict()
    assert Verdict().faults == 0


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        (RIGHT[:2], Verdict(lost=1)),
        ([*RIGHT, RIGHT[0], RIGHT[0]], Verdict(doubled=2)),
        ([*RIGHT, None], Verdict(torn=1)),
        ([*RIGHT[:2], None], Verdict(lost=1, torn=1)),
        ([*RIGHT[:2], Found("http://x/2", "b")], Verdict(lost=1, wrong=1)),
        ([*RIGHT, Found("http://x/2", "b")], Verdict(wrong=1)),
        ([*RIGHT, Found("http://x/3", "a")], Verdict(wrong=1)),
        ([], Verdict(lost=3)),
    ],
)
def test_what_is_wrong_is_counted_by_kind(lines: list[Found | None], verdict: Verdict) -> None:
    assert judge(lines, EXPECTED) == verdict
    assert verdict.faults > 0
    assert not passes(verdict, 0, "")


def test_only_right_records_are_acknowledged() -> None:
    assert acknowledged([RIGHT[0], None, Found("http://x/1", "a"), Found("http://x/3", "a")], EXPECTED) == {
        "http://x/0"
    }


def test_what_was_fetched_again_or_given_up_does_not_pass() -> None:
    assert passes(Verdict(), 0, "")
    assert not passes(Verdict(), 1, "")
    assert not passes(Verdict(), 0, "ended with 1: no")


def test_every_page_is_another_and_always_the_same() -> None:
    assert len({body_of(number) for number in range(50)}) == 50
    assert body_of(7) == body_of(7)
    assert 0 < delay_s(7) == delay_s(7) < 0.1
    assert list(digests(2, "http://x/").items())[1] == ("http://x/1", hashlib.sha256(body_of(1)).hexdigest())


LINE = b'{"url":"http://x/0","sha256":"a"}\n'
OURS_LINE = b'{"index":0,"url":"http://x/1","ok":true,"stages":{"links":[1],"sha256":"b"}}\n'


def test_lines_are_read_as_they_lie_there(tmp_path: Path) -> None:
    one = CONTESTANTS[OURS]
    assert list(finished(one, tmp_path, "")) == []
    (tmp_path / "out.jsonl").write_bytes(LINE + b'{"url":"http:' + LINE + OURS_LINE + LINE[:-1])
    assert list(finished(one, tmp_path, "")) == [RIGHT[0], None, RIGHT[1], None]


def test_what_is_not_finished_is_stored_all_the_same(tmp_path: Path) -> None:
    parts = tmp_path / "out.jsonl.percore" / "parts"
    parts.mkdir(parents=True)
    (parts / "000000.jsonl").write_bytes(OURS_LINE + OURS_LINE[:20])
    assert list(stored(CONTESTANTS[OURS], tmp_path, "")) == [RIGHT[1], None]
    assert list(finished(CONTESTANTS[OURS], tmp_path, "")) == []


def test_shards_are_read_together(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for number in range(2):
        (tmp_path / "out" / f"{number}.jsonl").write_bytes(LINE)
        (tmp_path / "out" / f"{number}_stats.json").write_text("{}")
    assert list(finished(CONTESTANTS["shards"], tmp_path, "")) == [RIGHT[0]] * 2


def test_files_are_hashed_and_sums_are_read(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "5").write_bytes(b"tide")
    digest = hashlib.sha256(b"tide").hexdigest()
    assert list(stored(CONTESTANTS["curl"], tmp_path, "http://x/")) == [Found("http://x/5", digest)]
    assert list(finished(CONTESTANTS["curl"], tmp_path, "http://x/")) == []
    (tmp_path / "sums.txt").write_text(f"{digest}  ./5\n{digest[:9]}")
    assert list(finished(CONTESTANTS["curl"], tmp_path, "http://x/")) == [Found("http://x/5", digest), None]


def test_regimes_and_contestants_belong_together() -> None:
    assert {name for regime in REGIMES for name in regime.clients} == CONTESTANTS.keys()
    for regime in REGIMES:
        assert quick(regime).count <= 300
        assert (quick(regime).name, quick(regime).clients) == (regime.name, regime.clients)
        for name in regime.clients:
            assert regime.count or CONTESTANTS[name].count


def test_every_program_is_there() -> None:
    for contestant in CONTESTANTS.values():
        assert not contestant.program or (ROOT / f"benchmarks/batch/clients/{contestant.program}.py").is_file()
        assert contestant.output in Output


def turn(journal: float, lines: float, nothing: float) -> dict[str, tuple[float, float]]:
    """CPU seconds; the wall says otherwise."""
    return {"journal": (2 * journal, journal), "lines": (journal, lines), "nothing": (journal, nothing)}


def test_ways_are_compared_within_a_turn() -> None:
    """The machine is ten times slower in the second turn."""
    found = {way.name: way for way in ways([turn(0.11, 0.10, 0.05), turn(1.2, 1.0, 1.0), turn(0.1, 0.1, 0.1)], 1000)}
    assert found["lines"].times_cpu == Quartiles(*(pytest.approx(value) for value in (1.1, 1.05, 1.15)))
    assert found["lines"].times_wall.median == pytest.approx(2.0)
    assert found["journal"].times_cpu.median == 1.0
    assert found["journal"].cpu_us.median == pytest.approx(110)
    assert ways([], 1000) == []


def run(client: str, number: int = 0, rate: float = 100.0, **more: Any) -> Run:
    return Run(round=number, client=client, **{"done": int(rate), "wall_s": 1.0, "cpu_s": 0.5, **more})


def history(**changes: Any) -> History:
    verdict = Verdict(lost=changes.pop("lost", 0))
    base: dict[str, Any] = {
        "kills": 3,
        "lives": 5,
        "refetched": 0,
        "extra": 9,
        "crashes": 1,
        "complaint": "",
        "failure": "",
    }
    base |= changes
    right = passes(verdict, base["refetched"], base["failure"])
    return History(verdict=verdict, wall_s=2.0, passes=right, **base)


def test_ratios_are_taken_within_rounds() -> None:
    runs = [run(OURS, 0, 400), run(OURS, 1, 20), run("curl", 0, 100), run("curl", 1, 10)]
    ours, curl = summarise(runs, OURS)
    assert (ours.client, curl.client) == (OURS, "curl")
    assert curl.times_reference == Spread(3.0, 2.0, 4.0)
    assert curl.of_reference == Spread(0.375, 0.25, 0.5)
    assert curl.urls == 100


def test_targets_are_those_of_what_ran() -> None:
    for rate, enough in ((181, True), (179, False)):
        rows = summarise([run("workers-1"), run("workers-2", rate=rate)], "workers-1")
        assert [target.met for target in targets(rows, [])] == [enough]
    for cpu_s, enough in ((0.109, True), (0.111, False)):
        assert [target.met for target in targets([], ways([turn(cpu_s, 0.1, 0.05)], 10))] == [enough]
    for other, enough in ((history(), True), (history(lost=1), False), (history(refetched=1), False)):
        rows = summarise([run(OURS, 0, history=history()), run(OURS, 1, history=other)], "")
        assert [target.met for target in targets(rows, [])] == [enough]
    assert targets(summarise([run("curl", history=history(lost=1))], ""), []) == []


def figures(kind: str, runs: list[Run], **more: Any) -> dict[str, Any]:
    regime = {
        "name": kind,
        "what": "pages",
        "kind": kind,
        "concurrency": 100,
        "ran": 2,
        "reference": OURS,
        "rows": msgspec.to_builtins(summarise(runs, OURS)),
        "ways": [],
        "targets": [],
    }
    base = {"machine": {"CPU": "a fast one"}, "versions": {"curl": "8"}, "quick": False, "interrupted": False}
    return {**base, "regimes": [{**regime, **more}]}


def cells_of(client: str, text: str) -> list[str]:
    return next(line.split()[1:] for line in text.splitlines() if line.startswith(f"{client} "))


def test_the_table_has_rates() -> None:
    text = table(figures("rate", [run(OURS, rate=4000), run("curl", rate=1000, errors=2, first_error="odd")]))
    assert cells_of("curl", text) == [
        "1,000",
        "1,000",
        "1,000",
        "1,000",
        "4.00",
        "4.00",
        "4.00",
        "500",
        "50%",
        "-",
        "2",
    ]
    assert "\ncurl: odd\n" in text
    assert "refetched " not in text.partition("\n\n")[2]


def test_the_table_has_what_kills_left() -> None:
    runs = [run("script", 0, history=history(lost=3)), run("script", 1, history=history(refetched=7))]
    text = table(figures("killed", [*runs, run(OURS, history=history())]))
    assert cells_of("script", text) == ["6", "3", "0", "0", "0", "7", "18", "2", "4", "NO"]
    assert cells_of(OURS, text)[-1] == "yes"


def test_the_table_has_ways_and_targets() -> None:
    found = ways([turn(0.12, 0.1, 0.05)], 1000)
    more = {"ways": msgspec.to_builtins(found), "targets": msgspec.to_builtins(targets([], found))}
    text = table(figures("journal", [], **more))
    assert cells_of("lines", text) == ["100.0"] * 3 + ["1.200"] * 3 + ["2.000"] * 3
    assert "NOT REACHED: the journal, CPU time above that of plain lines: 20.0 %, to reach < 10 %" in text
