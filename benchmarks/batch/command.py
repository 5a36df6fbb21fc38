"""The command: options in, every chosen regime run, figures out."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import site
from benchmarks.batch.contestants import CONTESTANTS, OURS
from benchmarks.batch.journal import ways
from benchmarks.batch.regimes import REGIMES, Kind, Regime, quick
from benchmarks.batch.rounds import Rounds
from benchmarks.batch.summary import summarise
from benchmarks.batch.targets import targets
from benchmarks.common.command import add_common_options, new_figures, positive, run_all, wanted
from benchmarks.common.contestant import Home
from benchmarks.common.cpus import client_and_origin
from benchmarks.common.peers_environment import peers_python
from benchmarks.cpu.pages import find_pages

_REFERENCES = {Kind.RATE: OURS, Kind.CORES: "workers-1"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own."""
    add_common_options(
        parser, REGIMES, CONTESTANTS, rounds="3, 2 or 1", seed="the order of clients, the moments of kills"
    )
    parser.add_argument("--count", type=positive, metavar="N", help="URLs of every list (default: each its own)")
    parser.add_argument("--pages", type=Path, metavar="FOLDER", help="of HTML (default: Debian's python3-doc)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures. A ctrl-C ends what runs, and what is known by then is given."""
    regimes = wanted(arguments, REGIMES, quick)
    _require(regimes)
    pages = find_pages(arguments.pages) if any(regime.kind is Kind.CORES for regime in regimes) else None
    cpus = client_and_origin()
    figures = new_figures(arguments, cpus, 0)
    figures["versions"] |= _versions({name for regime in regimes for name in regime.clients})
    rounds = (
        Rounds(
            regime,
            pages,
            rounds=figures["rounds"],
            count=arguments.count,
            seed=arguments.seed,
            is_quick=arguments.quick,
        )
        for regime in regimes
    )
    run_all(figures, rounds, cpus, _told)
    return figures


def _told(done: Rounds) -> dict[str, Any]:
    regime = done.regime
    reference = _REFERENCES.get(regime.kind, "")
    rows = summarise(done.runs, reference)
    by_way = ways([turn for run in done.runs for turn in run.turns], done.count)
    return {
        **msgspec.to_builtins(regime),
        "failed": any(row.complaints or row.errors for row in rows),
        "reference": reference,
        "ran": done.rounds,
        "rows": msgspec.to_builtins(rows),
        "ways": msgspec.to_builtins(by_way),
        "targets": msgspec.to_builtins(targets(rows, by_way)),
        "runs": msgspec.to_builtins(done.runs),
    }


def _require(regimes: Sequence[Regime]) -> None:
    """Raises SystemExit with a line for every program that is missing."""
    missing = []
    if site.nginx() is None and any(regime.kind is not Kind.KILLED for regime in regimes):
        missing.append("nginx, the origin: apt install nginx-light")
    if not shutil.which("curl") and any("curl" in regime.clients for regime in regimes):
        missing.append("curl, a client (or leave it out with --only): apt install curl")
    if missing:
        raise SystemExit("\n".join(f"this benchmark needs {line}" for line in missing))


def _versions(clients: set[str]) -> dict[str, str]:
    found = {}
    if "curl" in clients:
        found["curl"] = _first_line(["curl", "--version"]).split()[1]
    if any(CONTESTANTS[name].home is Home.PEERS for name in clients):
        code = "import importlib.metadata as m; print(m.version('scrapy'), m.version('twisted'))"
        scrapy, twisted = _first_line([str(peers_python()), "-I", "-c", code]).split()
        found |= {"Scrapy": scrapy, "Twisted": twisted}
    return found


def _first_line(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
