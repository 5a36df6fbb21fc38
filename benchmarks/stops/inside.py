"""The trials of one scenario in a network of their own, started there by benchmarks.stops.rounds:

python -m benchmarks.stops.inside SCENARIO TRIALS SEED LOOK_EVERY HOSTS FIGURES
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.stops.rounds import run_trials
from benchmarks.stops.scenarios import SCENARIOS


def main(arguments: Sequence[str]) -> None:
    """Run them, and write what came of them to the file FIGURES."""
    name, trials, seed, look_every, hosts, figures = arguments
    scenario = next(one for one in SCENARIOS if one.name == name)
    done = list(run_trials(scenario, int(trials), int(seed), look_every=int(look_every), hosts=Path(hosts)))
    Path(figures).write_bytes(msgspec.json.encode(done))


if __name__ == "__main__":
    main(sys.argv[1:])
