"""The command: options in, every chosen regime run, figures out."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from benchmarks.common.command import add_common_options, new_figures, run_all, wanted
from benchmarks.common.cpus import client_and_origin
from benchmarks.fetch.contestants import CONTESTANTS, REFERENCE
from benchmarks.fetch.needs import require
from benchmarks.fetch.regimes import REGIMES, quick
from benchmarks.fetch.rounds import Rounds, launchers
from benchmarks.fetch.summary import summarise

_ROUNDS = 5


def add_options(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own."""
    add_common_options(parser, REGIMES, CONTESTANTS, rounds=str(_ROUNDS), seed="the order of clients")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures. A ctrl-C ends what runs, and what is known by then is given."""
    regimes = wanted(arguments, REGIMES, quick)
    require(regimes)
    commands = launchers(regimes)
    cpus = client_and_origin()
    figures = new_figures(arguments, cpus, _ROUNDS) | {"reference": REFERENCE}
    rounds = (Rounds(regime, commands, rounds=figures["rounds"], seed=arguments.seed) for regime in regimes)
    run_all(figures, rounds, cpus, _told)
    return figures


def _told(done: Rounds) -> dict[str, Any]:
    rows = summarise(done.runs, REFERENCE)
    return {
        **msgspec.to_builtins(done.regime),
        "failed": any(row.complaints or row.errors for row in rows),
        "note": done.note,
        "rows": msgspec.to_builtins(rows),
        "runs": msgspec.to_builtins(done.runs),
    }
