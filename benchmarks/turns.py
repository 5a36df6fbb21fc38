"""Ways to fetch a page, by turns in one process: a stock session over urllib3 and libcurl, a fetch, a batch's child.

Two processes differ by a quarter on a machine that others use, and by more from hour to hour; so what two ways cost is
compared within one, round by round. nginx serves 17 KB from a core of its own if there are two.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.common.building import ROOT
from benchmarks.common.contestant import Contestant, Home, environment_of
from benchmarks.common.cpus import client_and_origin, confined_to
from benchmarks.common.machine import machine
from benchmarks.common.spread import quartiles_of
from benchmarks.fetch.regimes import PAGE_BYTES
from benchmarks.site import page_of
from tests.support.nginx import serve_folder

_CLIENT = Contestant("by-turns", Home.PROJECT, "by_turns", "ours and requests")

# A way, and what it is compared with: the ratio is the other's CPU time, in its own.
_PAIRS = (
    ("adapter", "requests"),
    ("batch-sha256", "fetch"),
    ("batch-inline", "fetch"),
    ("batch-sliced", "fetch"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own."""
    parser.add_argument("--rounds", type=int, default=12, help="rounds (default 12)")
    parser.add_argument("--count", type=int, default=2000, help="fetches of one way in one round (default 2,000)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures: CPU us a URL of each way, and the ratios by round, with quartiles."""
    client_cpu, origin_cpu = client_and_origin()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        site = Path(name, "site")
        site.mkdir()
        (site / "page.html").write_bytes(page_of(PAGE_BYTES))
        with ExitStack() as stack:
            with confined_to(origin_cpu):
                nginx = stack.enter_context(serve_folder(site))
            with confined_to(client_cpu):
                done = subprocess.run(
                    [
                        *(sys.executable, "-P", "-m", "benchmarks.clients.by_turns"),
                        *(nginx.url("/page.html"), str(arguments.rounds), str(arguments.count)),
                    ],
                    stdout=subprocess.PIPE,
                    check=True,
                    env=environment_of(_CLIENT) | {"PYTHONPATH": str(ROOT)},
                )
    took: dict[str, list[float]] = json.loads(done.stdout)
    return {
        "machine": machine(client_cpu, origin_cpu),
        "rounds": arguments.rounds,
        "count": arguments.count,
        "cpu_us": {way: msgspec.to_builtins(quartiles_of(us)) for way, us in took.items()},
        "ratios": {
            f"{other} / {way}": msgspec.to_builtins(
                quartiles_of(theirs / ours for ours, theirs in zip(took[way], took[other], strict=True))
            )
            for way, other in _PAIRS
        },
    }


def table(figures: dict[str, Any]) -> str:
    """For people."""
    lines = [f"{figures['rounds']} rounds of {figures['count']:,}, 17 KB          median   lower   upper"]
    for way, of in figures["cpu_us"].items():
        lines.append(f"{way + ', CPU us a URL':<38} {of['median']:>8.1f} {of['lower']:>7.1f} {of['upper']:>7.1f}")
    for pair, of in figures["ratios"].items():
        lines.append(f"{pair:<38} {of['median']:>8.3f} {of['lower']:>7.3f} {of['upper']:>7.3f}")
    return "\n".join(lines) + "\n"
