"""A contestant: a program, whose Python runs it, and what of the user's environment it sees."""

from __future__ import annotations

import os
import sys
from enum import StrEnum

from msgspec import Struct

from benchmarks.common.building import ROOT
from benchmarks.common.peers_environment import peers_python


class Home(StrEnum):
    """What runs a client."""

    PROJECT = "project"  # the project's Python: ours, and what must have the same versions as ours
    PEERS = "peers"  # the peers' Python: benchmarks/common/peers_environment.py
    GO = "go"  # itself: benchmarks/fetch/go_program.py builds it


class Contestant(Struct, frozen=True):
    """name     as --only takes it
    home     what runs it
    program  a module of the benchmark's clients, or the folder of a Go program there
    what     in words
    """

    name: str
    home: Home
    program: str
    what: str


def python_of(contestant: Contestant) -> list[str]:
    """The beginning of a command that runs a module; builds the peers' environment if it isn't there yet."""
    python = sys.executable if contestant.home is Home.PROJECT else str(peers_python())
    return [python, "-P", "-m"]


# What a program needs to run at all. Nothing else of the user's: neither settings, CA files, proxies, tracing, nor the
# number of variables, through all of which requests looks four times a call.
_KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


def environment_of(contestant: Contestant) -> dict[str, str]:
    """What a client sees: the same few variables whoever starts the benchmark."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    if contestant.home is Home.PEERS:
        environment["PYTHONPATH"] = str(ROOT)
    if contestant.home is Home.GO:
        environment["GOMAXPROCS"] = "1"
    return environment
