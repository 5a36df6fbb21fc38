"""Summary: what a run of a batch came to, for people (`lines`) and for machines (the struct, as JSON)."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Literal

import msgspec

from app.model.caching import CacheCounts

State = Literal["finished", "interrupted", "stopped", "refused"]

_KIB = 1024


class OriginUse(msgspec.Struct, frozen=True):
    """How much time the fetches of one origin took, in all."""

    origin: str
    fetches: int
    seconds: float


class StageSummary(msgspec.Struct, frozen=True):
    """What one stage used in one place; see app.policy.advice.StageUse."""

    name: str
    runs_in: str
    runs: int
    cpu_s: float
    wall_s: float


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    state             "finished"; "interrupted" by a signal; "stopped" because the machine refused, or what was
                      right at the beginning no longer was; "refused" as it can't be done as it was asked for
    records           that the job has by now; `ok` and `failed` add up to it, `kinds` has the failed ones by error kind
    resumed           those of them that an earlier run left
    fetched           those that this run added
    duplicates        requests that --dedupe has dropped: of those that were read by now
    elapsed_s, rate   of this run; rate is fetched records per second
    started_at        ISO 8601, UTC
    worker_deaths     workers that died and were replaced
    slowest_origins   those that most of the time went to, most first (from a sketch: see app.policy.heaviest)
    cache             what came of the cache in this run, in workers that ended in order; None without one
    *_peak_bytes      the most memory (RSS) that the parent, and any one of its children, had
    """

    state: State
    records: int
    ok: int
    failed: int
    kinds: dict[str, int]
    resumed: int
    fetched: int
    elapsed_s: float
    rate: float
    started_at: str
    outputs: list[str]
    workers: int
    worker_deaths: int = 0
    slowest_origins: list[OriginUse] = []
    stages: list[StageSummary] = []
    parent_peak_bytes: int = 0
    child_peak_bytes: int = 0
    duplicates: int = 0
    cache: CacheCounts | None = None

    def lines(self) -> list[str]:
        """The closing lines: how many, how fast, what went wrong how often, who was slow."""
        first = f"{self.records:,} record{'' if self.records == 1 else 's'}: {self.ok:,} ok, {self.failed:,} failed; "
        if self.resumed:
            first += f"{self.resumed:,} from an earlier run, {self.fetched:,} "
        first += f"in {self.elapsed_s:.1f} s ({self.rate:,.0f}/s)"
        width = max(map(len, self.kinds), default=0)
        dropped = f"{self.duplicates:,} listed before, and fetched once"
        lines = [
            first,
            *([dropped] if self.duplicates else []),
            *(f"  {kind:<{width}}  {count:,}" for kind, count in self.kinds.items()),
        ]
        if self.cache is not None:
            lines.append(_cache_line(self.cache))
        # With one origin there is nothing to compare.
        if len(self.slowest_origins) > 1:
            lines.append("most time went to:")
            lines += [
                f"  {use.origin}  {use.seconds / use.fetches:.3g} s a fetch, {use.fetches:,} {_fetches(use.fetches)}"
                for use in self.slowest_origins[:_SLOWEST_SHOWN]
            ]
        return lines


_SLOWEST_SHOWN = 3


def _fetches(number: int) -> str:
    return "fetch" if number == 1 else "fetches"


def _cache_line(cache: CacheCounts) -> str:
    stale = f", {cache.stale:,} stale" if cache.stale else ""
    return (
        f"cache: {cache.hits:,} hit{'' if cache.hits == 1 else 's'}, {cache.revalidated:,} revalidated{stale},"
        f" {cache.misses:,} fetched, {cache.stored:,} of them stored"
    )


def peak_bytes() -> tuple[int, int]:
    """The most memory that this process has had, and that any child which has ended has had."""
    # getrusage(2) would count what our caller had before it became us; VmHWM (proc(5)) begins with this program.
    try:
        own = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    except OSError:
        # No descriptor is left: why the run has ended is to be told, not this.
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return own * _KIB, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _KIB
