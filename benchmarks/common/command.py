"""The command of a benchmark with regimes and contestants: options in, every chosen regime run, figures out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from benchmarks.common.contestant import Contestant
from benchmarks.common.machine import machine, versions
from benchmarks.common.regime import R, Regime, chosen


class Rounds(Protocol):
    """Runs a regime. `versions` holds what is known, also when it was interrupted."""

    versions: dict[str, str]

    def run(self, client_cpu: int, origin_cpu: int) -> None:
        """All rounds."""


_O = TypeVar("_O", bound=Rounds)


def add_common_options(
    parser: argparse.ArgumentParser,
    regimes: Sequence[Regime],
    contestants: Mapping[str, Contestant],
    *,
    rounds: str,
    seed: str,
) -> None:
    """Those that all such benchmarks have; `rounds` and `seed` say what is the default, and what it is for."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    of_regimes = "\n".join(f"  {regime.name:<17} {regime.what}" for regime in regimes)
    of_clients = "\n".join(f"  {client.name:<17} {client.what}" for client in contestants.values())
    parser.epilog = f"regimes:\n{of_regimes}\n\nclients:\n{of_clients}"
    parser.add_argument("--rounds", type=positive, help=f"of every regime (default {rounds}; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: short, its figures mean nothing")
    parser.add_argument("--only", type=_clients(contestants), metavar="CLIENT,...", help="these clients")
    parser.add_argument("--regime", type=_regimes(regimes), metavar="NAME,...", help="these regimes")
    parser.add_argument("--seed", type=int, default=1, help=f"of {seed} (default 1)")


def positive(text: str) -> int:
    """For argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def wanted(arguments: argparse.Namespace, regimes: Sequence[R], quick: Callable[[R], R]) -> list[R]:
    """The regimes, each with the clients that are wanted of it. Raises SystemExit if none is left."""
    found = []
    for regime in chosen(regimes, arguments.regime):
        clients = tuple(name for name in regime.clients if not arguments.only or name in arguments.only)
        if clients:
            found.append(msgspec.structs.replace(quick(regime) if arguments.quick else regime, clients=clients))
    if not found:
        raise SystemExit("none of these clients takes part in these regimes")
    return found


def new_figures(arguments: argparse.Namespace, cpus: tuple[int, int], rounds: int) -> dict[str, Any]:
    """What every benchmark's figures begin with; `rounds` is the default."""
    return {
        "machine": machine(*cpus),
        "versions": versions(),
        "rounds": arguments.rounds or (1 if arguments.quick else rounds),
        "seed": arguments.seed,
        "quick": arguments.quick,
        "interrupted": False,
        "failed": False,
        "regimes": [],
    }


def run_all(
    figures: dict[str, Any], rounds: Iterable[_O], cpus: tuple[int, int], told: Callable[[_O], dict[str, Any]]
) -> None:
    """Each regime's rounds; `told` gives their part of the figures, and under "failed" whether anything went wrong.

    A ctrl-C ends what runs, and what is known by then is kept.
    """
    for one in rounds:
        try:
            one.run(*cpus)
        except KeyboardInterrupt:
            sys.stderr.write("bench: interrupted\n")
            figures["interrupted"] = True
        figures["versions"] |= one.versions
        part = told(one)
        figures["failed"] |= part.pop("failed")
        figures["regimes"].append(part)
        if figures["interrupted"]:
            return


def _clients(contestants: Mapping[str, Contestant]) -> Callable[[str], set[str]]:
    def parse(text: str) -> set[str]:
        names = set(text.split(","))
        if unknown := names - contestants.keys():
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: choose from {', '.join(contestants)}")
        return names

    return parse


def _regimes(regimes: Sequence[Regime]) -> Callable[[str], set[str]]:
    def parse(text: str) -> set[str]:
        names = set(text.split(","))
        try:
            chosen(regimes, names)
        except KeyError as unknown:
            known = ", ".join(regime.name for regime in regimes)
            raise argparse.ArgumentTypeError(f"{unknown.args[0]}: choose from {known}") from None
        return names

    return parse
