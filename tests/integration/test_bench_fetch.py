"""`bin/bench fetch`, as small as it gets and with clients that need nothing but the project's own environment."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from benchmarks.fetch.client_run import ClientFailed, run_client
from benchmarks.fetch.cpus import client_and_origin
from benchmarks.fetch.regimes import REGIMES, quick
from benchmarks.fetch.rounds import Rounds, launchers
from benchmarks.fetch.summary import Run
from tests.support import needs
from tests.support.processes import running_process, session_pids, wait_until

import msgspec
import pytest


def rounds_of(name: str, *clients: str, **changes: object) -> Rounds:
    regime = msgspec.structs.replace(
        quick(next(one for one in REGIMES if one.name == name)), clients=clients, warm_up_s=0.1, duration_s=0.2, **changes
    )
    return Rounds(regime, launchers([regime]), rounds=1, seed=1)
