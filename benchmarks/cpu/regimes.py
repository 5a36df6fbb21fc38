"""The regimes: what is done, how much of it, and by which contestants."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from benchmarks.common import regime as common
from benchmarks.cpu.contestants import OURS


class Load(StrEnum):
    """What the list of a regime holds."""

    MIX = "mix"  # pages to fetch, with stages of all three kinds
    EQUAL = "equal"  # the same amount of work on each page, from memory
    NATIVE = "native"  # calls that release the GIL


class Regime(common.Regime, frozen=True):
    """As in benchmarks/common/regime.py.

    load         of its list
    reference    whose rate the others' is divided by
    count        items of the list
    concurrency  of them at a time
    stage_s      CPU time of an item where all are the same
    probes       a short stage is submitted every now and then
    interrupts   SIGINT is sent every now and then
    native       which call, where they are native
    pairs        lists that the client that alternates does in both ways, in one round
    """

    load: Load
    reference: str
    count: int
    concurrency: int = 100
    stage_s: float = 0.06
    probes: bool = False
    interrupts: bool = False
    native: str = ""
    pairs: int = 0

    @property
    def is_fetched(self) -> bool:
        return self.load is Load.MIX


_ON_ONE_CORE = ("gevent-inline", "threads", "threads-pinned", "asyncio-inline", "asyncio-threads", "asyncio-processes")
_NATIVE = ("pool-pinned", "percore-threads")


def _native(call: str, what: str, count: int) -> Regime:
    what = f"{what}, in threads of a process that is pinned to one core"
    return Regime(f"native-{call}", what, _NATIVE, Load.NATIVE, _NATIVE[0], count=count, concurrency=2, native=call)


REGIMES = (
    Regime(
        "mix",
        "pages of python3-doc fetched and scored: stages of 200 us (80 %), 5 ms (16 %) and 200 ms (4 %)",
        (OURS, *_ON_ONE_CORE),
        Load.MIX,
        OURS,
        count=1000,
        interrupts=True,
    ),
    Regime(
        "lateness",
        "100 stages of 60 ms, all at once, no network",
        ("in-turn", OURS, "threads", "threads-pinned", "gevent-inline"),
        Load.EQUAL,
        "in-turn",
        count=100,
        interrupts=True,
    ),
    Regime(
        "rate",
        "100 stages of 60 ms in slices and one after another, by turns in one process, no network",
        ("alternating",),
        Load.EQUAL,
        "alternating",
        count=100,
        pairs=2,
    ),
    Regime(
        "short",
        "a stage of 200 us submitted while 100 stages of 60 ms run",
        (OURS, "threads-pinned", "asyncio-threads"),
        Load.EQUAL,
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
        ("batch-1", "batch-2"),
        Load.MIX,
        "batch-1",
        count=1000,
    ),
)
"""In the order in which they run."""


def quick(regime: Regime) -> Regime:
    """The same, to see that it works; its figures mean nothing."""
    if regime.load is Load.NATIVE:
        return msgspec.structs.replace(regime, count=6)
    return msgspec.structs.replace(
        regime, count=max(25, regime.count // 10), concurrency=20, stage_s=0.02, pairs=min(1, regime.pairs)
    )
