"""What a command costs before it begins: bin/ itself, and fetch-batch from its start to its first fetch.

`bin` is the time of `bin/python -c ""` less that of the same interpreter called by its own path: what looking after
the environment adds to every command. The two are run in turn, and the median of the pairs is quoted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]


def add_options(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own."""
    parser.add_argument("--rounds", type=int, default=40, help="pairs of runs (default 40)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures: median, lowest and highest of each, in milliseconds."""
    command = [str(_ROOT / "bin/python"), "-c", ""]
    alone = [sys.executable, "-P", "-c", ""]
    differences, totals = [], []
    for _ in range(arguments.rounds):
        whole_ms, bare_ms = _time_ms(command), _time_ms(alone)
        totals.append(whole_ms)
        differences.append(whole_ms - bare_ms)
    return {
        "rounds": arguments.rounds,
        "bin_ms": _spread(differences),
        "bin_and_python_ms": _spread(totals),
        "help_ms": _spread(
            [_time_ms([str(_ROOT / "bin/fetch-batch"), "--help"]) for _ in range(arguments.rounds // 4)]
        ),
    }


def _time_ms(command: list[str]) -> float:
    began_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began_s) * 1e3


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 1), "min": round(min(values), 1), "max": round(max(values), 1)}


def table(figures: dict[str, Any]) -> str:
    """For people."""
    names = {
        "bin_ms": "bin/ itself",
        "bin_and_python_ms": 'bin/python -c ""',
        "help_ms": "bin/fetch-batch --help",
    }
    lines = [f"{'ms, of ' + str(figures['rounds']) + ' rounds':<26} median     min     max"]
    for key, name in names.items():
        spread = figures[key]
        lines.append(f"{name:<26} {spread['median']:>6} {spread['min']:>7} {spread['max']:>7}")
    return "\n".join(lines) + "\n"
