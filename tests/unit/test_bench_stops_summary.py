"""What the trials of `bin/bench stops` come to."""

from __future__ import annotations

from benchmarks.stops.kills import Kill
from benchmarks.stops.summary import Promise, Spread, kill_rows, promises, row_of, spread_of
from benchmarks.stops.trial import Trial


def trial(**fields: object) -> Trial:
    return Trial("busy", "second", 0.5, status=130, **fields)  # type: ignore[arg-type]


def broken(found: list[Promise]) -> list[str]:
    return [promise.what for promise in found if not promise.met]


def test_a_spread_leaves_out_what_did_not_happen() -> None:
    assert spread_of([None, None]) is None
    assert spread_of([0.001, None, 0.003, 0.002]) == Spread(3, 2.0, 3.0, 3.0)


def test_one_of_a_hundred_may_be_late_and_not_two() -> None:
    quick = [trial(said_s=0.001)] * 98
    assert broken(promises([row_of([*quick, trial(said_s=0.001), trial(said_s=9.0)])], [])) == []
    assert broken(promises([row_of([*quick, trial(said_s=0.051), trial(said_s=9.0)])], [])) == [
        "busy: says that it drains, p99 at most 50 ms"
    ]


def test_the_limit_is_for_every_single_one() -> None:
    quick = [trial(limit_s=1.49)] * 1_000
    assert broken(promises([row_of([*quick, trial(limit_s=1.51)])], [])) == [
        "busy: first ctrl-C to the end, max at most 1500 ms"
    ]


def test_each_ending_is_judged_by_its_own_last_key() -> None:
    found = promises([row_of([trial(second_s=0.2, said_s=0.01), trial(third_s=0.3)])], [])
    assert broken(found) == ["busy: third ctrl-C to the end, p99 at most 250 ms"]
    assert [promise.got for promise in found[:3]] == ["10.0 ms", "200.0 ms", "300.0 ms"]


def test_one_fault_or_one_process_left_breaks_a_promise() -> None:
    lost = row_of([trial(), trial(faults=["7 lost"], looked_at=True)])
    assert lost.faults == ["trial 1: 7 lost"]
    assert lost.looked == 1
    assert len(broken(promises([lost], []))) == 1
    assert len(broken(promises([row_of([trial(left=1)])], []))) == 1


def test_kills_of_each_kind_have_a_row() -> None:
    rows = kill_rows(
        [
            Kill("parent", "busy", 0.1, followed_s=0.02),
            Kill("parent", "busy", 0.1, followed_s=1.01),
            Kill("child", "idle", 0.1, replaced_s=0.1, at_work_s=0.9, faults=["3 doubled"]),
        ]
    )
    assert [(row.what, row.scenario, row.kills) for row in rows] == [("parent", "busy", 2), ("child", "idle", 1)]
    assert rows[0].followed == Spread(2, 20.0, 1010.0, 1010.0)
    assert len(broken(promises([], rows))) == 2
