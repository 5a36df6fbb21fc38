"""The command: options in, every chosen regime run, figures out."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import msgspec

from benchmarks.fetch.contestants import CONTESTANTS, REFERENCE
from benchmarks.fetch.cpus import client_and_origin
from benchmarks.fetch.machine import machine, versions
from benchmarks.fetch.needs import require
from benchmarks.fetch.regimes import REGIMES, Regime, quick
from benchmarks.fetch.rounds import Rounds, launchers
from benchmarks.fetch.summary import summarise

_ROUNDS = 5


def add_options(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    regimes = "\n".join(f"  {regime.name:<17} {regime.what}" for regime in REGIMES)
    clients = "\n".join(f"  {client.name:<17} {client.what}" for client in CONTESTANTS.values())
    parser.epilog = f"regimes:\n{regimes}\n\nclients:\n{clients}"
    parser.add_argument("--rounds", type=_positive, help=f"of every regime (default {_ROUNDS}; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: short, its figures mean nothing")
    parser.add_argument("--only", type=_names(CONTESTANTS), metavar="CLIENT,...", help="these clients")
    parser.add_argument(
        "--regime", type=_names({one.name: one for one in REGIMES}), metavar="NAME,...", help="these regimes"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the order of clients (default 1)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures. A ctrl-C ends what runs, and what is known by then is given."""
    regimes = _chosen(arguments)
    require(regimes)
    commands = launchers(regimes)
    cpus = client_and_origin()
    rounds = arguments.rounds or (1 if arguments.quick else _ROUNDS)
    figures: dict[str, Any] = {
        "machine": machine(*cpus),
        "versions": versions(),
        "rounds": rounds,
        "reference": REFERENCE,
        "quick": arguments.quick,
        "interrupted": False,
        "failed": False,
        "regimes": [],
    }
    for regime in regimes:
        one = Rounds(regime, commands, rounds=rounds, seed=arguments.seed)
        try:
            one.run(*cpus)
        except KeyboardInterrupt:
            sys.stderr.write("bench: interrupted\n")
            figures["interrupted"] = True
        rows = summarise(one.runs, REFERENCE)
        figures["versions"] |= one.versions
        figures["failed"] |= any(row.complaints or row.errors for row in rows)
        figures["regimes"].append(
            {
                **msgspec.to_builtins(regime),
                "note": one.note,
                "rows": msgspec.to_builtins(rows),
                "runs": msgspec.to_builtins(one.runs),
            }
        )
        if figures["interrupted"]:
            break
    return figures


def _chosen(arguments: argparse.Namespace) -> list[Regime]:
    """The regimes, each with the clients that are wanted of it. Raises SystemExit if none is left."""
    regimes = []
    for regime in REGIMES:
        if arguments.regime and regime.name not in arguments.regime:
            continue
        clients = tuple(name for name in regime.clients if not arguments.only or name in arguments.only)
        if clients:
            regimes.append(msgspec.structs.replace(quick(regime) if arguments.quick else regime, clients=clients))
    if not regimes:
        raise SystemExit("none of these clients takes part in these regimes")
    return regimes


def _names(known: dict[str, Any]) -> Any:
    def parse(text: str) -> set[str]:
        names = set(text.split(","))
        if unknown := names - known.keys():
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: choose from {', '.join(known)}")
        return names

    return parse


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
