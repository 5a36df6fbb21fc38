"""What benchmarks with regimes and contestants have in common."""

from __future__ import annotations

import argparse
import dataclasses
from itertools import groupby

import msgspec
import pytest

from benchmarks.common import run as runs_of
from benchmarks.common.client_run import ClientFailed, figures, last_line
from benchmarks.common.command import wanted
from benchmarks.common.regime import Regime
from benchmarks.common.rounds import in_rounds
from benchmarks.common.run import Run
from benchmarks.common.spread import Spread, median_of, spread_of
from benchmarks.common.table import block, cell, spread_cells
from benchmarks.common.targets import at_least, said

CLIENTS = ("one", "two", "three", "four")
REGIMES = [Regime("small", "", CLIENTS[:2]), Regime("native-a", "", CLIENTS[2:]), Regime("native-b", "", CLIENTS)]


def test_every_client_runs_once_in_each_round_in_orders_of_the_seed() -> None:
    rounds = list(in_rounds("page", CLIENTS, 20, 1))
    orders = [tuple(client for _, client in its) for _, its in groupby(rounds, key=lambda one: one[0])]
    assert [number for number, _ in groupby(rounds, key=lambda one: one[0])] == list(range(20))
    assert all(sorted(order) == sorted(CLIENTS) for order in orders)
    assert len(set(orders)) > 5
    assert rounds == list(in_rounds("page", CLIENTS, 20, 1))
    assert rounds != list(in_rounds("page", CLIENTS, 20, 2))
    assert rounds != list(in_rounds("tls", CLIENTS, 20, 1))


def quick(regime: Regime) -> Regime:
    return msgspec.structs.replace(regime, what="quick")


@dataclasses.dataclass
class Chosen(argparse.Namespace):
    regime: set[str] | None = None
    only: set[str] | None = None
    quick: bool = False


def test_regimes_are_those_that_are_wanted_with_the_clients_that_are_wanted() -> None:
    assert wanted(Chosen(), REGIMES, quick) == REGIMES
    assert [regime.clients for regime in wanted(Chosen(only={"two"}), REGIMES, quick)] == [("two",), ("two",)]
    assert [regime.name for regime in wanted(Chosen(regime={"native"}), REGIMES, quick)] == ["native-a", "native-b"]
    assert {regime.what for regime in wanted(Chosen(quick=True), REGIMES, quick)} == {"quick"}
    with pytest.raises(SystemExit, match="none of these clients"):
        wanted(Chosen(regime={"small"}, only={"three"}), REGIMES, quick)


class Line(msgspec.Struct):
    fetches: int


def test_the_last_line_is_the_clients_word() -> None:
    assert figures(0, b'warming up\n{"fetches": 3}\n', b"", Line) == Line(3)
    assert last_line(b"") == ""
    for status, out, err, reason in (
        (3, b'{"fetches": 3}', b"one\nno such thing\n", "ended with 3: no such thing"),
        (0, b"hello\n", b"", "said no line of figures .*: hello"),
        (0, b"", b"oh\n", "said no line of figures .*: oh"),
    ):
        with pytest.raises(ClientFailed, match=reason):
            figures(status, out, err, Line)


def test_what_failed_has_no_part_in_medians() -> None:
    runs = [
        Run(0, "one", done=100, wall_s=1.0, cpu_s=0.5),
        Run(1, "one", failure="no"),
        Run(2, "one", done=300, wall_s=1.0, cpu_s=0.9, errors=2, first_error="odd"),
    ]
    assert runs_of.rate_of(runs) == Spread(200, 100, 300)
    assert runs_of.rate_share(runs, {0: 50.0, 1: 50.0}) == Spread(2.0, 2.0, 2.0)
    assert runs_of.busy_percent(runs) == pytest.approx(70)
    assert runs_of.cpu_each_s(runs) == pytest.approx(0.004)
    assert (runs_of.errors_of(runs), runs_of.complaints_of(runs)) == (2, ("no", "odd"))
    assert (spread_of([]), median_of([]), runs_of.rate_of(runs[1:2])) == (None, None, None)


def test_tables_have_a_place_for_what_is_not_known() -> None:
    columns = (("client", 8), ("rate", 6), ("min", 5), ("max", 5))
    lines = block(columns, [("one", spread_cells({"median": 2, "min": 1, "max": 3}, ".1f")), ("two", ["-"] * 3)])
    assert lines == ["client    rate  min  max", "one        2.0  1.0  3.0", "two          -    -    -"]
    assert block(columns, []) == []
    assert (spread_cells(None, ".1f"), cell(None, "{}"), cell(4.0, "{:.0f}%")) == (["-"] * 3, "-", "4%")


def test_a_target_is_reached_or_not() -> None:
    assert at_least("two", None, 1.8) == []
    for got, line in (
        (1.8, "reached: two: 1.80x, to reach >= 1.80x"),
        (1.79, "NOT REACHED: two: 1.79x, to reach >= 1.80x"),
    ):
        assert [said(msgspec.to_builtins(target)) for target in at_least("two", got, 1.8)] == [line]
