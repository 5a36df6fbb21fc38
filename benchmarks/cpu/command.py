"""The command: options in, every chosen regime run, figures and picture out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.cpu.contestants import CONTESTANTS, OURS
from benchmarks.cpu.pages import find_pages, unit_s
from benchmarks.cpu.picture import picture
from benchmarks.cpu.regimes import REGIMES, Regime, chosen, quick
from benchmarks.cpu.rounds import Rounds, launchers
from benchmarks.cpu.summary import disagreements, disturbances, summarise
from benchmarks.cpu.targets import targets
from benchmarks.fetch.cpus import client_and_origin
from benchmarks.fetch.machine import machine, versions

_ROUNDS = 5
_SLICE_MS = 2.0  # the scheduler's default


def add_options(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    regimes = "\n".join(f"  {regime.name:<17} {regime.what}" for regime in REGIMES)
    clients = "\n".join(f"  {client.name:<17} {client.what}" for client in CONTESTANTS.values())
    parser.epilog = f"regimes:\n{regimes}\n\nclients:\n{clients}"
    parser.add_argument("--rounds", type=_positive, help=f"of every regime (default {_ROUNDS}; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: short, its figures mean nothing")
    parser.add_argument("--only", type=_clients, metavar="CLIENT,...", help="these clients")
    parser.add_argument(
        "--regime", type=_regimes, metavar="NAME,...", help="these regimes; native stands for all of native-..."
    )
    parser.add_argument("--seed", type=int, default=1, help="of the mix, the order of clients, the signals (default 1)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the histograms of lateness there")
    parser.add_argument("--pages", type=Path, metavar="FOLDER", help="of HTML (default: Debian's python3-doc)")
    parser.add_argument("--slice-ms", type=float, default=_SLICE_MS, help="of ours (default %(default)g)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures. A ctrl-C ends what runs, and what is known by then is given."""
    regimes = _wanted(arguments)
    pages = find_pages(arguments.pages)
    commands = launchers(regimes)
    client_cpu, origin_cpu = client_and_origin()
    slice_s = arguments.slice_ms / 1e3
    figures: dict[str, Any] = {
        "machine": {
            **machine(client_cpu, origin_cpu),
            "pages": f"{len(pages.paths)} below {pages.root}, {sum(pages.sizes) / 1e6:.1f} MB",
        },
        "versions": versions(),
        "rounds": arguments.rounds or (1 if arguments.quick else _ROUNDS),
        "seed": arguments.seed,
        "unit_s": unit_s(pages, client_cpu),
        "slice_s": slice_s,
        "quick": arguments.quick,
        "interrupted": False,
        "failed": False,
        "regimes": [],
    }
    for regime in regimes:
        one = Rounds(
            regime,
            commands,
            pages,
            rounds=figures["rounds"],
            seed=arguments.seed,
            unit_s=figures["unit_s"],
            slice_s=slice_s,
        )
        try:
            one.run(client_cpu, origin_cpu)
        except KeyboardInterrupt:
            sys.stderr.write("bench: interrupted\n")
            figures["interrupted"] = True
        figures["versions"] |= one.versions
        _add(figures, one)
        if figures["interrupted"]:
            break
    if arguments.svg:
        _draw(figures, arguments.svg)
    return figures


def _add(figures: dict[str, Any], done: Rounds) -> None:
    regime = done.regime
    rows = summarise(done.runs, regime.reference, OURS)
    disagreeing = disagreements(done.runs)
    figures["failed"] |= bool(disagreeing) or any(row.complaints or row.errors for row in rows)
    figures["regimes"].append(
        {
            **msgspec.to_builtins(regime),
            "rows": msgspec.to_builtins(rows),
            "targets": msgspec.to_builtins(targets(regime.name, rows, figures["slice_s"])),
            "disagreements": disagreeing,
            "disturbances": disturbances(done.runs, {one.name: one.cores for one in CONTESTANTS.values()}),
            # Scores have done their work: a thousand for each run.
            "runs": [msgspec.to_builtins(msgspec.structs.replace(run, scores={})) for run in done.runs],
        }
    )


def _draw(figures: dict[str, Any], file: Path) -> None:
    """Of the first regime that has a ticker; the others' beside it, named FILE-REGIME."""
    drawn = [regime for regime in figures["regimes"] if any(row["late_p99_s"] for row in regime["rows"])]
    for number, regime in enumerate(drawn):
        target = file if number == 0 else file.with_name(f"{file.stem}-{regime['name']}{file.suffix}")
        target.write_text(picture(f"{regime['name']}: {regime['what']}", regime["rows"], OURS))


def _wanted(arguments: argparse.Namespace) -> list[Regime]:
    """The regimes, each with the clients that are wanted of it. Raises SystemExit if none is left."""
    regimes = []
    for regime in chosen(arguments.regime):
        clients = tuple(name for name in regime.clients if not arguments.only or name in arguments.only)
        if clients:
            regimes.append(msgspec.structs.replace(quick(regime) if arguments.quick else regime, clients=clients))
    if not regimes:
        raise SystemExit("none of these clients takes part in these regimes")
    return regimes


def _clients(text: str) -> set[str]:
    names = set(text.split(","))
    if unknown := names - CONTESTANTS.keys():
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: choose from {', '.join(CONTESTANTS)}")
    return names


def _regimes(text: str) -> set[str]:
    names = set(text.split(","))
    try:
        chosen(names)
    except KeyError as unknown:
        known = ", ".join(regime.name for regime in REGIMES)
        raise argparse.ArgumentTypeError(f"{unknown.args[0]}: choose from {known}") from None
    return names


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
