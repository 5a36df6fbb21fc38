"""The command: options in, every chosen regime run, figures and picture out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.common.command import add_common_options, new_figures, run_all, wanted
from benchmarks.common.cpus import client_and_origin
from benchmarks.cpu.contestants import CONTESTANTS, OURS
from benchmarks.cpu.pages import find_pages, unit_s
from benchmarks.cpu.picture import picture
from benchmarks.cpu.regimes import REGIMES, quick
from benchmarks.cpu.rounds import Rounds, launchers
from benchmarks.cpu.summary import disagreements, disturbances, summarise
from benchmarks.cpu.targets import targets

_ROUNDS = 5
_SLICE_MS = 2.0  # the scheduler's default


def add_options(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own."""
    add_common_options(
        parser, REGIMES, CONTESTANTS, rounds=str(_ROUNDS), seed="the mix, the order of clients, the signals"
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the histograms of lateness there")
    parser.add_argument("--pages", type=Path, metavar="FOLDER", help="of HTML (default: Debian's python3-doc)")
    parser.add_argument("--slice-ms", type=float, default=_SLICE_MS, help="of ours (default %(default)g)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures. A ctrl-C ends what runs, and what is known by then is given."""
    regimes = wanted(arguments, REGIMES, quick)
    pages = find_pages(arguments.pages)
    commands = launchers(regimes)
    cpus = client_and_origin()
    figures = new_figures(arguments, cpus, _ROUNDS)
    figures["machine"]["pages"] = f"{len(pages.paths)} below {pages.root}, {sum(pages.sizes) / 1e6:.1f} MB"
    figures["unit_s"] = unit_s(pages, cpus[0])
    figures["slice_s"] = arguments.slice_ms / 1e3
    rounds = (
        Rounds(
            regime,
            commands,
            pages,
            rounds=figures["rounds"],
            seed=arguments.seed,
            unit_s=figures["unit_s"],
            slice_s=figures["slice_s"],
        )
        for regime in regimes
    )
    run_all(figures, rounds, cpus, lambda done: _told(done, figures["slice_s"]))
    if arguments.svg:
        _draw(figures, arguments.svg)
    return figures


def _told(done: Rounds, slice_s: float) -> dict[str, Any]:
    regime = done.regime
    rows = summarise(done.runs, regime.reference, OURS)
    disagreeing = disagreements(done.runs)
    return {
        **msgspec.to_builtins(regime),
        "failed": bool(disagreeing) or any(row.complaints or row.errors for row in rows),
        "rows": msgspec.to_builtins(rows),
        "targets": msgspec.to_builtins(targets(regime.name, rows, slice_s)),
        "disagreements": disagreeing,
        "disturbances": disturbances(done.runs, {one.name: one.cores for one in CONTESTANTS.values()}),
        # Scores have done their work: a thousand for each run.
        "runs": [msgspec.to_builtins(msgspec.structs.replace(run, scores={})) for run in done.runs],
    }


def _draw(figures: dict[str, Any], file: Path) -> None:
    """Of the first regime that has a ticker; the others' beside it, named FILE-REGIME."""
    drawn = [regime for regime in figures["regimes"] if any(row["late_p99_s"] for row in regime["rows"])]
    for number, regime in enumerate(drawn):
        target = file if number == 0 else file.with_name(f"{file.stem}-{regime['name']}{file.suffix}")
        target.write_text(picture(f"{regime['name']}: {regime['what']}", regime["rows"], OURS))
