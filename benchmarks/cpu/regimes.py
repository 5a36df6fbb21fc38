"""The regimes: what is done, how much of it, and by which contestants."""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec import Struct

from benchmarks.cpu.contestants import OURS


class Load(StrEnum):
    """What the list of a regime holds."""

    MIX = "mix"  # pages to fetch, with stages of all three kinds
    EQUAL = "equal"  # the same amount of work on each page, from memory
    NATIVE = "native"  # calls that release the GIL


class Regime(Struct, frozen=True):
    """name         as --regime takes it, also without what follows a dash
    what         in words
    load         of its list
    clients      names of benchmarks/cpu/contestants.py
    reference    whose rate the others' is divided by
    count        items of the list
    concurrency  of them at a time
    stage_s      CPU time of an item where all are the same
    probes       a short stage is submitted every now and then
    interrupts   SIGINT is sent every now and then
    native       which call, where they are native
    """

    name: str
    what: str
    load: Load
    clients: tuple[str, ...]
    reference: str
    count: int
    concurrency: int = 100
    stage_s: float = 0.06
    probes: bool = False
    interrupts: bool = False
    native: str = ""

    @property
    def is_fetched(self) -> bool:
        return self.load is Load.MIX


_ON_ONE_CORE = ("gevent-inline", "threads", "threads-pinned", "asyncio-inline", "asyncio-threads", "asyncio-processes")
_NATIVE = ("pool-pinned", "percore-threads")


def _native(call: str, what: str, count: int) -> Regime:
    what = f"{what}, in threads of a process that is pinned to one core"
    return Regime(f"native-{call}", what, Load.NATIVE, _NATIVE, _NATIVE[0], count=count, concurrency=2, native=call)


REGIMES = (
    Regime(
        "mix",
        "pages of python3-doc fetched and scored: stages of 200 us (80 %), 5 ms (16 %) and 200 ms (4 %)",
        Load.MIX,
        (OURS, *_ON_ONE_CORE),
        OURS,
        count=1000,
        interrupts=True,
    ),
    Regime(
        "lateness",
        "100 stages of 60 ms, all at once, no network",
        Load.EQUAL,
        ("in-turn", OURS, "threads", "threads-pinned", "gevent-inline"),
        "in-turn",
        count=100,
        interrupts=True,
    ),
    Regime(
        "short",
        "a stage of 200 us submitted while 100 stages of 60 ms run",
        Load.EQUAL,
        (OURS, "threads-pinned", "asyncio-threads"),
        OURS,
        count=100,
        probes=True,
    ),
    _native("zlib", "zlib.compress of 2 MB", 150),
    _native("sha256", "hashlib.sha256 of 64 MB", 80),
    _native("numpy", "a matrix product in numpy", 250),
    Regime(
        "scale",
        "the mix by bin/fetch-batch, the origin on the second worker's core",
        Load.MIX,
        ("batch-1", "batch-2"),
        "batch-1",
        count=1000,
    ),
)
"""In the order in which they run."""


def quick(regime: Regime) -> Regime:
    """The same, to see that it works; its figures mean nothing."""
    if regime.load is Load.NATIVE:
        return msgspec.structs.replace(regime, count=6)
    return msgspec.structs.replace(regime, count=max(25, regime.count // 10), concurrency=20, stage_s=0.02)


def chosen(names: set[str] | None) -> list[Regime]:
    """In order; a name without a dash stands for all that begin with it. None: all. Raises KeyError for one unknown."""
    families = {regime.name.partition("-")[0] for regime in REGIMES}
    for name in names or ():
        if name not in families and name not in {regime.name for regime in REGIMES}:
            raise KeyError(name)
    return [
        regime for regime in REGIMES if names is None or regime.name in names or regime.name.partition("-")[0] in names
    ]
