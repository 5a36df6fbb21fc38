"""The command: options in, every chosen scenario's trials run, figures out."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import msgspec

from benchmarks.common.cpus import client_and_origin
from benchmarks.common.machine import machine, versions
from benchmarks.stops.kills import KILLS, Kill
from benchmarks.stops.rounds import NotPermitted, run_kills, run_trials, run_trials_in_own_network
from benchmarks.stops.scenarios import SCENARIOS, Scenario
from benchmarks.stops.summary import kill_rows, promises, row_of
from benchmarks.stops.trial import Trial

_KILLS = "kills"
_KILLS_EACH = 20
_QUICK_TRIALS = 2


def add_options(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = "\n".join(f"  {one.name:<8} {one.what} ({one.trials} trials)" for one in SCENARIOS)
    kinds = ", ".join(f"the {what} ({name})" for what, name in KILLS)
    parser.epilog = f"scenarios:\n{names}\n  {_KILLS:<8} kill -9 of {kinds} ({_KILLS_EACH} each)"
    parser.add_argument("--trials", type=_positive, metavar="N", help="of every scenario, and kills of every kind")
    parser.add_argument("--only", type=_scenarios, metavar="NAME,...", help="these scenarios")
    parser.add_argument("--quick", action="store_true", help=f"a smoke run: {_QUICK_TRIALS} of each")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default 1)")
    parser.add_argument(
        "--look-every", type=_positive, default=1, metavar="N", help="go on with every N-th job only (default 1: all)"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures. A ctrl-C ends what runs, and what is known by then is given."""
    wanted = arguments.only or [*(one.name for one in SCENARIOS), _KILLS]
    trials: dict[str, list[Trial]] = {}
    kills: list[Kill] = []
    figures: dict[str, Any] = {
        # Nobody has a core of its own here.
        "machine": {name: value.partition("; ")[0] for name, value in machine(*client_and_origin()).items()},
        "versions": versions(),
        "seed": arguments.seed,
        "quick": arguments.quick,
        "left_out": [],
        "interrupted": False,
    }
    try:
        for scenario in SCENARIOS:
            if scenario.name in wanted:
                _run_scenario(scenario, arguments, trials.setdefault(scenario.name, []), figures["left_out"])
        if _KILLS in wanted:
            for kill in run_kills(_count(arguments, _KILLS_EACH), arguments.seed):
                kills.append(kill)
                _tell(f"{kill.what}, {kill.scenario}", kill.faults)
    except KeyboardInterrupt:
        sys.stderr.write("bench: interrupted\n")
        figures["interrupted"] = True
    rows = [row_of(done) for done in trials.values() if done]
    killed = kill_rows(kills)
    judged = promises(rows, killed)
    return figures | {
        "rows": msgspec.to_builtins(rows),
        "kills": msgspec.to_builtins(killed),
        "promises": msgspec.to_builtins(judged),
        # What is late on a busy machine is for people to judge; what is lost is lost on any.
        "failed": any(row.faults or row.left for row in rows) or any(row.faults for row in killed),
        "trials": [msgspec.to_builtins(trial) for done in trials.values() for trial in done],
    }


def _run_scenario(scenario: Scenario, arguments: argparse.Namespace, done: list[Trial], left_out: list[str]) -> None:
    count = _count(arguments, scenario.trials)
    if scenario.origin != "hung_names":
        for trial in run_trials(scenario, count, arguments.seed, look_every=arguments.look_every):
            done.append(trial)
            _tell(scenario.name, trial.faults)
        return
    try:
        done += run_trials_in_own_network(scenario, count, arguments.seed, look_every=arguments.look_every)
    except NotPermitted as error:
        left_out.append(f"{scenario.name}: {error}")


def _count(arguments: argparse.Namespace, usual: int) -> int:
    return int(arguments.trials or (_QUICK_TRIALS if arguments.quick else usual))


def _tell(name: str, faults: list[str]) -> None:
    sys.stderr.write(f"{name}: {'; '.join(faults) or 'done'}\n")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _scenarios(text: str) -> list[str]:
    known = [*(one.name for one in SCENARIOS), _KILLS]
    chosen = text.split(",")
    for name in chosen:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name}: choose from {', '.join(known)}")
    return chosen
